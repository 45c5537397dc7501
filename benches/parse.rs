//! Cost of parsing: request heads of three sizes, and chunk framing by chunk size.
//!
//! `cargo bench --bench parse`

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use rdv::http::chunked::{ChunkDecoder, Event};
use rdv::http::head::{FieldSlots, HeadLimits, parse};

/// The relay's default limits.
const LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, target_bytes: 8 << 10 };

/// Payload of the bodies whose chunks are decoded.
const BODY_BYTES: usize = 1 << 20;

fn main() {
    divan::main();
}

/// What `curl -T` sends.
fn curl() -> Vec<u8> {
    b"PUT /stream/0f8fad5b-d9cb-469f-a165-70867728950e HTTP/1.1\r\nHost: localhost:8080\r\n\
      User-Agent: curl/8.14.1\r\nAccept: */*\r\nContent-Length: 5\r\n\r\n"
        .to_vec()
}

/// What a browser sends.
fn browser() -> Vec<u8> {
    b"GET /stream/0f8fad5b-d9cb-469f-a165-70867728950e HTTP/1.1\r\nHost: relay.example\r\n\
      Connection: keep-alive\r\nCache-Control: max-age=0\r\n\
      sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\", \"Google Chrome\";v=\"140\"\r\n\
      sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
      User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
      Chrome/140.0.0.0 Safari/537.36\r\n\
      Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
      Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n\
      Sec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
      Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nReferer: https://relay.example/upload\r\n\r\n"
        .to_vec()
}

/// A head of the maximum size, with the maximum number of fields.
fn longest() -> Vec<u8> {
    let mut head = b"PUT /stream/x HTTP/1.1\r\nHost: h\r\n".to_vec();
    let width = (LIMITS.bytes - head.len() - 2) / 99;
    for number in 0..99 {
        let name = format!("X-Field-{number:02}: ");
        head.extend_from_slice(name.as_bytes());
        head.extend(std::iter::repeat_n(b'v', width - name.len() - 2));
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}

#[divan::bench(args = ["curl", "browser", "16 KiB"])]
fn head(bencher: Bencher, kind: &str) {
    let bytes = match kind {
        "curl" => curl(),
        "browser" => browser(),
        _ => longest(),
    };
    bencher.counter(BytesCount::new(bytes.len())).bench_local(|| {
        let mut slots = FieldSlots::new();
        let head = parse(black_box(&bytes), &mut slots, &LIMITS);
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
