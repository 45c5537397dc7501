//! The pages of the relay in a browser, over HTTPS.

use serde_json::json;

use crate::browser::browser;
use crate::curl::{CLIENTS, assert_success};
use crate::front::with_each;
use crate::support::pattern;

/// More than what a proxy buffers: it waits on the connection that the page uses for all else.
const BYTES: usize = 5_000_000;

#[test]
fn a_page_sends_a_file_and_shows_links_with_https() {
    let Some(browser) = browser() else { return };
    let content = pattern(11, BYTES);
    with_each(&[], |front| {
        front.file("up.bin", &content);
        let page = browser.page();
        page.call("Security.setIgnoreCertificateErrors", json!({ "ignore": true }));
        page.open(&front.url("/"));
        page.choose("#files", &[&front.directory().join("up.bin")]);
        let state = "document.querySelector('[data-state]').dataset.state";
        page.until(&format!("{state} === 'SRC_CONNECTED'"));
        let link = page.text("document.querySelector('#link').value");
        let id = link.strip_prefix(&front.url("/s/")).unwrap_or_else(|| panic!("{link}"));
        let command = page.text("document.querySelector('#curl').textContent");
        assert!(command.contains(&front.stream(id)), "{:?}: {command}", front.kind);
        // Answered on the same connection, with the upload that waits.
        assert_eq!(page.text("fetch('/ping').then(answer => answer.text())"), "pong");
        assert_success("download", &front.download(CLIENTS[2], id, "down").finish());
        page.until(&format!("{state} === 'FINISHED'"));
        let down = std::fs::read(front.directory().join("down")).expect("the download");
        assert!(down == content, "{:?}", front.kind);
    });
}
