//! The end of a relay whose clients use a proxy.

use nix::sys::signal::Signal;

use crate::curl::{CLIENTS, assert_success, status};
use crate::front::with_each;
use crate::proxy::Kind;
use crate::support::{eventually, pattern};

#[test]
fn a_draining_relay_completes_its_transfers_and_new_requests_get_503() {
    with_each(&[], |front| {
        let file = front.file("up", &pattern(9, 20 << 20));
        let running: Vec<_> = [CLIENTS[0], CLIENTS[3]]
            .map(|client| {
                let id = front.relay.create();
                let upload = front.upload(client, &file, &id, &["--limit-rate", "8M"]);
                let download = front.download(client, &id, &id);
                front.relay.await_state(&id, "STREAMING");
                (client, upload, download)
            })
            .into();
        front.relay.signal(Signal::SIGTERM);
        // Traefik cannot distinguish its own 502 from the relay's.
        let expected = if front.kind == Kind::Traefik { 502 } else { 503 };
        eventually("new requests are refused", || {
            let url = front.url("/stream");
            let flags = ["-X", "POST", "-w", "\n%{http_code} %{http_version}\n", &url];
            let answer = front.start_curl(CLIENTS[0], &flags).finish();
            (status(&answer).0 == expected).then_some(())
        });
        for (client, upload, download) in running {
            assert_success(client.name, &download.finish());
            assert_eq!(status(&upload.finish()).0, 200, "{:?}, {}", front.kind, client.name);
        }
    });
}
