//! One side waits for the other: it is reported, and events arrive meanwhile.

use nix::sys::signal::Signal;

use crate::curl::{CLIENTS, assert_success};
use crate::front::with_each;
use crate::proxy::Kind;
use crate::support::{Framing, eventually};

#[test]
fn events_arrive_while_the_connection_stays_open() {
    with_each(&[], |front| {
        for client in [CLIENTS[0], CLIENTS[2]] {
            let id = front.relay.create();
            let url = front.url(&format!("/stream/{id}/events"));
            let events = front.start_curl(client, &["-fN", &url]);
            let shows = |state: &str| {
                eventually(state, || events.stdout().contains(state).then_some(()));
            };
            shows("\"CREATED\"");
            let mut pair = front.relay.join(&id, Framing::Length(4));
            pair.pass_first(b"te");
            shows("\"STREAMING\"");
            pair.pass(b"xt");
            pair.complete();
            shows("\"FINISHED\"");
            assert_success(client.name, &events.finish());
        }
    });
}

#[test]
fn a_slow_download_is_not_held_back() {
    with_each(&[], |front| {
        for client in [CLIENTS[0], CLIENTS[2]] {
            for framing in [Framing::Length(4), Framing::Chunked] {
                let id = front.relay.create();
                let download = front.start_curl(client, &["-fN", &front.stream(&id)]);
                front.relay.await_state(&id, "DST_CONNECTED");
                let mut source = front.relay.connect();
                source.ask(&framing.put(&id));
                source.send(framing.piece(b"te"));
                eventually("two bytes", || (download.stdout() == "te").then_some(()));
                source.send([&framing.piece(b"xt"), framing.end()].concat());
                let downloaded = download.finish();
                assert_success(client.name, &downloaded);
                assert_eq!(downloaded.stdout, "text");
            }
        }
    });
}

#[test]
fn a_side_that_waits_and_disconnects_gives_its_place_back() {
    with_each(&[], |front| {
        let file = front.file("up", b"text");
        for client in CLIENTS {
            let id = front.relay.create();
            let download = front.download(client, &id, "down");
            front.relay.await_state(&id, "DST_CONNECTED");
            download.signal(Signal::SIGKILL);
            front.relay.await_state(&id, "CREATED");
            // The others notice it only when they send to the relay, after a receiver connected; so
            // does HAProxy with a body that it has not read completely.
            if front.kind == Kind::HaProxy {
                let upload = front.upload(client, &file, &id, &["-H", "Expect:"]);
                front.relay.await_state(&id, "SRC_CONNECTED");
                upload.signal(Signal::SIGKILL);
                front.relay.await_state(&id, "CREATED");
            }
        }
    });
}
