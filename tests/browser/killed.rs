//! Browsers that end in the middle of a transfer.

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
    page.save_in(folder.directory());
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
    downloading.save_in(folder.directory());
    downloading.open(&relay.url(&format!("/s/{id}")));
    downloading.click("#download");
    downloading.download().await_bytes(PART);
    drop(receiver);
    page.await_state("DST_DISCONNECTED");
    assert!(!folder.names().contains(&"large.bin".to_owned()), "{:?}", folder.names());
}
