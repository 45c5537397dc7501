//! Interrupted transfers through a proxy: none looks complete.

use nix::sys::signal::Signal;

use crate::curl::{CLIENTS, Client, status};
use crate::front::{Front, with_each};
use crate::support::{Process, eventually, pattern};

/// More than what sockets and a proxy buffer, so that a slow upload lasts.
const BYTES: usize = 40 << 20;

/// A slow upload, and a download that has received some of it.
fn in_the_middle(front: &Front, client: Client, file: &str) -> (String, Process, Process) {
    let id = front.relay.create();
    let upload = front.upload(client, file, &id, &["--limit-rate", "3M"]);
    let download = front.download(client, &id, "down");
    eventually("some bytes are received", || {
        let down = std::fs::metadata(front.directory().join("down"));
        down.is_ok_and(|down| down.len() > 0).then_some(())
    });
    (id, upload, download)
}

#[test]
fn an_interrupted_upload_never_looks_complete() {
    with_each(&[], |front| {
        let file = front.file("up", &pattern(6, BYTES));
        for client in CLIENTS {
            let (id, upload, download) = in_the_middle(&front, client, &file);
            upload.signal(Signal::SIGKILL);
            let downloaded = download.finish();
            assert!(!downloaded.status.success(), "{:?}, {}", front.kind, client.name);
            let ended = front.relay.status(&id);
            assert_ne!(ended["state"], "FINISHED", "{:?}, {}", front.kind, client.name);
            std::fs::remove_file(front.directory().join("down")).expect("what was received");
        }
    });
}

#[test]
fn an_interrupted_download_is_an_error_of_the_upload() {
    with_each(&[], |front| {
        let file = front.file("up", &pattern(6, BYTES));
        for client in CLIENTS {
            let (id, upload, download) = in_the_middle(&front, client, &file);
            download.signal(Signal::SIGKILL);
            let uploaded = upload.finish();
            let what = format!("{:?}, {}: {}", front.kind, client.name, uploaded.stderr);
            // Its connection can be lost as well, but usually the reason arrives.
            assert!(!uploaded.status.success() || status(&uploaded).0 == 502, "{what}");
            front.relay.await_state(&id, "DST_DISCONNECTED");
            std::fs::remove_file(front.directory().join("down")).expect("what was received");
        }
    });
}
