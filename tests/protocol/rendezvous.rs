//! Pairing of uploads and downloads: both orders, every framing, sizes from 0 to 5 MiB.

use std::thread;

use crate::support::{
    Ask, Ending, Framing, Relay, Response, ask, assert_uploaded, chunks, is_pattern, pattern,
};

const SIZES: [usize; 5] = [0, 1, 1_000, 70_000, 5 << 20];

/// Which side connects first.
#[derive(Clone, Copy, Debug)]
enum First {
    Source,
    Destination,
}

/// The framing and the HTTP version of an upload.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Upload {
    Length,
    LengthBy10,
    SmallChunks,
    LargeChunks,
    NoLength,
}

const UPLOADS: [Upload; 5] = [
    Upload::Length,
    Upload::LengthBy10,
    Upload::SmallChunks,
    Upload::LargeChunks,
    Upload::NoLength,
];

impl Upload {
    fn request(self, id: &str, data: &[u8]) -> Vec<u8> {
        let put = ask("PUT", &format!("/stream/{id}"));
        let chunked = |sizes| put.clone().chunked().raw_body(&chunks(data, sizes)).bytes();
        match self {
            Upload::Length => put.body(data).bytes(),
            Upload::LengthBy10 => put.http10().body(data).bytes(),
            Upload::SmallChunks => chunked(&[1, 2, 7, 63, 512, 2048]),
            Upload::LargeChunks => chunked(&[65_536, 16_384, 100_000, 1]),
            Upload::NoLength => put.bytes(),
        }
    }

    fn has_length(self) -> bool {
        matches!(self, Upload::Length | Upload::LengthBy10)
    }
}

/// One complete exchange; returns the raw download and the upload's response.
fn pair_and_transfer(
    relay: &Relay,
    first: First,
    get: &Ask,
    upload: (&str, Vec<u8>),
) -> (Response, Response) {
    let (id, request) = upload;
    let (mut source, mut destination) = (relay.connect(), relay.connect());
    thread::scope(|scope| {
        let send = |request: Vec<u8>| {
            let mut socket = source.handle();
            scope.spawn(move || std::io::Write::write_all(&mut socket, &request).expect("upload"))
        };
        match first {
            First::Source => {
                send(request);
                relay.await_state(id, "SRC_CONNECTED");
                destination.ask(get);
            }
            First::Destination => {
                destination.ask(get);
                relay.await_state(id, "DST_CONNECTED");
                send(request);
            }
        }
        let download = destination.response();
        (download, source.response())
    })
}

/// Every framing and size with this kind of destination.
fn every_body_arrives(flags: &[&str], first: First, old_destination: bool) {
    let relay = Relay::start(flags);
    for upload in UPLOADS {
        for size in SIZES.into_iter().filter(|size| *size == 0 || upload != Upload::NoLength) {
            let name = format!("{first:?} first, {upload:?}, {size} bytes");
            let id = relay.create();
            let get = ask("GET", &format!("/stream/{id}"));
            let get = if old_destination { get.http10() } else { get };
            let data = pattern(size as u64, size);
            let request = upload.request(&id, &data);

            let (download, uploaded) = pair_and_transfer(&relay, first, &get, (&id, request));
            assert_download(&name, &download, (upload, size, old_destination));
            assert_uploaded(&uploaded);
            let status = relay.await_state(&id, "FINISHED");
            assert_eq!(status["bytes_transferred"], size, "{name}");
        }
    }
}

fn assert_download(name: &str, download: &Response, wanted: (Upload, usize, bool)) {
    let (upload, size, old_destination) = wanted;
    assert_eq!(download.status(), 200, "{name}: {}", String::from_utf8_lossy(&download.body));
    assert_eq!(download.ending, Ending::Complete, "{name}");
    is_pattern(size as u64, size, &download.body).unwrap_or_else(|why| panic!("{name}: {why}"));
    let length = download.head.get("Content-Length");
    let coding = download.head.get("Transfer-Encoding");
    if upload.has_length() {
        assert_eq!((length, coding), (Some(size.to_string().as_str()), None), "{name}");
    } else if old_destination {
        assert_eq!(coding, None, "{name}");
    }
    if size > 0 && !upload.has_length() {
        let wanted = if old_destination { None } else { Some("chunked") };
        assert_eq!((length, coding), (None, wanted), "{name}");
    }
}

