//! Forms: the first part of an upload is the download.

use super::{PATHS, assert_refused, await_state, transfer, waiting};
use crate::support::{
    Ask, Ending, Framing, Relay, ask, assert_uploaded, chunks, is_pattern, pattern,
};

/// A form as browsers and curl write it, with another part after the first one.
fn form(fields: &str, content: &[u8]) -> Vec<u8> {
    let first = format!("--b1\r\n{fields}\r\n");
    let second =
        b"\r\n--b1\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\nmore\r\n--b1--\r\n";
    [first.as_bytes(), content, second].concat()
}

fn post() -> Ask {
    ask("POST", "/p/a").field("Content-Type", "multipart/form-data; boundary=b1")
}

#[test]
fn the_first_part_is_received_with_its_own_fields() {
    const NAMED: &str = "form-data; name=\"input_file\"; filename=\"\u{e4}.txt\"";
    let relay = Relay::start(&[PATHS]);
    for (name, fields, kind, disposition) in [
        ("without a type", String::new(), None, None),
        ("with a type", "Content-Type: text/plain\r\n".into(), Some("text/plain"), None),
        ("HTML", "content-type: text/html\r\n".into(), Some("text/plain"), None),
        (
            "HTML with a parameter",
            "Content-Type: text/html; charset=utf-8\r\n".into(),
            Some("text/plain; charset=utf-8"),
            None,
        ),
        ("a file", format!("Content-Disposition: {NAMED}\r\n"), None, Some(NAMED)),
    ] {
        let body = form(&fields, b"this is a content");
        for put in [post().body(&body), post().chunked().raw_body(&chunks(&body, &[1, 7, 30]))] {
            let [upload, download] = transfer(&relay, &put, &ask("GET", "/p/a"), "/p/a");
            assert_uploaded(&upload);
            let received = (download.text(), download.ending);
            assert_eq!(received, ("this is a content", Ending::Complete), "{name}");
            assert_eq!(download.head.get("Content-Type"), kind, "{name}");
            assert_eq!(download.head.get("Content-Disposition"), disposition, "{name}");
            assert_eq!(download.head.get("Content-Length"), None, "{name}: it is unknown");
        }
    }
}

#[test]
fn a_large_part_is_streamed() {
    let relay = Relay::start(&[PATHS]);
    let body = form("", &pattern(3, 20 << 20));
    let before = relay.resident_bytes();
    for (put, get) in [
        (post().body(&body), ask("GET", "/p/a")),
        (
            post().chunked().raw_body(&chunks(&body, &[100_000, 65_536])),
            ask("GET", "/p/a").http10(),
        ),
    ] {
        let mut receiver = waiting(&relay, &get, "/p/a");
        let sender = relay.connect();
        let mut sending = sender.handle();
        let bytes = put.bytes();
        let thread = std::thread::spawn(move || {
            std::io::Write::write_all(&mut sending, &bytes).expect("send the form");
            sender
        });
        let download = receiver.response();
        assert_eq!(download.ending, Ending::Complete);
        is_pattern(3, 20 << 20, &download.body).unwrap_or_else(|why| panic!("{why}"));
        assert_uploaded(&thread.join().expect("the sender").response());
    }
    let grown = relay.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "the relay grew by {grown} bytes");
}

#[test]
fn every_byte_of_a_part_is_forwarded_as_it_arrives() {
    let relay = Relay::start(&[PATHS]);
    let mut receiver = waiting(&relay, &ask("GET", "/p/a"), "/p/a");
    let mut sender = relay.connect();
    sender.ask(&post().chunked());
    sender.send(Framing::Chunked.piece(b"--b1\r\n\r\nhe"));
    assert_eq!((receiver.head().status, receiver.body(2)), (200, b"he".to_vec()));
    for piece in [b"l", b"l", b"o"] {
        sender.send(Framing::Chunked.piece(piece));
        assert_eq!(receiver.body(1), piece);
    }
    // The part is over with its delimiter; the sender is answered after the rest of its form.
    sender.send(Framing::Chunked.piece(b"\r\n--b1\r\n\r\nmore"));
    sender.send(Framing::Chunked.piece(b"\r\n--b1--\r\n"));
    sender.send(Framing::Chunked.end());
    assert_eq!(receiver.rest(), (Vec::new(), Ending::Complete));
    assert_uploaded(&sender.response());
}

#[test]
fn a_form_that_ends_within_its_part_is_a_broken_upload() {
    let relay = Relay::start(&[PATHS]);
    for (name, body, content) in [
        ("without a part", &b"--b1--\r\n"[..], &b""[..]),
        ("empty", b"", b""),
        ("within its head", b"--b1\r\nContent-Type: a/b\r\n", b""),
        ("with a malformed head", b"--b1\r\nContent-Type\r\n\r\nhi\r\n--b1--\r\n", b""),
        ("with LF only", b"--b1\nContent-Type: a/b\n\nhi\n--b1--\n", b""),
        (
            "with another boundary at its end",
            b"--b1\r\n\r\nhi\r\n--b12--\r\n",
            b"hi\r\n--b12--\r\n",
        ),
        ("within its content", b"--b1\r\n\r\nhi", b"hi"),
        ("within its delimiter", b"--b1\r\n\r\nhi\r\n--b", b"hi"),
    ] {
        for old in [false, true] {
            let get = ask("GET", "/p/a");
            let get = if old { get.http10() } else { get };
            let mut receiver = waiting(&relay, &get, "/p/a");
            let upload = relay.exchange(&post().body(body));
            assert_refused(name, &upload, 400, "form");
            match receiver.try_response() {
                Ok(download) if content.is_empty() => {
                    assert_refused(name, &download, 502, "source");
                }
                Ok(download) => {
                    assert_ne!(download.ending, Ending::Complete, "{name}");
                    assert!(content.starts_with(&download.body), "{name}");
                }
                Err(ending) => assert_eq!((ending, old), (Ending::Reset, true), "{name}"),
            }
        }
    }
}

#[test]
fn a_form_is_kept_for_the_next_receiver() {
    let relay = Relay::start(&[PATHS]);
    let (head, rest) = (b"--b1\r\nContent-Type: a/b\r\n\r\n", b"hello\r\n--b1--\r\n");
    let mut sender = waiting(&relay, &post().length(head.len() + rest.len()), "/p/a");
    let mut first = relay.connect();
    first.ask(&ask("GET", "/p/a"));
    await_state(&relay, "STREAMING");
    let shown = relay.exchange(&ask("HEAD", "/p/a")).head;
    assert_eq!((shown.get("Content-Type"), shown.get("Content-Length")), (None, None));
    // The head of the part is read for the first receiver, and sent to the second one.
    sender.send(head);
    relay.await_turn();
    drop(first);
    await_state(&relay, "SRC_CONNECTED");
    let mut second = relay.connect();
    second.ask(&ask("GET", "/p/a"));
    sender.send(rest);
    let download = second.response();
    assert_eq!((download.text(), download.ending), ("hello", Ending::Complete));
    assert_eq!(download.head.get("Content-Type"), Some("a/b"));
    assert_uploaded(&sender.response());
}
