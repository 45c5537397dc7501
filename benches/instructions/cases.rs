//! Work without sockets: heads, chunks, the registry, and the planning of transfers.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;
use std::time::{Duration, Instant};

use rdv::api::creation;
use rdv::api::download::Upload;
use rdv::api::route::{Audience, route};
use rdv::http::chunked::{ChunkDecoder, Event, write_framed};
use rdv::http::date::HttpDate;
use rdv::http::framing::Framing;
use rdv::http::head::{FieldSlots, parse};
use rdv::http::response::HeadWriter;
use rdv::rendezvous::transfer::Delimiter;
use rdv::rendezvous::{
    Client, Connected, Ending, Limits, Now, Ready, Registry, Side, Step, Transfer,
};
use uuid::Uuid;

use crate::heads::{self, LIMITS};
use crate::{Result, failure};

/// Repeats one case.
type Case = fn(u32);

const ALL: [(&str, Case); 13] = [
    ("head-curl", |count| head(count, &heads::curl())),
    ("head-browser", |count| head(count, &heads::browser())),
    ("head-16-kib", |count| head(count, &heads::longest())),
    ("head-of-download", head_of_download),
    ("creation", creation),
    ("chunks-16-b", |count| chunks(count, 16)),
    ("chunks-2-kib", |count| chunks(count, 2 << 10)),
    ("chunks-64-kib", |count| chunks(count, 64 << 10)),
    ("framing", framing),
    ("registry", registry),
    ("transfer-1-kib", |count| transfers(count, &[b'x'; 1024], Framing::Length(1024))),
    ("transfer-1-mib", |count| transfers(count, &vec![b'x'; 1 << 20], Framing::Length(1 << 20))),
    ("transfer-chunks-2-kib", |count| {
        transfers(count, &chunked(32 << 10, 2 << 10), Framing::Chunked);
    }),
];

/// The names of all cases.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    ALL.iter().map(|&(name, _)| name)
}

/// Repeats the case of this name.
pub(crate) fn repeat(name: &str, count: u32) -> Result<()> {
    let case = ALL.iter().find(|(known, _)| *known == name);
    let (_, case) = case.ok_or_else(|| failure(format!("no case: {name}")))?;
    case(count);
    Ok(())
}

/// Parses a head and finds its route.
fn head(count: u32, bytes: &[u8]) {
    for _ in 0..count {
        let mut slots = FieldSlots::new();
        let head = parse(black_box(bytes), &mut slots, &LIMITS);
        let head = head.expect("the head is valid").expect("the head is complete");
        black_box(route(&head, Audience::Public { paths: false }));
    }
}

/// Writes the head of a download.
fn head_of_download(count: u32) {
    let (bytes, mut slots) = (heads::curl(), FieldSlots::new());
    let head = parse(&bytes, &mut slots, &LIMITS).expect("valid").expect("complete");
    let date = HttpDate::from_unix_seconds(1_800_000_000);
    for _ in 0..count {
        let upload = Upload::new(black_box(&head), Some("report.pdf"));
        let mut out = Vec::new();
        let writer = HeadWriter::new(&mut out, 200, &date);
        upload.download_fields(writer, upload.delimiter(head.version), None).end();
        black_box(out);
    }
}

/// Parses the body of `POST /stream`.
fn creation(count: u32) {
    let body =
        br#"{"ttl_seconds":600,"download_headers":{"Content-Type":"text/plain","X-Name":"n"}}"#;
    for _ in 0..count {
        black_box(creation::parse(black_box(body)).expect("the body is valid"));
    }
}

/// A body of `bytes` payload in chunks of this size.
fn chunked(bytes: usize, chunk: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for _ in 0..bytes / chunk {
        write_framed(&mut body, &vec![b'x'; chunk], true);
    }
    body.extend_from_slice(b"0\r\n\r\n");
    body
}

