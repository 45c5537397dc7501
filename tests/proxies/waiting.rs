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

#[test]
fn heartbeats_are_passed_and_the_response_follows() {
    with_each(&["--heartbeat", "100ms"], |front| {
        let file = front.file("up", b"text");
        // nginx passes the response to clients of HTTP/1.1 only.
        let with_http2 = front.kind.has_http2() && front.kind != Kind::Nginx;
        for client in if with_http2 { &[CLIENTS[0], CLIENTS[2]][..] } else { &[CLIENTS[0]] } {
            let [down, up] = [front.relay.create(), front.relay.create()];
            let download = front.start_curl(*client, &["-fv", &front.stream(&down)]);
            front.relay.await_state(&down, "DST_CONNECTED");
            let upload = front.upload(*client, &file, &up, &["-v"]);
            front.relay.await_state(&up, "SRC_CONNECTED");
            // The HTTP client of Go accepted five before version 1.23.
            front.relay.await_heartbeats(7);
            let put = Framing::Length(4).put(&down).raw_body(b"text");
            assert_eq!(front.relay.exchange(&put).status(), 200);
            assert_eq!(front.relay.get(&format!("/stream/{up}")).text(), "text");
            for (process, shown) in [(download, "text"), (upload, "200 ")] {
                let finished = process.finish();
                assert_success(client.name, &finished);
                assert!(finished.stdout.trim_start().starts_with(shown), "{}", finished.stdout);
                assert!(finished.stderr.matches(" 102").count() > 5, "{}", finished.stderr);
            }
        }
    });
}
