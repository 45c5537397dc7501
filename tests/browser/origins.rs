//! Pages of other origins: what they can do to the relay, and what not.

use serde_json::json;

use crate::browser::browser;
use crate::page::Page;
use crate::site::Site;
use crate::support::{Observed, ask};

/// A page whose script marks it.
const PAGE: &str = "<!doctype html><html lang=en><title>page</title><body>
    <script>document.documentElement.dataset.ran = 1; const power = 'of the API';</script>";

/// The result of a request by the page, as a status or the name of an error.
fn requested(page: &Page<'_>, method: &str, url: &str) -> String {
    let request = format!("fetch('{url}', {{ method: '{method}' }})");
    page.text(&format!("{request}.then(response => response.status, error => error.name)"))
}

/// Embeds a page in the current one, and waits until the browser reports that it refused.
fn assert_frame_is_refused(page: &Page<'_>, origin: &str, path: &str) {
    page.call("Log.enable", json!({}));
    page.get(&format!(
        "{{
            const frame = document.createElement('iframe');
            frame.src = '{origin}{path}';
            document.body.append(frame);
        }}"
    ));
    page.await_event("Log.entryAdded", |entry| {
        let text = entry["entry"]["text"].as_str().expect("a text");
        (text.contains("frame-ancestors") && text.contains(&format!("{origin}/"))).then_some(())
    });
}

#[test]
fn pages_of_other_origins_can_neither_frame_nor_read_nor_control() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Observed::start(&[]), browser.page());
    let site = Site::of(&[("page.html", PAGE)]);
    let id = relay.create();
    page.open(&format!("{}/page.html", site.origin));
    let operators = format!("http://{}", relay.admin_address());
    assert_frame_is_refused(&page, &relay.url(""), "/");
    assert_frame_is_refused(&page, &relay.url(""), &format!("/s/{id}"));
    assert_frame_is_refused(&page, &operators, "/");
    for (method, url) in [
        ("POST", relay.url("/stream")),
        ("GET", relay.url(&format!("/stream/{id}/status"))),
        ("DELETE", relay.url(&format!("/stream/{id}"))),
        ("GET", format!("{operators}/stream")),
        ("POST", format!("{operators}/control/suspend")),
    ] {
        assert_eq!(requested(&page, method, &url), "TypeError", "{method} {url}");
    }
    let blind =
        format!("fetch('{operators}/control/suspend', {{ method: 'POST', mode: 'no-cors' }})");
    page.get(&format!("{blind}.then(() => 1)"));
    assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 201, "not suspended");
    assert_eq!(relay.status(&id)["state"], "CREATED", "not deleted");
}
