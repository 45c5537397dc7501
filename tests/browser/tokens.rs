//! Tokens: the browser prompts for the one of the relay, and a link has the one of its stream.

use serde_json::json;

use crate::browser::browser;
use crate::scene::Desk;
use crate::support::{Relay, TokenFile, ask};

#[test]
fn the_browser_prompts_for_a_token_and_the_page_sends_with_it() {
    let Some(browser) = browser() else { return };
    let tokens = TokenFile::new(&[("me", "create,send", "hush")]);
    let relay = Relay::start(&["--tokens", tokens.path(), "--require", "create,send"]);
    let page = browser.page();
    page.call("Fetch.enable", json!({ "handleAuthRequests": true, "patterns": [{}] }));
    page.start_opening(&relay.url("/"));
    let request = |event: &serde_json::Value| event["requestId"].as_str().map(str::to_owned);
    let first = page.await_event("Fetch.requestPaused", request);
    page.call("Fetch.continueRequest", json!({ "requestId": first }));
    let (id, challenge) = page.await_event("Fetch.authRequired", |event| {
        Some((request(event)?, event["authChallenge"].clone()))
    });
    assert_eq!((&challenge["scheme"], &challenge["realm"]), (&json!("basic"), &json!("rdv")));
    let answer = json!({ "response": "ProvideCredentials", "username": "me", "password": "hush" });
    let answer = json!({ "requestId": id, "authChallengeResponse": answer });
    page.call("Fetch.continueWithAuth", answer);
    page.call("Fetch.disable", json!({}));
    page.until("document.querySelector('#choose')?.hidden === false");
    page.type_into("#text", "hello");
    page.click("#send-text");
    let id = page.offered(&relay);
    assert_eq!(relay.get(&format!("/stream/{id}")).text(), "hello");
    page.await_state("FINISHED");
}

#[test]
fn the_page_of_a_private_stream_uses_the_token_of_its_link() {
    let Some(browser) = browser() else { return };
    let (relay, page, desk) = (Relay::start(&[]), browser.page(), Desk::new());
    page.save_in(&desk);
    let created = relay.exchange(&ask("POST", "/stream").body(r#"{"tokens":true}"#)).json();
    let [id, put, get] =
        ["stream", "put_token", "get_token"].map(|name| created[name].as_str().expect(name));
    page.open(&relay.url(&format!("/s/{id}?t={get}")));
    page.await_state("CREATED");
    let mut source = relay.connect();
    source.ask(&ask("PUT", &format!("/stream/{id}/notes.txt?t={put}")).body("content"));
    page.await_state("SRC_CONNECTED");
    page.until("document.querySelector('#name').textContent === 'notes.txt'");
    assert_eq!(
        page.words("#curl"),
        format!("curl -fOJ '{}'", relay.url(&format!("/stream/{id}?t={get}")))
    );
    page.click("#download");
    assert_eq!(page.downloaded().name, "notes.txt");
    page.await_state("FINISHED");
    assert_eq!(source.response().status(), 200);
    assert_eq!(desk.read("notes.txt"), b"content");
}
