//! The receiver's page: from senders at a terminal and in a browser.

use serde_json::json;

use crate::browser::browser;
use crate::downloads::Download;
use crate::scene::Desk;
use crate::support::{
    DISCONNECTS, Framing, Relay, UNKNOWN, ask, assert_uploaded, is_pattern, pattern,
};

fn receive_page(relay: &Relay, id: &str) -> String {
    relay.url(&format!("/s/{id}"))
}

fn saved(name: &str) -> Download {
    Download { name: name.to_owned(), state: "completed".to_owned() }
}

#[test]
fn a_file_of_curl_is_announced_and_saved() {
    const BYTES: usize = 3_000_000;
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let (sender, receiver) = (Desk::new(), Desk::new());
    sender.put("report.csv", &pattern(1, BYTES));
    page.save_in(&receiver);
    let id = relay.create();
    page.open(&receive_page(&relay, &id));
    page.await_state("CREATED");
    assert_eq!(page.words("#name"), "A file", "no heading is empty");
    let url = relay.url(&format!("/stream/{id}/"));
    let sending =
        sender.start(&format!("curl -qfsS -H 'Content-Type: text/csv' -T report.csv {url}"));
    page.await_state("SRC_CONNECTED");
    page.until("document.querySelector('#name').textContent === 'report.csv'");
    assert_eq!(
        (page.words("#size"), page.words("#type")),
        ("2.9 MiB".to_owned(), "text/csv".to_owned())
    );
    page.assert_presentable("receive");
    page.click("#download");
    assert_eq!(page.downloaded(), saved("report.csv"));
    assert!(sending.finish().status.success());
    is_pattern(1, BYTES, &receiver.read("report.csv")).expect("what was sent");
    page.await_state("FINISHED");
    page.assert_presentable("receive-finished");
}

#[test]
fn the_page_of_a_receiver_works_without_scripts() {
    let Some(browser) = browser() else { return };
    let (relay, page, desk) = (Relay::start(&[]), browser.page(), Desk::new());
    page.save_in(&desk);
    let id = relay.create();
    let mut source = relay.connect();
    source.ask(&ask("PUT", &format!("/stream/{id}/notes.txt")).body("content"));
    relay.await_state(&id, "SRC_CONNECTED");
    page.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    page.open(&receive_page(&relay, &id));
    assert!(page.words("#state").len() > 3, "a state in words");
    page.screenshot("receive-without-scripts");
    page.press("#download");
    assert_eq!(page.downloaded(), saved("notes.txt"));
    assert_uploaded(&source.response());
    assert_eq!(desk.read("notes.txt"), b"content");
}

#[test]
fn a_name_cannot_change_how_the_page_reads() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let id = relay.create();
    page.open(&receive_page(&relay, &id));
    page.await_state("CREATED");
    let mut source = relay.connect();
    let disposition = "attachment; filename*=UTF-8''report-%E2%80%AEfdp.exe";
    let put = ask("PUT", &format!("/stream/{id}")).field("Content-Disposition", disposition);
    source.ask(&put.body("content"));
    // From the scripts of the page, and then from the relay.
    for _ in 0..2 {
        page.until("document.querySelector('#name').textContent.includes('report')");
        let name = "report-\u{FFFD}fdp.exe";
        assert_eq!(page.text("document.querySelector('#name').textContent"), name);
        assert!(page.text("document.title").starts_with(name));
        page.open(&receive_page(&relay, &id));
    }
}

#[test]
fn a_click_on_a_link_that_was_taken_is_explained() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let id = relay.create();
    // Without scripts the page cannot hide the button in time.
    page.call("Emulation.setScriptExecutionDisabled", json!({ "value": true }));
    page.open(&receive_page(&relay, &id));
    let mut other = relay.connect();
    other.ask(&ask("GET", &format!("/stream/{id}")));
    relay.await_state(&id, "DST_CONNECTED");
    page.press("#download");
    let loader = page.await_event("Page.frameNavigated", |event| {
        let frame = &event["frame"];
        let is_next = frame["url"].as_str().is_some_and(|url| url.ends_with("?download"));
        is_next.then(|| frame["loaderId"].clone())
    });
    page.await_event("Page.lifecycleEvent", |event| {
        (event["name"] == "load" && event["loaderId"] == loader).then_some(())
    });
    let words = page.words("main");
    assert!(words.contains("works once"), "{words}");
    page.screenshot("receive-taken");
}

