//! An upload opened in a browser never acts in the name of the relay's origin.

use serde_json::json;

use crate::browser::browser;
use crate::page::Page;
use crate::site::Site;
use crate::support::{Ask, Relay, ask, assert_uploaded, stream_of};

/// Documents with a script, as types that can run one: it marks the document.
const DOCUMENTS: [(&str, &str); 4] = [
    (
        "text/html",
        "<!doctype html><title>upload</title><p>text</p>
        <script>document.documentElement.dataset.ran = 1</script>
        <img src=x onerror='document.documentElement.dataset.ran = 2'>",
    ),
    (
        "image/svg+xml",
        "<svg xmlns='http://www.w3.org/2000/svg'>
        <script>document.documentElement.dataset.ran = 1</script></svg>",
    ),
    (
        "application/xhtml+xml",
        "<html xmlns='http://www.w3.org/1999/xhtml'><head><title>upload</title>
        <script>document.documentElement.dataset.ran = 1</script></head><body/></html>",
    ),
    (
        "text/xml",
        "<x xmlns:h='http://www.w3.org/1999/xhtml'>
        <h:script>document.documentElement.setAttribute('data-ran', 1)</h:script></x>",
    ),
];

/// Whether the script of a document ran.
const RAN: &str = "document.documentElement.hasAttribute('data-ran')";

/// What a script that runs in spite of everything would try, and the result.
const POWERS: [(&str, &str, &str); 6] = [
    ("origin", "self.origin", "null"),
    (
        "storage",
        "(() => { try { return localStorage.length } catch (e) { return e.name } })()",
        "SecurityError",
    ),
    (
        "cookies",
        "(() => { try { return document.cookie } catch (e) { return e.name } })()",
        "SecurityError",
    ),
    ("requests", "fetch('/ping').then(() => 'answered', e => e.name)", "TypeError"),
    (
        "service worker",
        "(async () => navigator.serviceWorker.register('/stream/x'))().then(() => 'registered', e => e.name)",
        "SecurityError",
    ),
    (
        "databases",
        "(() => { try { return typeof indexedDB.open('x') } catch (e) { return e.name } })()",
        "SecurityError",
    ),
];

/// Uploads a document to a new stream, and opens it.
fn open_upload(page: &Page<'_>, relay: &Relay, create: &Ask, document: (&str, &str)) {
    let id = stream_of(&relay.exchange(create));
    let mut source = relay.connect();
    let put = ask("PUT", &format!("/stream/{id}")).field("Content-Type", document.0);
    source.ask(&put.body(document.1));
    page.open(&relay.url(&format!("/stream/{id}")));
    assert_uploaded(&source.response());
}

impl Page<'_> {
    /// Checks that the document has no origin, and so nothing that belongs to one.
    pub(crate) fn assert_powerless(&self, what: &str) {
        for (power, attempt, result) in POWERS {
            assert_eq!(self.text(attempt), result, "{what}: {power}");
        }
    }
}

#[test]
fn the_documents_of_these_tests_run_their_scripts_on_another_site() {
    let Some(browser) = browser() else { return };
    let names = ["a.html", "b.svg", "c.xhtml", "d.xml"];
    let files: Vec<_> =
        names.into_iter().zip(DOCUMENTS).map(|(name, (_, text))| (name, text)).collect();
    let (site, page) = (Site::of(&files), browser.page());
    for name in names {
        page.open(&format!("{}/{name}", site.origin));
        assert_eq!(page.text(RAN), "true", "{name}");
    }
}

#[test]
fn an_upload_of_any_type_runs_no_script_and_has_no_power_over_the_origin() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    for document in DOCUMENTS {
        open_upload(&page, &relay, &ask("POST", "/stream"), document);
        assert_eq!(page.text(RAN), "false", "{}: its script ran", document.0);
        page.assert_powerless(document.0);
    }
}

#[test]
fn the_creator_of_a_stream_cannot_relax_the_sandbox() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let policy = "sandbox allow-scripts allow-same-origin";
    let headers = json!({ "download_headers": { "Content-Security-Policy": policy } });
    let create = ask("POST", "/stream").body(headers.to_string());
    for document in DOCUMENTS {
        open_upload(&page, &relay, &create, document);
        assert_eq!(page.text(RAN), "false", "{}: its script ran", document.0);
        page.assert_powerless(document.0);
    }
}

#[test]
fn an_upload_of_another_type_is_not_read_as_a_document() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let [(_, html), ..] = DOCUMENTS;
    for kind in ["text/plain", "application/pdf", "application/json", "image/png", "text/css"] {
        open_upload(&page, &relay, &ask("POST", "/stream"), (kind, html));
        assert_eq!(page.text(RAN), "false", "{kind}: its script ran");
        assert!(page.get("document.querySelector('script')").is_null(), "{kind}: it is a document");
    }
}
