//! Cost of parsing: request heads of three sizes, and chunk framing by chunk size.
//!
//! `cargo bench --bench parse`

#[path = "instructions/heads.rs"]
mod heads;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use rdv::http::chunked::{ChunkDecoder, Event};
use rdv::http::head::{FieldSlots, parse};

/// Payload of the bodies whose chunks are decoded.
const BODY_BYTES: usize = 1 << 20;

fn main() {
    divan::main();
}

#[divan::bench(args = ["curl", "browser", "16 KiB"])]
fn head(bencher: Bencher, kind: &str) {
    let bytes = match kind {
        "curl" => heads::curl(),
        "browser" => heads::browser(),
        _ => heads::longest(),
    };
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let mut slots = FieldSlots::new();
        let head = parse(black_box(&bytes), &mut slots, &heads::LIMITS);
        head.expect("the head is valid").expect("the head is complete").len
    });
}

/// Throughput counts the payload, which is not read.
#[divan::bench(args = [64 << 10, 2 << 10, 16])]
fn chunks(bencher: Bencher, chunk_bytes: usize) {
    let chunk =
        [format!("{chunk_bytes:x}\r\n").into_bytes(), vec![b'x'; chunk_bytes], b"\r\n".to_vec()];
    let body = [chunk.concat().repeat(BODY_BYTES / chunk_bytes), b"0\r\n\r\n".to_vec()].concat();
    bencher.counter(BytesCount::new(BODY_BYTES)).bench_local(|| {
        let (mut decoder, mut rest) = (ChunkDecoder::default(), black_box(&body[..]));
        loop {
            let (framing, event) = decoder.step(rest).expect("the framing is valid");
            rest = &rest[framing..];
            match event {
                Event::Payload { len } => {
                    decoder.took(len as u64);
                    rest = &rest[len..];
                }
                Event::NeedInput | Event::End => return rest.len(),
            }
        }
    });
}
