//! Refusals sent before the body was read: they arrive although the client still sends.

use crate::curl::{CLIENTS, status};
use crate::front::{Front, with_each};
use crate::proxy::Kind;
use crate::support::{Finished, Framing, UNKNOWN, Wire, ask, pattern};

const BYTES: usize = 30 << 20;

/// Streams that refuse an upload, each with the status.
struct Refusing {
    streams: [(String, u16); 4],
    _other: Wire,
}

impl Refusing {
    fn of(front: &Front) -> Refusing {
        let [deleted, taken, limited] = [(); 3].map(|()| front.relay.create());
        front.relay.exchange(&ask("DELETE", &format!("/stream/{deleted}")));
        let other = front.relay.waiting_source(&taken, Framing::Length(1));
        let unknown = UNKNOWN.to_owned();
        let streams = [(unknown, 404), (deleted, 404), (taken, 429), (limited, 413)];
        Refusing { streams, _other: other }
    }
}

/// Whether a client gets the complete refusal. The HTTP server of Go closes the connection half a
/// second after the response, so that a client which sends can lose it, unless it expects 100; in
/// HTTP/2 `curl` can lose the body.
fn arrives_completely(kind: Kind) -> bool {
    match kind {
        Kind::Nginx | Kind::HaProxy => true,
        Kind::Caddy | Kind::Traefik => false,
    }
}

/// Checks what became of the upload.
fn assert_refused(kind: Kind, uploaded: &Finished, expected: u16, what: &str) {
    let is_complete = status(uploaded).0 == expected && uploaded.stdout.contains("\"name\":");
    let may_be_lost = !arrives_completely(kind)
        && (status(uploaded).0 == expected
            || !uploaded.status.success() && !what.contains("Expect: 100"));
    assert!(is_complete || may_be_lost, "{what}: {} {}", uploaded.stdout, uploaded.stderr);
}

#[test]
fn a_refusal_reaches_a_client_that_sends() {
    with_each(&["--max-stream-bytes", "20000000"], |front| {
        let file = front.file("up", &pattern(7, BYTES));
        for client in CLIENTS {
            for expect in ["Expect:", "Expect: 100-continue"] {
                let refusing = Refusing::of(&front);
                for (id, expected) in &refusing.streams {
                    // Without a length the relay reads up to the limit, which needs a receiver.
                    if *expected == 413 && !client.name.ends_with(", length") {
                        continue;
                    }
                    let uploaded = front.upload(client, &file, id, &["-H", expect]).finish();
                    let what = format!("{:?}, {}, {expect}, {expected}", front.kind, client.name);
                    assert_refused(front.kind, &uploaded, *expected, &what);
                }
            }
        }
    });
}

#[test]
fn a_waiting_sender_gets_410_when_the_stream_is_deleted() {
    with_each(&[], |front| {
        let file = front.file("up", &pattern(7, BYTES));
        for client in CLIENTS {
            let id = front.relay.create();
            let upload = front.upload(client, &file, &id, &["-H", "Expect: 100-continue"]);
            front.relay.await_state(&id, "SRC_CONNECTED");
            front.relay.exchange(&ask("DELETE", &format!("/stream/{id}")));
            let what = format!("{:?}, {}", front.kind, client.name);
            assert_refused(front.kind, &upload.finish(), 410, &what);
        }
    });
}
