//! The operators' page: what it shows, and what its buttons do.

use crate::browser::browser;
use crate::page::Page;
use crate::scene::Desk;
use crate::support::{Ending, Framing, Observed, ask, stream_of};

/// Opens the page of a relay's operators, and waits until it shows something.
fn watch(page: &Page<'_>, relay: &Observed) {
    page.open(&format!("http://{}/", relay.admin_address()));
    page.until("document.querySelector('#state').textContent === 'serving'");
}

/// The row of a stream, as an expression.
fn row(id: &str) -> String {
    format!("document.querySelector('#streams [title=\"{id}\"]')?.closest('tr')")
}

/// Waits until the row of a stream contains this text.
fn await_cell(page: &Page<'_>, id: &str, text: &str) {
    let row = row(id);
    page.until(&format!("[...{row}.cells].some(cell => cell.textContent === '{text}')"));
}

/// Uses a button, and confirms.
fn click_and_confirm(page: &Page<'_>, selector: &str) {
    page.click(selector);
    page.until("document.querySelector('dialog').open");
    page.click("#confirm-yes");
}

#[test]
fn the_operators_page_shows_streams_and_agents_as_they_change() {
    let Some(browser) = browser() else { return };
    let (relay, page, desk) = (Observed::start(&[]), browser.page(), Desk::new());
    let idle = relay.create();
    watch(&page, &relay);
    await_cell(&page, &idle, "CREATED");
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(&[0; 2048]);
    await_cell(&page, &pair.id, "STREAMING");
    await_cell(&page, &pair.id, "2.0 KiB");
    let agent =
        desk.start(&format!("rdv expose billing http://127.0.0.1:1 --relay {}", relay.url("")));
    page.until("document.querySelector('#agents tbody').textContent.includes('billing')");
    page.until("document.querySelectorAll('.figure').length > 3");
    page.assert_presentable("watch");
    drop(agent);
    page.until("document.querySelectorAll('#agents tbody tr').length === 0");
    pair.complete();
    await_cell(&page, &pair.id, "FINISHED");
}

#[test]
fn an_operator_cancels_a_stream() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Observed::start(&[]), browser.page());
    let mut pair = relay.pair(Framing::Length(10));
    pair.pass_first(b"half");
    watch(&page, &relay);
    await_cell(&page, &pair.id, "STREAMING");
    page.click("#streams button.cancel");
    page.until("document.querySelector('dialog').open");
    page.assert_presentable("watch-cancel");
    page.click("#confirm-yes");
    await_cell(&page, &pair.id, "CLIENT_ERROR");
    assert_ne!(pair.destination.rest().1, Ending::Complete);
    assert_eq!(pair.source.response().status(), 410);
    page.until("document.querySelector('#streams button.cancel').disabled");
}

#[test]
fn an_operator_suspends_resumes_and_drains_the_relay() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Observed::start(&[]), browser.page());
    watch(&page, &relay);
    click_and_confirm(&page, "#suspend");
    page.until("document.querySelector('#state').textContent === 'suspended'");
    assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 503);
    page.assert_presentable("watch-suspended");
    click_and_confirm(&page, "#resume");
    page.until("document.querySelector('#state').textContent === 'serving'");
    let mut pair = relay.pair(Framing::Chunked);
    pair.pass_first(b"before");
    click_and_confirm(&page, "#drain");
    page.until("document.querySelector('#state').textContent === 'draining'");
    pair.pass(b"after");
    pair.complete();
    page.until("document.querySelector('#state').textContent === 'reconnecting'");
}

#[test]
fn ten_thousand_streams_are_shown_in_windows() {
    const STREAMS: usize = 10_000;
    let Some(browser) = browser() else { return };
    let relay = Observed::start(&["--max-unjoined-streams-per-address", "0", "--ttl", "10m"]);
    let mut creator = relay.connect();
    let create = ask("POST", "/stream").length(0);
    let ids: Vec<_> = (0..STREAMS).map(|_| stream_of(&creator.exchange(&create))).collect();
    let page = browser.page();
    watch(&page, &relay);
    let rows = "document.querySelectorAll('#streams tbody tr').length";
    await_cell(&page, &ids[STREAMS - 1], "CREATED");
    assert_eq!(page.get(rows), 50);
    page.click("#older");
    await_cell(&page, &ids[STREAMS - 100], "CREATED");
    assert_eq!(page.get(rows), 50);
    assert_eq!(page.get(&format!("{} == null", row(&ids[STREAMS - 1]))), true, "another window");
    page.click("#newer");
    await_cell(&page, &ids[STREAMS - 1], "CREATED");
}
