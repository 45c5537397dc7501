//! The probability of each part of a plan.

use std::time::Duration;

use super::super::random::Random;
use super::{Act, Fault, Framing, Other, Receipt, Rescue};

/// Sizes of bodies: how many in 1000 have at most this number of bytes. The mean, about 160 KiB, is
/// what two processors move at the rate of a million exchanges an hour.
const SIZES: [(u64, u64); 7] = [
    (40, 0),
    (510, 1 << 10),
    (250, 16 << 10),
    (120, 128 << 10),
    (62, 1 << 20),
    (16, 8 << 20),
    (2, 64 << 20),
];
/// Sizes of chunks: shorter and longer than what a relay copies, splices or puts into a pipe.
const CHUNKS: [usize; 8] = [1, 13, 512, 4096, 16_384, 65_536, 300_000, 1 << 20];
/// Chunks of a body at most, so that a large one does not consist of chunks of one byte.
const CHUNKS_MAX: u64 = 4096;

pub(super) fn size(random: &mut Random) -> u64 {
    let mut at = random.below(1000);
    for (share, max) in SIZES {
        if at < share {
            return random.below(max + 1);
        }
        at -= share;
    }
    unreachable!("the shares add up to 1000")
}

pub(super) fn framing(size: u64, random: &mut Random) -> Framing {
    let least = usize::try_from(size / CHUNKS_MAX).expect("64 bits");
    match random.pick(&CHUNKS).max(least) {
        _ if random.one_in(2) => Framing::Length,
        chunk => Framing::Chunks(chunk),
    }
}

pub(super) fn fault(size: u64, random: &mut Random) -> Fault {
    let act = match random.below(40) {
        0..10 => Act::Close,
        10..20 => Act::Reset,
        20..30 => Act::HalfClose,
        30..39 => Act::Pause(Duration::from_millis(random.below(200))),
        _ => Act::Stall,
    };
    let after = match random.below(6) {
        0 => 0,
        1 => size,
        _ => random.below(size + 1),
    };
    Fault { act, after, ragged: random.one_in(2) }
}

/// Mostly none, or the order of the two sides would be the same in all exchanges.
pub(super) fn delay(random: &mut Random) -> Duration {
    let micros = if random.one_in(3) { random.below(20_000) } else { 0 };
    Duration::from_micros(micros)
}

pub(super) fn other(random: &mut Random) -> Other {
    random.pick(&[
        Other::Delete,
        Other::Report,
        Other::Status,
        Other::SecondSource,
        Other::SecondDestination,
    ])
}

pub(super) fn rescue(random: &mut Random) -> Rescue {
    match random.below(20) {
        0 => Rescue::Expire,
        1..6 => Rescue::Delete,
        _ => Rescue::Rejoin,
    }
}

pub(super) fn receipt(random: &mut Random) -> Receipt {
    match random.below(24) {
        0 => Receipt::Confirmed,
        1 => Receipt::Failed,
        2 => Receipt::Acked,
        _ => Receipt::None,
    }
}