#[test]
fn a_waiting_source_is_paired_with_a_destination() {
    every_body_arrives(&[], First::Source, false);
}

#[test]
fn a_waiting_source_is_paired_with_an_http_1_0_destination() {
    every_body_arrives(&[], First::Source, true);
}

#[test]
fn a_waiting_destination_is_paired_with_a_source() {
    every_body_arrives(&[], First::Destination, false);
}

#[test]
fn a_waiting_http_1_0_destination_is_paired_with_a_source() {
    every_body_arrives(&[], First::Destination, true);
}

#[test]
fn every_body_arrives_without_splice() {
    every_body_arrives(&["--no-splice"], First::Source, false);
    every_body_arrives(&["--no-splice"], First::Destination, true);
}

#[test]
fn every_body_arrives_through_few_small_pipes() {
    every_body_arrives(&["--pipe-size", "64KiB"], First::Destination, false);
    every_body_arrives(&["--max-pipes", "1"], First::Source, true);
}

#[test]
fn post_is_equivalent_to_put() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let post = ask("POST", &format!("/stream/{id}")).field("Content-Type", "a/b").body("hello");
    let mut source = relay.connect();
    source.ask(&post);
    relay.await_state(&id, "SRC_CONNECTED");
    let download = relay.get(&format!("/stream/{id}"));
    assert_eq!((download.text(), download.head.get("Content-Type")), ("hello", Some("a/b")));
    assert_uploaded(&source.response());
}

#[test]
fn both_connections_stay_open_after_a_complete_transfer() {
    let relay = Relay::start(&[]);
    let (mut source, mut destination) = (relay.connect(), relay.connect());
    for round in 0..4 {
        for framing in [Framing::Length(5), Framing::Chunked] {
            let id = relay.create();
            destination.ask(&ask("GET", &format!("/stream/{id}")));
            relay.await_state(&id, "DST_CONNECTED");
            source.ask(&framing.put(&id));
            source.send([framing.piece(b"hello"), framing.end().to_vec()].concat());
            let download = destination.response();
            assert_eq!((download.text(), download.ending), ("hello", Ending::Complete));
            assert!(!download.head.closes(), "round {round}, {framing:?}");
            let uploaded = source.response();
            assert_uploaded(&uploaded);
            assert!(!uploaded.head.closes(), "round {round}, {framing:?}");
        }
    }
    assert_eq!(source.exchange(&ask("GET", "/ping")).status(), 200);
    assert_eq!(destination.exchange(&ask("GET", "/ping")).status(), 200);
}

#[test]
fn either_side_may_request_close() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let get = ask("GET", &format!("/stream/{id}")).closing();
    let mut destination = relay.waiting_with(&get, &id);
    let mut source = relay.connect();
    let uploaded = source.exchange(&Framing::Length(5).put(&id).closing().raw_body(b"hello"));
    assert_uploaded(&uploaded);
    assert!(uploaded.head.closes());
    source.expect_end();
    let download = destination.response();
    assert_eq!((download.text(), download.ending), ("hello", Ending::Complete));
    assert!(download.head.closes());
    destination.expect_end();
}

#[test]
fn a_download_pipelined_after_another_request_waits_its_turn() {
    let relay = Relay::start(&[]);
    let id = relay.create();
    let asks = [ask("GET", "/ping"), ask("GET", &format!("/stream/{id}")), ask("GET", "/version")];
    let mut destination = relay.connect();
    destination.send(asks.iter().flat_map(Ask::bytes).collect::<Vec<u8>>());
    assert_eq!(destination.response().text().trim_end(), "pong");
    relay.await_state(&id, "DST_CONNECTED");
    destination.assert_silent();
    let put = ask("PUT", &format!("/stream/{id}")).body("hello");
    assert_uploaded(&relay.exchange(&put));
    assert_eq!(destination.response().text(), "hello");
    assert_eq!(destination.response().json()["version"], env!("CARGO_PKG_VERSION"));
}

#[test]
fn a_request_pipelined_after_an_upload_is_served_after_it() {
    let relay = Relay::start(&[]);
    for size in [0, 5, 1_000, 70_000, 1 << 20] {
        for upload in [Upload::Length, Upload::SmallChunks, Upload::LargeChunks] {
            let id = relay.create();
            let data = pattern(3, size);
            let both = [upload.request(&id, &data), ask("GET", "/ping").bytes()].concat();
            let mut source = relay.connect();
            let mut sender = source.handle();
            let sending = thread::spawn(move || {
                std::io::Write::write_all(&mut sender, &both).expect("upload and ping");
            });
            let download = relay.get(&format!("/stream/{id}"));
            is_pattern(3, size, &download.body).unwrap_or_else(|why| panic!("{upload:?}: {why}"));
            assert_uploaded(&source.response());
            assert_eq!(source.response().text().trim_end(), "pong", "{upload:?} of {size}");
            sending.join().expect("the sender");
        }
    }
}