#[test]
fn an_upload_without_a_name_is_saved_and_not_shown() {
    let Some(browser) = browser() else { return };
    let (relay, page, desk) = (Relay::start(&[]), browser.page(), Desk::new());
    page.save_in(&desk);
    let id = relay.create();
    page.open(&receive_page(&relay, &id));
    page.await_state("CREATED");
    page.click("#download");
    relay.await_state(&id, "DST_CONNECTED");
    let mut source = relay.connect();
    let put = ask("PUT", &format!("/stream/{id}")).field("Content-Type", "text/plain");
    source.ask(&put.body("content"));
    let download = page.downloaded();
    assert_eq!(download.state, "completed");
    assert_eq!(desk.read(&download.name), b"content");
    page.await_state("FINISHED");
    assert_uploaded(&source.response());
}

#[test]
fn commands_to_copy_run_nothing_that_a_host_names() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    let id = relay.create();
    let url = receive_page(&relay, &id).replace("127.0.0.1", "a$(id);b'.relay.test");
    for enabled in [true, false] {
        page.call("Emulation.setScriptExecutionDisabled", json!({ "value": !enabled }));
        page.open(&url);
        for (selector, command) in [("#curl", "curl -fOJ"), ("#rdv", "rdv receive")] {
            let words = page.words(selector);
            assert_eq!(words, format!("{command} http://HOST/stream/{id}"), "{selector}");
        }
    }
}

#[test]
fn an_interrupted_upload_is_shown_and_leaves_no_file() {
    let Some(browser) = browser() else { return };
    let (relay, page, desk) = (Relay::start(&[]), browser.page(), Desk::new());
    page.save_in(&desk);
    let content = pattern(2, 1_000_000);
    for framing in [Framing::Length(2 * content.len()), Framing::Chunked] {
        for way in DISCONNECTS {
            let id = relay.create();
            let mut source = relay.waiting_source(&id, framing);
            page.open(&receive_page(&relay, &id));
            page.await_state("SRC_CONNECTED");
            page.click("#download");
            source.send(framing.piece(&content));
            let download = page.download();
            download.await_bytes(500_000);
            page.await_state("STREAMING");
            source.leave(way);
            assert_eq!(download.ended().state, "canceled", "{framing:?} {way:?}");
            page.await_state("SRC_DISCONNECTED");
            desk.await_empty();
        }
    }
    page.assert_presentable("receive-interrupted");
}

#[test]
fn a_sender_that_pauses_is_named_as_the_limit() {
    let Some(browser) = browser() else { return };
    let (relay, page, desk) = (Relay::start(&[]), browser.page(), Desk::new());
    page.save_in(&desk);
    let id = relay.create();
    let mut source = relay.waiting_source(&id, Framing::Length(2_000_000));
    page.open(&receive_page(&relay, &id));
    page.await_state("SRC_CONNECTED");
    page.click("#download");
    source.send(vec![0; 1_000_000]);
    page.until("document.querySelector('#bottleneck').textContent.includes('sender')");
    page.until("document.querySelector('#progress').value === 1000000");
    page.assert_presentable("receive-streaming");
    source.send(vec![0; 1_000_000]);
    assert_uploaded(&source.response());
    page.await_state("FINISHED");
}

#[test]
fn an_expired_link_is_explained_while_the_relay_remembers_it_and_later() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&["--ttl", "5s"]), browser.page());
    let id = relay.create();
    page.open(&receive_page(&relay, &id));
    page.await_state("TIMEOUT_NO_SRC_NO_DST");
    page.assert_presentable("receive-expired");
    page.open(&receive_page(&relay, &id));
    let words = page.words("main");
    assert!(words.contains("expired"), "{words}");
    page.assert_presentable("receive-ended");
    page.open(&receive_page(&relay, UNKNOWN));
    assert!(page.get("document.querySelector('#download')").is_null(), "nothing to download");
    page.assert_presentable("receive-unknown");
}

