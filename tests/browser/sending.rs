//! The sender's page: files, folders and text, to receivers at a terminal.

use crate::browser::browser;
use crate::page::Page;
use crate::scene::{Desk, STATE};
use crate::support::{Ending, Relay, ask, is_pattern, pattern};

/// Draws the QR code of a page, and returns its pixels line by line, dark ones as 1.
const DRAWN: &str = "(async () => {
    const svg = document.querySelector('#qr svg, svg#qr');
    if (!svg.checkVisibility()) throw new Error('the code is hidden');
    const image = new Image();
    const text = new XMLSerializer().serializeToString(svg);
    image.src = 'data:image/svg+xml,' + encodeURIComponent(text);
    await image.decode();
    const side = svg.viewBox.baseVal.width * 4;
    const canvas = new OffscreenCanvas(side, side).getContext('2d');
    canvas.drawImage(image, 0, 0, side, side);
    const { data } = canvas.getImageData(0, 0, side, side);
    const line = [...Array(side).keys()];
    return line.map(y => line.map(x => Number(data[4 * (y * side + x)] < 128)).join(''));
})()";

/// Reads the QR code on a page.
fn scanned(page: &Page<'_>) -> String {
    let drawn = page.get(DRAWN);
    let rows = drawn.as_array().expect("rows").iter();
    let rows: Vec<_> = rows.map(|row| row.as_str().expect("a row").as_bytes()).collect();
    let pixel = |x: usize, y: usize| if rows[y][x] == b'1' { 0 } else { 255 };
    let mut image = rqrr::PreparedImage::prepare_from_greyscale(rows.len(), rows.len(), pixel);
    let grids = image.detect_grids();
    assert_eq!(grids.len(), 1, "one code in {drawn:#}");
    grids[0].decode().expect("a code").1
}

#[test]
fn a_chosen_file_reaches_the_commands_shown() {
    const BYTES: usize = 3_000_000;
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    let file = desk.put("größe 1.bin", &pattern(1, BYTES));
    page.open(&relay.url("/"));
    for (selector, command) in [("#curl", "curl "), ("#rdv", "rdv receive ")] {
        page.choose("#files", &[&file]);
        let id = page.offered(&relay);
        assert_eq!(scanned(&page), relay.url(&format!("/s/{id}")), "the code is the link");
        let line = page.words(selector);
        assert!(line.starts_with(command), "{line}");
        let receiver = Desk::new();
        receiver.run(&line);
        page.await_state("FINISHED");
        let names = receiver.names();
        assert_eq!(names.len(), 1, "{names:?}");
        is_pattern(1, BYTES, &receiver.read(&names[0])).expect(command);
        page.click("#again");
    }
}

#[test]
fn a_pasted_text_is_downloaded_as_text() {
    let Some(browser) = browser() else { return };
    let (relay, page) = (Relay::start(&[]), browser.page());
    page.open(&relay.url("/"));
    let text = "first line\nsecond: \u{20ac} \u{1f980} <b>&amp;</b>";
    page.type_into("#text", text);
    page.click("#send-text");
    let id = page.offered(&relay);
    let received = relay.get(&format!("/stream/{id}"));
    assert_eq!(received.text(), text);
    let kind = received.head.get("Content-Type").expect("a type").to_lowercase();
    assert_eq!(kind.replace(' ', ""), "text/plain;charset=utf-8");
    page.await_state("FINISHED");
}

#[test]
fn the_link_can_be_copied() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    page.permit("clipboardReadWrite");
    page.open(&relay.url("/"));
    page.choose("#files", &[&desk.put("a", b"content")]);
    let id = page.offered(&relay);
    page.click("#copy");
    page.until("document.querySelector('#copy').textContent === 'Copied'");
    assert_eq!(page.text("navigator.clipboard.readText()"), relay.url(&format!("/s/{id}")));
}