/// Decodes 64 chunks; their payload is not read.
fn chunks(count: u32, chunk: usize) {
    let body = chunked(64 * chunk, chunk);
    for _ in 0..count {
        let (mut decoder, mut rest) = (ChunkDecoder::default(), black_box(&body[..]));
        while !rest.is_empty() {
            let (framing, event) = decoder.step(rest).expect("the framing is valid");
            rest = &rest[framing..];
            match event {
                Event::Payload { len } => {
                    decoder.took(len as u64);
                    rest = &rest[len..];
                }
                Event::NeedInput | Event::End => {}
            }
        }
        assert!(decoder.is_done(), "the body is complete");
    }
}

/// Frames 64 chunks of 16 bytes.
fn framing(count: u32) {
    let mut out = Vec::new();
    for _ in 0..count {
        out.clear();
        for _ in 0..64 {
            write_framed(&mut out, black_box(&[b'x'; 16]), true);
        }
        black_box(&out);
    }
}

/// Creates a stream, joins and ends it, and removes an earlier one.
fn registry(count: u32) {
    let second = Duration::from_secs(1);
    let mut registry = Registry::new(Limits {
        streams: 1000,
        streams_per_address: 100,
        unjoined_per_address: 10,
        ttl: 60 * second,
        retention: 60 * second,
    });
    let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
    #[expect(clippy::disallowed_methods, reason = "only a start; the time is counted from it")]
    let start = Instant::now();
    for number in 0..count {
        let now = Now { monotonic: start + number * second, wall_ms: i64::from(number) };
        // Spread like a random identifier, but the same in each run.
        let id = Uuid::from_u128(u128::from(number) << 96 | 0x5eed);
        registry.create(id, None, address, now).expect("there is room");
        registry.connect(id, Side::Source, Client(1), now);
        let joined = registry.connect(id, Side::Destination, Client(2), now);
        let Connected::Paired { stream, .. } = joined else { panic!("not paired: {joined:?}") };
        registry.transferred(stream, 1024);
        registry.end(stream, Ending::Finished(None), now);
        registry.expire(now, &mut 1024);
    }
}

/// Moves an upload to a download as the event loop does, without the sockets.
fn transfers(count: u32, upload: &[u8], framing: Framing) {
    let delimiter = match framing {
        Framing::Length(_) => Delimiter::Length,
        Framing::Chunked => Delimiter::Chunks,
    };
    for _ in 0..count {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n".to_vec();
        let mut transfer = Transfer::new(framing, delimiter, head, true);
        drive(&mut transfer, black_box(upload));
        assert!(transfer.upload_complete(), "all is passed on");
    }
}

/// Bytes that a socket has at once.
const SOCKET_BYTES: usize = 64 << 10;

fn drive(transfer: &mut Transfer, mut upload: &[u8]) {
    let mut pieces: Vec<Range<usize>> = Vec::new();
    loop {
        let ready = Ready { source: true, destination: true };
        match transfer.next(ready) {
            Step::Done(_) | Step::Wait(_) => return,
            Step::Send { .. } => transfer.sent(transfer.prefix().len()),
            Step::Drain { bytes } => transfer.drained(bytes),
            Step::Fill { max_bytes } => {
                let count = max_bytes.min(upload.len()).min(SOCKET_BYTES);
                transfer.filled(count);
                upload = &upload[count..];
            }
            Step::ReadFraming { max_bytes } => {
                let count = max_bytes.min(upload.len());
                pieces.clear();
                let used = transfer.received(&upload[..count], &mut pieces);
                transfer.keep(&upload[..count], &pieces);
                upload = &upload[used..];
            }
            Step::Copy { max_bytes } => {
                let count = max_bytes.min(upload.len()).min(SOCKET_BYTES);
                pieces.clear();
                let used = transfer.received(&upload[..count], &mut pieces);
                let body: usize = pieces.iter().map(Range::len).sum();
                if body > 0 {
                    transfer.announce(body);
                    let bytes = transfer.prefix().len() + body;
                    transfer.gathered(bytes, &upload[..count], &pieces);
                }
                upload = &upload[used..];
            }
        }
    }
}