#[test]
fn chunks_read_ahead_end_with_their_upload() {
    const CHUNK: usize = 64 << 10;
    const ONE_BY_ONE: usize = 16;
    let relay = Relay::start(&[]);
    let data = pattern(5, 64 * CHUNK);
    let mut pair = relay.pair(Framing::Chunked);
    // Each is a batch of its own: the upload proves to be bulk.
    pair.pass_first(&data[..CHUNK]);
    for chunk in data[CHUNK..ONE_BY_ONE * CHUNK].chunks(CHUNK) {
        pair.pass(chunk);
    }
    let mut rest = chunks(&data[ONE_BY_ONE * CHUNK..], &[CHUNK]);
    let next = relay.create();
    let after = pattern(6, 10 * CHUNK);
    rest.extend(Upload::LargeChunks.request(&next, &after));
    rest.extend(ask("GET", "/ping").bytes());
    let mut sender = pair.source.handle();
    let sending = thread::spawn(move || {
        std::io::Write::write_all(&mut sender, &rest).expect("the rest and two requests");
    });
    let (body, ending) = pair.destination.rest();
    assert_eq!(ending, Ending::Complete);
    assert!(body == data[ONE_BY_ONE * CHUNK..], "every byte in its place");
    assert_uploaded(&pair.source.response());
    let download = relay.get(&format!("/stream/{next}"));
    assert!(download.body == after, "the next upload is complete, too");
    assert_uploaded(&pair.source.response());
    assert_eq!(pair.source.response().text().trim_end(), "pong");
    sending.join().expect("the sender");
}

#[test]
fn two_pipelined_uploads_are_two_streams() {
    let relay = Relay::start(&[]);
    for upload in [Upload::Length, Upload::SmallChunks] {
        let (one, two) = (relay.create(), relay.create());
        let requests = [upload.request(&one, b"the first"), upload.request(&two, b"the second")];
        let mut source = relay.connect();
        source.send(requests.concat());
        relay.await_state(&one, "SRC_CONNECTED");
        assert_eq!(relay.status(&two)["state"], "CREATED", "{upload:?}: its turn has not come");
        assert_eq!(relay.get(&format!("/stream/{one}")).text(), "the first", "{upload:?}");
        assert_uploaded(&source.response());
        assert_eq!(relay.get(&format!("/stream/{two}")).text(), "the second", "{upload:?}");
        assert_uploaded(&source.response());
    }
}

#[test]
fn two_pipelined_downloads_are_two_streams() {
    let relay = Relay::start(&[]);
    let ids = [relay.create(), relay.create()];
    let mut destination = relay.connect();
    destination.send(ids.iter().flat_map(|id| get_of(id).bytes()).collect::<Vec<u8>>());
    for (id, framing) in ids.iter().zip([Framing::Chunked, Framing::Length(5)]) {
        let body = [framing.piece(b"hello"), framing.end().to_vec()].concat();
        assert_uploaded(&relay.exchange(&framing.put(id).raw_body(&body)));
        assert_eq!(destination.response().text(), "hello");
    }
}

fn get_of(id: &str) -> Ask {
    ask("GET", &format!("/stream/{id}"))
}

#[test]
fn chunk_extensions_and_trailers_are_dropped() {
    let relay = Relay::start(&[]);
    let rows: [(&str, &str); 6] = [
        ("a bare extension", "5;a\r\nhello\r\n0\r\n\r\n"),
        ("extensions", "5;a=b;c=\"d;\\\"e\"\r\nhello\r\n0;last=1\r\n\r\n"),
        ("a trailer", "5\r\nhello\r\n0\r\nX-Secret: trailer\r\n\r\n"),
        (
            "trailers that would be framing",
            "5\r\nhello\r\n0\r\nContent-Length: 9\r\nX-A: b\r\n\r\n",
        ),
        ("zeros before a size", "0005\r\nhello\r\n0000\r\n\r\n"),
        ("several chunks", "1;x=y\r\nh\r\n00003;z\r\nell\r\n1\r\no\r\n0\r\nA: b\r\n\r\n"),
    ];
    for (name, body) in rows {
        let mut pair = relay.pair(Framing::Chunked);
        pair.source.send(body);
        // The client panics on a size line with an extension and on a trailer.
        let download = pair.destination.response();
        assert_eq!((download.text(), download.ending), ("hello", Ending::Complete), "{name}");
        assert_eq!(download.head.get("X-Secret"), None, "{name}");
        assert_eq!(download.head.get("Trailer"), None, "{name}");
        let uploaded = pair.source.response();
        assert_uploaded(&uploaded);
        assert_eq!(relay.status(&pair.id)["bytes_transferred"], 5, "{name}");
    }
}

