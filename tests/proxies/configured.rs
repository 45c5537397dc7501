//! The numbers in the files: a side may wait, or pause, for longer than ten minutes.

use crate::proxy::file;

/// Longer than the relay's `idle-timeout` by default, which is the longest wait it permits.
const LEAST_SECONDS: u64 = 6 * 3_600 + 1;

/// Seconds in the notation of nginx and `HAProxy`.
fn seconds(text: &str) -> u64 {
    let number: u64 = text.trim_end_matches(char::is_alphabetic).parse().expect(text);
    match text.trim_start_matches(|c: char| c.is_ascii_digit()) {
        "h" => number * 3_600,
        "m" => number * 60,
        "s" => number,
        unit => panic!("{unit:?} in {text:?}"),
    }
}

/// The values of a directive of words, in its lines.
fn values(name: &str, directive: &str) -> Vec<String> {
    let text = file(name);
    let value = |line: &str| Some(line.trim().strip_prefix(directive)?.trim().to_owned());
    let values: Vec<_> = text.lines().filter_map(value).collect();
    assert!(!values.is_empty(), "{directive} in {name}");
    values
}

#[test]
fn idle_timeouts_are_longer_than_those_of_the_relay() {
    for (name, directive) in [
        ("nginx.conf", "client_body_timeout "),
        ("nginx.conf", "send_timeout "),
        ("nginx.conf", "proxy_read_timeout "),
        ("nginx.conf", "proxy_send_timeout "),
        ("haproxy.cfg", "timeout client "),
        ("haproxy.cfg", "timeout server "),
        ("haproxy.cfg", "timeout tunnel "),
        ("../scale/nginx.conf", "client_body_timeout "),
        ("../scale/nginx.conf", "send_timeout "),
        ("../scale/nginx.conf", "proxy_read_timeout "),
        ("../scale/nginx.conf", "proxy_send_timeout "),
        ("../scale/haproxy.cfg", "timeout client "),
        ("../scale/haproxy.cfg", "timeout server "),
        ("../scale/haproxy.cfg", "timeout tunnel "),
        ("Caddyfile", "read_body_idle "),
        ("Caddyfile", "write_idle "),
    ] {
        for value in values(name, directive) {
            let least = seconds(value.trim_end_matches(';'));
            assert!(least >= LEAST_SECONDS, "{directive} {value} in {name}");
        }
    }
    // 0 means unlimited there.
    for directive in ["readTimeout:", "writeTimeout:"] {
        assert_eq!(values("traefik.yml", directive), ["0"], "{directive}");
    }
    assert_eq!(values("traefik-dynamic.yml", "responseHeaderTimeout:"), ["0s"]);
    // Caddy has none of these unless they are set.
    for setting in ["read_body ", "write ", "response_header_timeout", "read_timeout"] {
        let text = file("Caddyfile");
        let mut lines = text.lines().map(str::trim);
        assert!(!lines.any(|line| line.starts_with(setting)), "{setting} in Caddyfile");
    }
}