#[test]
fn a_cancelled_transfer_is_an_error_to_its_receiver() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    let file = desk.put_sparse("large", 1 << 30);
    page.open(&relay.url("/"));
    page.choose("#files", &[&file]);
    let id = page.offered(&relay);
    let mut receiver = relay.connect();
    receiver.ask(&ask("GET", &format!("/stream/{id}")));
    assert_eq!(receiver.head().status, 200);
    receiver.body(1_000_000);
    page.click("#cancel");
    page.await_state("CLIENT_ERROR");
    let (_, ending) = receiver.rest();
    assert_ne!(ending, Ending::Complete);
    assert_cancelled(&relay, &id);
    page.click("#again");
    page.choose("#files", &[&file]);
    assert_ne!(page.offered(&relay), id, "another stream");
}

#[test]
fn a_sender_that_leaves_the_page_ends_its_stream() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    let file = desk.put_sparse("large", 1 << 30);
    page.open(&relay.url("/"));
    page.choose("#files", &[&file]);
    let id = page.offered(&relay);
    let mut receiver = relay.waiting_paired(&id);
    assert_eq!(receiver.head().status, 200);
    receiver.body(1_000_000);
    page.close_and_confirm();
    let (_, ending) = receiver.rest();
    assert_ne!(ending, Ending::Complete);
    assert_cancelled(&relay, &id);
}

/// The page deletes the stream and stops its upload, and the relay can notice either first.
fn assert_cancelled(relay: &Relay, id: &str) {
    let state = relay.status(id)["state"].clone();
    assert!(state == "CLIENT_ERROR" || state == "SRC_DISCONNECTED", "{state}");
}

#[test]
fn a_receiver_that_leaves_is_shown_to_the_sender() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    let file = desk.put_sparse("large", 1 << 30);
    page.open(&relay.url("/"));
    page.choose("#files", &[&file]);
    let id = page.offered(&relay);
    let mut receiver = relay.waiting_paired(&id);
    assert_eq!(receiver.head().status, 200);
    receiver.body(1_000_000);
    page.until("!document.querySelector('#progress').closest('[hidden]')");
    receiver.reset();
    page.await_state("DST_DISCONNECTED");
    assert!(page.words("#state").contains("receiver"), "{}", page.words("#state"));
    page.assert_presentable("send-interrupted");
}

#[test]
fn a_receiver_that_does_not_read_is_named_as_the_limit() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    page.open(&relay.url("/"));
    page.choose("#files", &[&desk.put_sparse("large", 1 << 30)]);
    let id = page.offered(&relay);
    let mut receiver = relay.waiting_paired(&id);
    assert_eq!(receiver.head().status, 200);
    page.until("document.querySelector('#bottleneck').textContent.includes('receiver')");
    page.until("document.querySelector('#progress').value > 0");
    page.assert_presentable("send-streaming");
}

#[test]
fn a_link_that_expires_is_shown_to_the_sender() {
    let Some(browser) = browser() else { return };
    // Above it, no link of the page lasts.
    let (relay, desk, page) =
        (Relay::start(&["--ttl", "1s", "--max-ttl", "1s"]), Desk::new(), browser.page());
    page.open(&relay.url("/"));
    page.choose("#files", &[&desk.put("small", b"1")]);
    // On a slow machine the upload arrives too late, as well.
    page.until(&format!("{STATE}.startsWith('TIMEOUT_NO_')"));
    assert!(page.words("#state").contains("expired"), "{}", page.words("#state"));
}

#[test]
fn the_senders_page_is_presentable_before_and_during_a_transfer() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    page.open(&relay.url("/"));
    page.assert_presentable("send");
    page.choose("#files", &[&desk.put("report.pdf", b"content")]);
    let id = page.offered(&relay);
    page.assert_presentable("send-waiting");
    assert_eq!(relay.get(&format!("/stream/{id}")).text(), "content");
    page.await_state("FINISHED");
    page.assert_presentable("send-finished");
}
