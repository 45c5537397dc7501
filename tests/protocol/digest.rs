//! `Repr-Digest` (RFC 9530): the digest declared by a source, in the status of a stream.

use crate::support::{Ask, Ending, Framing, Relay, Wire, ask, assert_uploaded, pattern};
use serde_json::Value;

/// A digest as sent by a source; these tests do not depend on the data.
const DIGEST: &str = "sha-256=:d435Qo+nKZ+gLcUHn7GQtQ72hiBVAgqoLsZnZPiTGPk=:";

/// Another digest.
const OTHER: &str = "sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCsyRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:";

/// Header fields of an upload.
type Fields<'f> = &'f [(&'f str, &'f str)];

/// The digests in the status of a finished stream with the body `hello`.
fn shown(relay: &Relay, id: &str) -> Option<String> {
    let status = relay.await_state(id, "FINISHED");
    status.get("repr_digest").map(|digest| digest.as_str().expect("a string").to_owned())
}

/// A chunked upload of `hello` with these header fields.
fn put(id: &str, fields: Fields) -> Ask {
    let put = Framing::Chunked.put(id);
    fields.iter().fold(put, |put, (name, value)| put.field(name, value))
}

/// The chunked body `hello` with these trailer lines.
fn body(trailers: &str) -> Vec<u8> {
    format!("5\r\nhello\r\n0\r\n{trailers}\r\n").into_bytes()
}

/// Uploads to a waiting destination, and reads both responses.
fn pass(relay: &Relay, id: &str, upload: &Ask) {
    let mut destination = relay.waiting_destination(id);
    assert_uploaded(&relay.exchange(upload));
    let download = destination.response();
    assert_eq!((download.text(), download.ending), ("hello", Ending::Complete));
    assert_eq!(download.head.get("Repr-Digest"), None, "it is not passed through");
    assert_eq!(download.head.get("Trailer"), None, "trailers are dropped");
}

#[test]
fn the_digest_in_the_trailers_takes_precedence_over_the_head() {
    let relay = Relay::start(&[]);
    let field = |value: &str| format!("Repr-Digest: {value}\r\n");
    let both = format!("{OTHER}, {DIGEST}");
    let (longest, longer) = ("x".repeat(512), "x".repeat(513));
    let head: Fields = &[("Repr-Digest", OTHER)];
    let rows: [(&str, Fields, String, Option<&str>); 20] = [
        ("none", &[], String::new(), None),
        ("announced", &[("Trailer", "Repr-Digest")], field(DIGEST), Some(DIGEST)),
        ("not announced", &[], field(DIGEST), Some(DIGEST)),
        ("in any case", &[], format!("rEPR-dIGEST:{DIGEST}\r\n"), Some(DIGEST)),
        ("blanks around", &[], field(&format!(" \t {DIGEST}\t ")), Some(DIGEST)),
        ("among others", &[], format!("A: b\r\n{}C: d\r\n", field(DIGEST)), Some(DIGEST)),
        ("only others", &[], "A: b\r\nDigest: x\r\nRepr-Digest-2: x\r\n".into(), None),
        ("two", &[], field(OTHER) + &field(DIGEST), Some(&both)),
        ("two and an empty one", &[], field(OTHER) + &field("") + &field(DIGEST), Some(&both)),
        ("the longest", &[], field(&longest), Some(&longest)),
        ("too long", &[], field(&longer), None),
        ("a blank within", &[], field(&both), Some(&both)),
        ("no dictionary", &[], field("a b"), None),
        ("not ASCII", &[], field("\u{e9}"), None),
        ("empty", &[], field(""), None),
        ("in the head", head, String::new(), Some(OTHER)),
        ("in the head twice", &[head[0], ("repr-digest", DIGEST)], String::new(), Some(&both)),
        ("in both", head, field(DIGEST), Some(DIGEST)),
        ("broken in the trailers, and in the head", head, field("="), Some(OTHER)),
        (
            "in the trailers, and wrong in the head",
            &[("Repr-Digest", "a b")],
            field(DIGEST),
            Some(DIGEST),
        ),
    ];
    for (name, fields, trailers, wanted) in &rows {
        let id = relay.create();
        pass(&relay, &id, &put(&id, fields).raw_body(&body(trailers)));
        assert_eq!(shown(&relay, &id).as_deref(), *wanted, "{name}");
    }
}

