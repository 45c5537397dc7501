//! The pages of several relays with one name.

use crate::browser::browser;
use crate::scene::Desk;
use crate::support::{Nginx, is_pattern, listener, node_on, pattern};
use nix::sys::signal::Signal;

/// More than a node discards after its response, and than sockets buffer.
const BYTES: usize = 20_000_000;

#[test]
fn a_page_sends_to_the_node_of_its_stream() {
    let Some(browser) = browser() else { return };
    let ((socket_a, a), (socket_b, b)) = (listener(), listener());
    let port = b.port();
    // Streams are created at one node, and all other requests are sent to the other.
    let directives = format!(
        "proxy_http_version 1.1; proxy_request_buffering off; proxy_buffering off; \
         client_max_body_size 0; proxy_set_header Host $http_host; \
         if ($request_method = POST) {{ proxy_pass http://{b}; }} \
         if ($uri ~ ^/n/{port}/) {{ rewrite ^/n/[0-9]+(/.*)$ $1 break; proxy_pass http://{b}; }}"
    );
    let Some(nginx) = Nginx::start(a, &directives) else { return };
    let url = format!("http://{}", nginx.address());
    let (desk, receiver, page) = (Desk::new(), Desk::new(), browser.page());
    let nodes = [(socket_a, a), (socket_b, b)].map(|(socket, address)| {
        let (number, url) = (address.port().to_string(), format!("{url}/n/{{node}}"));
        let log = desk.directory().join(&number);
        let log = ["--access-log-format", "%m %s", "--access-log", log.to_str().expect("UTF-8")];
        node_on(socket, &[&["--node-id", &number, "--node-url", &url], &log[..]].concat())
    });
    let file = desk.put("a.bin", &pattern(1, BYTES));
    page.open(&format!("{url}/"));
    page.choose("#files", &[&file]);
    page.await_state("SRC_CONNECTED");
    let link = page.text("document.querySelector('#link').value");
    let id = link.strip_prefix(&format!("{url}/s/")).unwrap_or_else(|| panic!("{link}"));
    assert_eq!(nodes[1].status(id)["state"], "SRC_CONNECTED");
    let shown = browser.page();
    shown.open(&link);
    assert_eq!(shown.text("location.pathname"), format!("/n/{port}/s/{id}"));
    let command = page.words("#curl");
    assert_eq!(command, format!("curl -fLOJ {url}/stream/{id}"));
    receiver.run(&command);
    page.await_state("FINISHED");
    is_pattern(1, BYTES, &receiver.read("a.bin")).expect("what was sent");
    let [redirecting, serving] = nodes.map(|node| {
        let number = node.address().port().to_string();
        node.signal(Signal::SIGTERM);
        node.finish();
        String::from_utf8(desk.read(&number)).expect("UTF-8")
    });
    assert!(redirecting.contains("HEAD 307") && !redirecting.contains("PUT"), "{redirecting}");
    assert!(serving.contains("PUT 200"), "{serving}");
}