#[test]
fn previews_of_a_link_take_nothing_from_its_receiver() {
    let Some(browser) = browser() else { return };
    let (relay, page, desk) = (Relay::start(&[]), browser.page(), Desk::new());
    page.save_in(&desk);
    let id = relay.create();
    let mut source = relay.connect();
    source.ask(&ask("PUT", &format!("/stream/{id}/notes.txt")).body("content"));
    relay.await_state(&id, "SRC_CONNECTED");
    let previews = [
        ("User-Agent", "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"),
        ("User-Agent", "WhatsApp/2.23.20.0"),
        ("User-Agent", "facebookexternalhit/1.1"),
        ("Sec-Purpose", "prefetch"),
        ("Sec-Purpose", "prefetch;prerender"),
        ("Purpose", "prefetch"),
    ];
    for (field, value) in previews {
        for path in ["/s", "/stream"] {
            let preview = ask("GET", &format!("{path}/{id}")).field("Accept", "text/html,*/*");
            let preview = relay.exchange(&preview.field(field, value).closing());
            assert_ne!(preview.text(), "content", "{field}: {value} of {path}");
            assert_eq!(relay.status(&id)["state"], "SRC_CONNECTED", "{field}: {value} of {path}");
        }
    }
    page.open(&relay.url("/ping"));
    let prefetch = page.text(&format!(
        "new Promise(done => {{
            const link = document.createElement('link');
            Object.assign(link, {{ rel: 'prefetch', onload: done, onerror: done }});
            link.href = '/stream/{id}';
            document.head.append(link);
        }}).then(event => event.type)"
    ));
    assert_eq!(prefetch, "load", "a prefetch of a browser is answered");
    assert_eq!(relay.status(&id)["state"], "SRC_CONNECTED", "after a prefetch of a browser");
    page.open(&receive_page(&relay, &id));
    page.click("#download");
    assert_eq!(page.downloaded(), saved("notes.txt"));
    assert_uploaded(&source.response());
    // Not what the browser keeps of the prefetch.
    assert_eq!(desk.read("notes.txt"), b"content");
}

#[test]
fn a_browser_with_the_name_of_a_preview_saves_the_file() {
    let Some(browser) = browser() else { return };
    let (relay, page, desk) = (Relay::start(&[]), browser.page(), Desk::new());
    page.save_in(&desk);
    let id = relay.create();
    let mut source = relay.connect();
    source.ask(&ask("PUT", &format!("/stream/{id}/notes.txt")).body("content"));
    relay.await_state(&id, "SRC_CONNECTED");
    let app = json!({ "userAgent": "Mozilla/5.0 (iPhone) Mobile/15E148 WhatsApp/2.23" });
    page.call("Emulation.setUserAgentOverride", app);
    page.open(&relay.url(&format!("/stream/{id}")));
    assert_eq!(relay.status(&id)["state"], "SRC_CONNECTED", "it could be a program");
    page.click("#download");
    assert_eq!(page.downloaded(), saved("notes.txt"));
    assert_uploaded(&source.response());
    assert_eq!(desk.read("notes.txt"), b"content");
}

#[test]
fn two_gigabytes_pass_from_browser_to_browser_in_little_memory() {
    const BYTES: u64 = 2 << 30;
    // Half of it is the program itself.
    const PEAK: u64 = 500 << 20;
    let Some(browser) = browser() else { return };
    let (relay, desk) = (Relay::start(&[]), Desk::new());
    let (sender, receiver) = (browser.page(), browser.page());
    sender.open(&relay.url("/"));
    sender.choose("#files", &[&desk.put_sparse("large.bin", BYTES)]);
    let id = sender.offered(&relay);
    let folder = Desk::new();
    receiver.save_in(&folder);
    receiver.open(&receive_page(&relay, &id));
    receiver.click("#download");
    assert_eq!(receiver.downloaded(), saved("large.bin"));
    sender.await_state("FINISHED");
    receiver.await_state("FINISHED");
    let file = std::fs::metadata(folder.directory().join("large.bin")).expect("a file");
    assert_eq!(file.len(), BYTES);
    let peaks = browser.peaks();
    println!("{peaks:?}");
    assert!(peaks.len() > 3, "browser, network and pages: {peaks:?}");
    assert!(peaks.iter().all(|(_, bytes)| *bytes < PEAK), "{peaks:?}");
}
