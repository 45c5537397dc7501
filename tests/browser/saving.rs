//! Downloads that a browser saves: complete under the right name, or not at all.

use crate::browser::browser;
use crate::downloads::Download;
use crate::scene::Desk;
use crate::support::{DISCONNECTS, Framing, Relay, ask, assert_uploaded, pattern};

#[test]
fn a_download_is_saved_under_the_name_of_the_upload() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let desk = Desk::new();
    page.save_in(&desk);
    // The relay removes the slash, and the browser the leading dots.
    let rows = [("report.html", "report.html"), ("%E2%82%AC%20rates", "€ rates"), ("..%2Fx", "_x")];
    for (name, saved) in rows {
        let id = relay.create();
        let mut source = relay.connect();
        let content = pattern(1, 300_000);
        source.ask(&ask("PUT", &format!("/stream/{id}/{name}")).length(content.len()));
        page.start_opening(&relay.url(&format!("/stream/{id}")));
        source.send(&content);
        let completed = Download { name: saved.to_owned(), state: "completed".to_owned() };
        assert_eq!(page.downloaded(), completed);
        assert_uploaded(&source.response());
        assert_eq!(desk.read(saved), content);
    }
}

#[test]
fn an_interrupted_download_is_never_saved_as_complete() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let desk = Desk::new();
    page.save_in(&desk);
    let content = pattern(2, 1_000_000);
    for framing in [Framing::Length(2 * content.len()), Framing::Chunked] {
        for way in DISCONNECTS {
            let id = relay.create();
            let mut source = relay.connect();
            let put = framing.put(&id).field("Content-Disposition", "attachment; filename=half");
            source.ask(&put);
            page.start_opening(&relay.url(&format!("/stream/{id}")));
            source.send(framing.piece(&content));
            let download = page.download();
            download.await_bytes(500_000);
            source.leave(way);
            let canceled = Download { name: "half".to_owned(), state: "canceled".to_owned() };
            assert_eq!(download.ended(), canceled, "{framing:?} {way:?}");
            relay.await_state(&id, "SRC_DISCONNECTED");
            desk.await_empty();
        }
    }
}