#[test]
fn a_trailer_may_arrive_byte_by_byte() {
    let relay = Relay::start(&[]);
    let trailers = format!("Trailer-A: b\r\nRepr-Digest: \t{DIGEST} \r\nC:\r\n");
    for flags in [&[][..], &["--no-splice"]] {
        let relay = if flags.is_empty() { &relay } else { &Relay::start(flags) };
        let id = relay.create();
        let mut destination = relay.waiting_destination(&id);
        let mut source = relay.connect();
        source.ask(&put(&id, &[]));
        for byte in body(&trailers) {
            source.send([byte]);
            relay.await_turn();
        }
        assert_uploaded(&source.response());
        assert_eq!(destination.response().text(), "hello");
        assert_eq!(shown(relay, &id).as_deref(), Some(DIGEST), "{flags:?}");
    }
}

#[test]
fn trailers_after_large_chunks_are_read() {
    let relay = Relay::start(&[]);
    let data = pattern(3, 700_000);
    // Longer than one read of chunk framing, before and after the digest.
    let other = format!("X-Long: {}\r\n", "y".repeat(1500));
    let trailers = format!("{other}Repr-Digest: {DIGEST}\r\n{other}");
    for chunk_bytes in [700_000, 100_000, 1000] {
        let mut pair = relay.pair(Framing::Chunked);
        let mut wire: Vec<u8> =
            data.chunks(chunk_bytes).flat_map(|chunk| Framing::Chunked.piece(chunk)).collect();
        wire.extend(format!("0\r\n{trailers}\r\n").bytes());
        let mut sender = pair.source.handle();
        let sending = std::thread::spawn(move || std::io::Write::write_all(&mut sender, &wire));
        let download = pair.destination.response();
        assert!(download.body == data, "{chunk_bytes}: the complete body");
        sending.join().expect("a thread").expect("the relay takes it");
        assert_uploaded(&pair.source.response());
        assert_eq!(shown(&relay, &pair.id).as_deref(), Some(DIGEST), "{chunk_bytes}");
    }
}

#[test]
fn the_digest_may_be_in_the_head_of_an_upload_of_any_framing() {
    let relay = Relay::start(&[]);
    let uploads: [fn(&str) -> Ask; 4] = [
        |id| ask("PUT", &format!("/stream/{id}")).body("hello"),
        |id| ask("PUT", &format!("/stream/{id}/a.txt")).body("hello"),
        |id| ask("PUT", &format!("/stream/{id}")).body("hello").http10(),
        |id| put(id, &[]).raw_body(&body("")),
    ];
    let names = ["with a length", "with a name", "in HTTP/1.0", "in chunks"];
    for (name, upload) in names.into_iter().zip(uploads) {
        let id = relay.create();
        pass(&relay, &id, &upload(&id).field("Repr-Digest", DIGEST));
        assert_eq!(shown(&relay, &id).as_deref(), Some(DIGEST), "{name}");

        let id = relay.create();
        let mut source = relay.connect();
        source.ask(&upload(&id).field("Repr-Digest", DIGEST));
        relay.await_state(&id, "SRC_CONNECTED");
        assert_eq!(relay.get(&format!("/stream/{id}")).text(), "hello", "{name}");
        assert_eq!(
            shown(&relay, &id).as_deref(),
            Some(DIGEST),
            "{name}: the source connected first"
        );
    }
}

#[test]
fn an_http_1_0_destination_changes_nothing() {
    let relay = Relay::start(&[]);
    let mut pair = relay.pair_with(Framing::Chunked, Ask::http10);
    pair.source.send(body(&format!("Repr-Digest: {DIGEST}\r\n")));
    let download = pair.destination.response();
    assert_eq!((download.text(), download.ending), ("hello", Ending::Complete));
    assert_eq!(shown(&relay, &pair.id).as_deref(), Some(DIGEST));
}

#[test]
fn each_upload_of_a_connection_has_its_own_digest() {
    let relay = Relay::start(&[]);
    let uploads = [
        (format!("Repr-Digest: {DIGEST}\r\n"), Some(DIGEST)),
        (String::new(), None),
        ("A: b\r\n".into(), None),
        (format!("Repr-Digest: {OTHER}\r\n"), Some(OTHER)),
    ];
    let ids = uploads.each_ref().map(|_| relay.create());
    let mut destinations = ids.each_ref().map(|id| relay.waiting_destination(id));
    let mut source = relay.connect();
    let pipelined = ids
        .iter()
        .zip(&uploads)
        .map(|(id, (trailers, _))| put(id, &[]).raw_body(&body(trailers)).bytes());
    source.send(pipelined.collect::<Vec<_>>().concat());
    for ((id, destination), (trailers, wanted)) in ids.iter().zip(&mut destinations).zip(&uploads) {
        assert_uploaded(&source.response());
        assert_eq!(destination.response().text(), "hello");
        assert_eq!(shown(&relay, id).as_deref(), *wanted, "{trailers:?}");
    }
    assert_eq!(source.exchange(&ask("GET", "/ping")).status(), 200, "the connection is kept");
}

