//! Browsers, and a relay, that end in the middle of a transfer.

use nix::sys::signal::Signal;

use crate::browser::browser;
use crate::scene::Desk;
use crate::support::Relay;

/// More than the buffers between two browsers.
const BYTES: u64 = 4 << 30;
/// What a receiver has before the other side ends.
const PART: u64 = 10 << 20;

#[test]
fn a_killed_sender_leaves_no_file_at_its_receiver() {
    let Some(sender) = browser() else { return };
    let Some(receiver) = browser() else { return };
    let (relay, desk, folder) = (Relay::start(&[]), Desk::new(), Desk::new());
    let page = sender.page();
    page.open(&relay.url("/"));
    page.choose("#files", &[&desk.put_sparse("large.bin", BYTES)]);
    let id = page.offered(&relay);
    let page = receiver.page();
    page.save_in(&folder);
    page.open(&relay.url(&format!("/s/{id}")));
    page.click("#download");
    let download = page.download();
    download.await_bytes(PART);
    drop(sender);
    assert_eq!(download.ended().state, "canceled");
    page.await_state("SRC_DISCONNECTED");
    folder.await_empty();
}

#[test]
fn a_killed_receiver_is_shown_to_its_sender() {
    let Some(sender) = browser() else { return };
    let Some(receiver) = browser() else { return };
    let (relay, desk, folder) = (Relay::start(&[]), Desk::new(), Desk::new());
    let page = sender.page();
    page.open(&relay.url("/"));
    page.choose("#files", &[&desk.put_sparse("large.bin", BYTES)]);
    let id = page.offered(&relay);
    let downloading = receiver.page();
    downloading.save_in(&folder);
    downloading.open(&relay.url(&format!("/s/{id}")));
    downloading.click("#download");
    downloading.download().await_bytes(PART);
    drop(receiver);
    page.await_state("DST_DISCONNECTED");
    assert!(!folder.names().contains(&"large.bin".to_owned()), "{:?}", folder.names());
}

#[test]
fn a_killed_relay_is_shown_to_both_sides_and_leaves_no_file() {
    let Some(browser) = browser() else { return };
    let (relay, desk, folder) = (Relay::start(&[]), Desk::new(), Desk::new());
    let (sender, receiver) = (browser.page(), browser.page());
    sender.open(&relay.url("/"));
    sender.choose("#files", &[&desk.put_sparse("large.bin", BYTES)]);
    let id = sender.offered(&relay);
    receiver.save_in(&folder);
    receiver.open(&relay.url(&format!("/s/{id}")));
    receiver.click("#download");
    let download = receiver.download();
    download.await_bytes(PART);
    relay.signal(Signal::SIGKILL);
    assert_eq!(download.ended().state, "canceled");
    folder.await_empty();
    receiver.until("document.querySelector('#state').textContent.includes('lost')");
    sender.await_state("FAILED");
    sender.assert_presentable("send-failed");
}