#[test]
fn chunk_sizes_are_hexadecimal_in_either_case() {
    let relay = Relay::start(&[]);
    for size in ["1a", "1A", "001a", "001A"] {
        let mut pair = relay.pair(Framing::Chunked);
        let data = pattern(9, 26);
        pair.source.send([size.as_bytes(), b"\r\n", &data, b"\r\n0\r\n\r\n"].concat());
        assert_eq!(pair.destination.response().body, data, "{size}");
        assert_uploaded(&pair.source.response());
    }
}

#[test]
fn a_chunked_upload_may_arrive_byte_by_byte() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(Framing::Chunked);
    for byte in b"5;ext=1\r\nhello\r\n00b\r\n over there\r\n0\r\nA: b\r\n\r\n" {
        pair.source.send([*byte]);
        relay.await_turn();
    }
    let download = pair.destination.response();
    assert_eq!((download.text(), download.ending), ("hello over there", Ending::Complete));
    assert_uploaded(&pair.source.response());
}

#[test]
fn every_byte_is_forwarded_as_it_arrives() {
    let relay = Relay::start(&[]);
    for framing in [Framing::Length(30), Framing::Chunked] {
        for old in [false, true] {
            let mut pair = relay.pair_with(framing, |get| if old { get.http10() } else { get });
            pair.pass_first(b"0");
            for _ in 0..29 {
                pair.pass(b"x");
            }
            pair.complete();
        }
    }
}

#[test]
fn a_trickle_after_bulk_data_is_forwarded_as_it_arrives() {
    let relay = Relay::start(&[]);
    let flood = pattern(4, 3 << 20);
    for framing in [Framing::Length(flood.len() + 20), Framing::Chunked] {
        let mut pair = relay.pair(framing);
        let (mut sender, piece) = (pair.source.handle(), framing.piece(&flood));
        let sending = thread::spawn(move || {
            std::io::Write::write_all(&mut sender, &piece).expect("the flood");
        });
        assert_eq!(pair.destination.head().status, 200);
        let got = pair.destination.body(flood.len());
        is_pattern(4, flood.len(), &got).unwrap_or_else(|why| panic!("{framing:?}: {why}"));
        sending.join().expect("the sender");
        for _ in 0..20 {
            pair.pass(b"y");
        }
        pair.complete();
    }
}

#[test]
fn the_download_head_is_sent_with_the_first_byte() {
    let relay = Relay::start(&[]);
    for framing in [Framing::Length(2), Framing::Chunked] {
        let mut pair = relay.pair(framing);
        relay.await_turn();
        pair.destination.assert_silent();
        pair.pass_first(b"a");
        pair.pass(b"b");
        pair.complete();
    }
}

#[test]
fn the_upload_is_not_answered_before_its_end() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(b"all but the last chunk");
    relay.await_turn();
    pair.source.assert_silent();
    pair.complete();
}

#[test]
fn many_concurrent_streams_do_not_mix() {
    let relay = Relay::start(&[]);
    thread::scope(|scope| {
        for seed in 0..16 {
            let relay = &relay;
            scope.spawn(move || {
                let id = relay.create();
                let size = 200_000 + usize::try_from(seed).expect("small") * 1_000;
                let upload = UPLOADS[usize::try_from(seed).expect("small") % 4];
                let request = upload.request(&id, &pattern(seed, size));
                let first = if seed % 2 == 0 { First::Source } else { First::Destination };
                let (download, uploaded) =
                    pair_and_transfer(relay, first, &get_of(&id), (&id, request));
                is_pattern(seed, size, &download.body).expect("its own body");
                assert_uploaded(&uploaded);
            });
        }
    });
}
