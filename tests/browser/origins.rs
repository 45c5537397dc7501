//! Pages of other origins, and pages of exposed APIs: what they can do to the relay, and what not.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use crate::browser::browser;
use crate::page::Page;
use crate::scene::Desk;
use crate::site::Site;
use crate::support::{Observed, Process, Relay, ask, eventually};

/// A page whose script marks it.
const PAGE: &str = "<!doctype html><html lang=en><title>page</title><body>
    <script>document.documentElement.dataset.ran = 1; const power = 'of the API';</script>";

/// Sends, receives and follows a stream at `RELAY`: the status of the upload, the content, and the
/// last state.
const EXCHANGE: &str = "(async () => {
    const created = await fetch('RELAY/stream', { method: 'POST' });
    const path = 'RELAY' + created.headers.get('Location');
    const events = new EventSource(path + '/events');
    const last = new Promise(done => events.addEventListener('status', event => {
        const status = JSON.parse(event.data);
        if (status.active) return;
        events.close();
        done(status.state);
    }));
    const download = fetch(path);
    const upload = await fetch(path + '/a.txt', { method: 'PUT', body: 'content' });
    const received = await download;
    const name = received.headers.get('Content-Disposition');
    return [upload.status, await received.text(), name, await last];
})()";

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

/// Serves the page by an API that the relay has as `web`, until both are dropped.
fn expose(relay: &Relay) -> (Site, Process) {
    let (site, desk) = (Site::of(&[("page.html", PAGE), ("worker.js", "")]), Desk::new());
    let agent = desk.start(&format!("rdv expose web {} --relay {}", site.origin, relay.url("")));
    eventually("the API is exposed", || agent.stdout().contains("/web").then_some(()));
    (site, agent)
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

#[test]
fn a_page_of_an_allowed_origin_sends_receives_and_follows() {
    let Some(browser) = browser() else { return };
    let (site, page) = (Site::of(&[("page.html", PAGE)]), browser.page());
    let relay = Relay::start(&["--cors-origin", &site.origin]);
    page.open(&format!("{}/page.html", site.origin));
    let exchange = EXCHANGE.replace("RELAY", &relay.url(""));
    let name = "attachment; filename=\"a.txt\"";
    assert_eq!(page.get(&exchange), json!([200, "content", name, "FINISHED"]));
    let id = relay.create();
    assert_eq!(requested(&page, "DELETE", &relay.url(&format!("/stream/{id}"))), "204");
    assert_eq!(requested(&page, "GET", &relay.url(&format!("/stream/{id}"))), "404");
    // The same server, as another origin.
    page.open(&format!("{}/page.html", site.origin.replace("127.0.0.1", "localhost")));
    assert_eq!(requested(&page, "POST", &relay.url("/stream")), "TypeError");
}

#[test]
fn a_page_of_an_api_runs_without_the_origin_of_the_relay() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let (_site, _agent) = expose(&relay);
    page.open(&relay.url("/"));
    page.get("localStorage.setItem('a', 'of the relay')");
    page.open(&relay.url("/api/web/page.html"));
    assert_eq!(page.text("document.documentElement.dataset.ran"), "1", "its script runs");
    page.assert_powerless("a page of an API");
    let id = relay.create();
    for (method, path) in [
        ("POST", "/stream".to_owned()),
        ("GET", format!("/stream/{id}/status")),
        ("DELETE", format!("/stream/{id}")),
        ("GET", "/api/web/page.html".to_owned()),
    ] {
        assert_eq!(requested(&page, method, &path), "TypeError", "{method} {path}");
    }
    assert_frame_is_refused(&page, &relay.url(""), "/");
    assert_eq!(relay.status(&id)["state"], "CREATED", "not deleted");
}

/// An API that sets five large cookies for all paths at `/cookies`, and erases the data of its origin
/// at other paths; its URL.
fn far_reaching_api() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || respond(client?));
        }
    });
    format!("http://{address}")
}

fn respond(mut client: TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let cookie = |n: u8| format!("Set-Cookie: c{n}={}; Path=/\r\n", "x".repeat(4000));
    let fields = if head.starts_with(b"GET /cookies ") {
        (0..5).map(cookie).collect()
    } else {
        "Clear-Site-Data: \"*\"\r\n".to_owned()
    };
    let rest = "Content-Type: text/html\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    client.write_all(format!("HTTP/1.1 200 OK\r\n{fields}{rest}").as_bytes())
}

#[test]
fn an_api_neither_locks_browsers_out_nor_erases_what_pages_of_the_relay_store() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let (api, desk) = (far_reaching_api(), Desk::new());
    let command = format!("rdv expose web {api} --relay {} --no-rewrite", relay.url(""));
    let agent = desk.start(&command);
    eventually("the API is exposed", || agent.stdout().contains("/web").then_some(()));
    page.open(&relay.url("/"));
    page.get("localStorage.setItem('a', 'of the relay')");
    page.open(&relay.url("/api/web/clear"));
    page.open(&relay.url("/api/web/cookies"));
    for (path, cookies) in [("/", 0), ("/stream", 0), ("/api/other/", 0), ("/api/web/x", 5)] {
        let sent = page.call("Network.getCookies", json!({ "urls": [relay.url(path)] }));
        assert_eq!(sent["cookies"].as_array().expect("a list").len(), cookies, "{path}");
    }
    page.open(&relay.url("/"));
    assert_eq!(page.text("localStorage.getItem('a')"), "of the relay");
    assert_eq!(requested(&page, "GET", "/"), "200");
    assert_eq!(requested(&page, "POST", "/stream"), "201");
    assert_eq!(requested(&page, "GET", "/api/web/x"), "431", "its own requests are too long");
}

#[test]
fn a_page_of_an_api_on_a_host_of_its_own_has_an_origin_of_its_own() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&["--agent-host", "*.localhost"]), browser.page());
    let (_site, _agent) = expose(&relay);
    let origin = format!("http://web.localhost:{}", relay.address().port());
    page.open(&format!("{origin}/page.html"));
    assert_eq!(page.text("self.origin"), origin);
    assert_eq!(page.text("localStorage.setItem('a', 'b') ?? localStorage.getItem('a')"), "b");
    let worker = "navigator.serviceWorker.register('/worker.js').then(() => 'registered')";
    assert_eq!(page.text(worker), "registered");
    assert_eq!(requested(&page, "GET", "/page.html"), "200");
    let id = relay.create();
    for (method, path) in [("POST", "/stream".to_owned()), ("DELETE", format!("/stream/{id}"))] {
        assert_eq!(requested(&page, method, &relay.url(&path)), "TypeError", "{method} {path}");
    }
    assert_frame_is_refused(&page, &relay.url(""), "/");
    assert_eq!(relay.status(&id)["state"], "CREATED", "not deleted");
    page.open(&relay.url("/"));
    assert_eq!(page.text("localStorage.length"), "0", "the storage of the relay");
}
