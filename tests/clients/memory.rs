//! Memory of both ends of a stream: independent of the amount of data.

use std::fs::File;
use std::thread;

use crate::support::{Relay, peak_of};
use crate::workdir::{Workdir, assert_complete};

/// Maximum memory of either end, in KiB. Debug builds used up to 13,400, most of it pages of the
/// program itself.
const PEAK_MAX_KIB: u64 = 20 << 10;

/// Peak memory of the sender and the receiver of a file of this size, in KiB.
fn peaks(bytes: u64, flags: &[&str]) -> [u64; 2] {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    File::create(here.path("a")).expect("a file").set_len(bytes).expect("a sparse file");
    let (sending, id) = here.start_sending(&[&["a"], flags].concat());
    let receiving = here.start(&["receive", &id, "-o", "/dev/null"]);
    let sent = thread::spawn(|| peak_of(sending));
    let (received, received_kib) = peak_of(receiving);
    let (sent, sent_kib) = sent.join().expect("the sender");
    assert_complete("receive", &received);
    assert_complete("send", &sent);
    relay.await_state(&id, "FINISHED");
    println!("{bytes} bytes {flags:?}: sender {sent_kib} KiB, receiver {received_kib} KiB");
    [sent_kib, received_kib]
}

#[test]
fn memory_does_not_grow_with_the_transfer_at_either_end() {
    // A digest is slow without optimisation; an increase of 16 MiB would be visible.
    for (bytes, flags) in [(1 << 30, &[][..]), (16 << 20, &["--digest"])] {
        for peak_kib in peaks(bytes, flags) {
            assert!((1..=PEAK_MAX_KIB).contains(&peak_kib), "{peak_kib} KiB with {flags:?}");
        }
    }
}