/// Starts an upload with a digest in its head, and a trailer line after its data.
fn begin(relay: &Relay) -> (String, Wire, Wire) {
    let id = relay.create();
    let mut destination = relay.waiting_destination(&id);
    let mut source = relay.connect();
    source.ask(&put(&id, &[("Repr-Digest", OTHER)]));
    source.send(format!("5\r\nhello\r\n0\r\nRepr-Digest: {DIGEST}\r\n"));
    destination.head();
    assert_eq!(destination.body(5), b"hello");
    relay.await_turn();
    (id, source, destination)
}

#[test]
fn the_digest_is_shown_only_after_the_complete_upload() {
    let relay = Relay::start(&[]);
    let (id, mut source, mut destination) = begin(&relay);
    let status = relay.status(&id);
    assert_eq!((&status["state"], status.get("repr_digest")), (&"STREAMING".into(), None));
    source.send("\r\n");
    assert_uploaded(&source.response());
    assert_eq!(destination.rest(), (Vec::new(), Ending::Complete));
    assert_eq!(shown(&relay, &id).as_deref(), Some(DIGEST));
    let list = relay.admin_get("/stream").json();
    assert_eq!(list[0]["repr_digest"], DIGEST, "in the list as well");
}

#[test]
fn an_unfinished_stream_has_no_digest() {
    let relay = Relay::start(&["--ttl", "3s"]);
    let check = |id: &str, state: &str| {
        let status = relay.await_state(id, state);
        assert_eq!(status.get("repr_digest"), None, "{state}");
    };
    let (id, source, _destination) = begin(&relay);
    drop(source);
    check(&id, "SRC_DISCONNECTED");
    let (id, mut source, _destination) = begin(&relay);
    source.send("no trailer\r\n\r\n");
    check(&id, "SRC_ERROR");
    let (id, _source, destination) = begin(&relay);
    drop(destination);
    check(&id, "DST_DISCONNECTED");
    let (id, _source, _destination) = begin(&relay);
    assert_eq!(relay.exchange(&ask("DELETE", &format!("/stream/{id}"))).status(), 204);
    check(&id, "CLIENT_ERROR");
    let id = relay.create();
    let mut source = relay.connect();
    source.ask(&put(&id, &[("Repr-Digest", DIGEST)]).raw_body(&body("")));
    check(&id, "TIMEOUT_NO_DST");
}

#[test]
fn only_the_last_event_has_the_digest() {
    let relay = Relay::start(&[]);
    let (id, mut source, _destination) = begin(&relay);
    let mut subscriber = relay.connect();
    subscriber.ask(&ask("GET", &format!("/stream/{id}/events")));
    assert_eq!(subscriber.head().status, 200);
    let first = subscriber.read_some(usize::MAX);
    source.send("\r\n");
    let (rest, ending) = subscriber.rest();
    assert_eq!(ending, Ending::Complete);
    let text = String::from_utf8([first, rest].concat()).expect("UTF-8");
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data.map(|json| crate::support::parse(json.as_bytes())).collect();
    let (last, before) = events.split_last().expect("events");
    assert!(!before.is_empty(), "the first event was sent during the transfer");
    assert!(before.iter().all(|event| event.get("repr_digest").is_none()), "{text}");
    assert_eq!((&last["state"], &last["repr_digest"]), (&"FINISHED".into(), &DIGEST.into()));
}

#[test]
fn a_digest_in_download_headers_is_not_that_of_the_source() {
    let relay = Relay::start(&[]);
    let options = serde_json::json!({ "download_headers": { "Repr-Digest": OTHER } });
    let id = relay.create_with(&options);
    let mut destination = relay.waiting_destination(&id);
    assert_uploaded(&relay.exchange(&put(&id, &[]).raw_body(&body(""))));
    let download = destination.response();
    assert_eq!(download.head.get("Repr-Digest"), Some(OTHER), "as the creator requested");
    assert_eq!(shown(&relay, &id), None, "the source declared no digest");
}
