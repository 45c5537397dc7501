use super::*;
use crate::http::head::{FieldSlots, HeadLimits, parse};
use proptest::prelude::*;

/// Returns the client of a request with these field lines, through proxies in 10.0.0.0/8.
fn client_of(lines: &str) -> String {
    let text = format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", lines.replace('\n', "\r\n"));
    let mut slots = FieldSlots::new();
    let limits = HeadLimits { bytes: 1 << 16, target_bytes: 100 };
    let head = parse(text.as_bytes(), &mut slots, &limits).unwrap().unwrap();
    let is_proxy = |address| matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 10);
    client(head.fields, is_proxy).map_or_else(|| "unknown".to_owned(), |found| found.to_string())
}

#[test]
fn the_client_is_the_right_most_address_that_is_not_a_proxys() {
    for (name, lines, expected) in [
        ("no field", "", "unknown"),
        ("one", "X-Forwarded-For: 192.0.2.1\n", "192.0.2.1:0"),
        ("an invented one before it", "X-Forwarded-For: 1.1.1.1, 192.0.2.1\n", "192.0.2.1:0"),
        ("proxies", "X-Forwarded-For: 1.1.1.1,192.0.2.1, 10.1.1.1 ,10.2.2.2\n", "192.0.2.1:0"),
        ("only proxies", "X-Forwarded-For: 10.1.1.1, 10.2.2.2\n", "10.1.1.1:0"),
        ("lines", "X-Forwarded-For: 192.0.2.1\nA: b\nx-forwarded-for: 10.1.1.1\n", "192.0.2.1:0"),
        ("empty members", "X-Forwarded-For: ,192.0.2.1,, ,\n", "192.0.2.1:0"),
        ("an empty field", "X-Forwarded-For:\n", "unknown"),
        ("a port", "X-Forwarded-For: 192.0.2.1:4711\n", "192.0.2.1:4711"),
        ("IPv6", "X-Forwarded-For: 2001:db8::1\n", "[2001:db8::1]:0"),
        ("IPv6 in brackets", "X-Forwarded-For: [2001:db8::1]\n", "[2001:db8::1]:0"),
        ("IPv6 with a port", "X-Forwarded-For: [2001:db8::1]:80\n", "[2001:db8::1]:80"),
        ("an IPv4-mapped proxy", "X-Forwarded-For: 192.0.2.1, ::ffff:10.0.0.1\n", "192.0.2.1:0"),
        ("an IPv4-mapped client", "X-Forwarded-For: ::ffff:192.0.2.1\n", "192.0.2.1:0"),
        ("a name", "X-Forwarded-For: 192.0.2.1, localhost\n", "unknown"),
        ("a name before it", "X-Forwarded-For: localhost, 192.0.2.1\n", "192.0.2.1:0"),
        ("unknown", "X-Forwarded-For: unknown\n", "unknown"),
        ("a port beyond", "X-Forwarded-For: 192.0.2.1:65536\n", "unknown"),
        ("a port with a sign", "X-Forwarded-For: 192.0.2.1:+1\n", "unknown"),
        ("a zone", "X-Forwarded-For: fe80::1%eth0\n", "unknown"),
        ("no UTF-8", "X-Forwarded-For: 192.0.2.\u{fc}\n", "unknown"),
        ("Forwarded", "Forwarded: for=192.0.2.1\n", "192.0.2.1:0"),
        ("in any case", "forwarded: FOR=192.0.2.1;Proto=http;by=203.0.113.43\n", "192.0.2.1:0"),
        ("not the first", "Forwarded: proto=http; for=192.0.2.1\n", "192.0.2.1:0"),
        ("quoted", "Forwarded: for=\"192.0.2.1:4711\"\n", "192.0.2.1:4711"),
        (
            "quoted IPv6",
            "Forwarded: For=\"[2001:db8:cafe::17]:4711\"\n",
            "[2001:db8:cafe::17]:4711",
        ),
        ("a hidden port", "Forwarded: for=\"192.0.2.1:_x.1\"\n", "192.0.2.1:0"),
        ("several", "Forwarded: for=1.1.1.1, for=192.0.2.1, for=10.0.0.1\n", "192.0.2.1:0"),
        ("lines of it", "Forwarded: for=192.0.2.1\nForwarded: for=10.0.0.1\n", "192.0.2.1:0"),
        ("obfuscated", "Forwarded: for=192.0.2.1, for=_hidden\n", "unknown"),
        ("unknown there", "Forwarded: for=unknown\n", "unknown"),
        ("without for", "Forwarded: for=192.0.2.1, proto=http\n", "unknown"),
        ("twice for", "Forwarded: for=192.0.2.1;for=192.0.2.2\n", "unknown"),
        ("half a quote", "Forwarded: for=\"192.0.2.1\n", "unknown"),
        ("an open quote before it", "Forwarded: for=\"1.1.1.1, for=192.0.2.1\n", "192.0.2.1:0"),
        ("an escape before it", "Forwarded: for=\"\\\", for=\"192.0.2.1:1\"\n", "192.0.2.1:1"),
        ("a comma in quotes", "Forwarded: for=192.0.2.1;host=\"a, for=1.1.1.1\"\n", "192.0.2.1:0"),
        (
            "an escaped quote",
            "Forwarded: for=192.0.2.1;host=\"a, for=1.1.1.1\\\"\"\n",
            "192.0.2.1:0",
        ),
        ("a parameter in quotes", "Forwarded: for=192.0.2.1;host=\"a;for=1.1.1.1\"\n", "unknown"),
        ("an escaped address", "Forwarded: for=\"192.0.2.\\1\"\n", "unknown"),
        ("both alike", "Forwarded: for=192.0.2.1\nX-Forwarded-For: 192.0.2.1\n", "192.0.2.1:0"),
        (
            "ports differ",
            "Forwarded: for=\"192.0.2.1:7\"\nX-Forwarded-For: 192.0.2.1\n",
            "192.0.2.1:7",
        ),
        ("both differ", "Forwarded: for=1.1.1.1\nX-Forwarded-For: 192.0.2.1\n", "unknown"),
        ("one is hidden", "Forwarded: for=_a\nX-Forwarded-For: 192.0.2.1\n", "unknown"),
        ("one is empty", "Forwarded:\nX-Forwarded-For: 192.0.2.1\n", "unknown"),
    ] {
        assert_eq!(client_of(lines), expected, "{name}");
    }
}

proptest! {
    #[test]
    fn nothing_sent_before_the_proxys_element_changes_it(before in "[ -~]{0,60}", v6 in any::<bool>()) {
        let (usual, standard, expected) = if v6 {
            ("2001:db8::1", "for=\"[2001:db8::1]\"", "[2001:db8::1]:0")
        } else {
            ("192.0.2.1", "for=192.0.2.1", "192.0.2.1:0")
        };
        let lines = format!("X-Forwarded-For: {before}, {usual}, 10.0.0.1\n");
        prop_assert_eq!(client_of(&lines), expected);
        let lines = format!("Forwarded: {before}, {standard};proto=https, for=10.0.0.1\n");
        prop_assert_eq!(client_of(&lines), expected);
    }
}
