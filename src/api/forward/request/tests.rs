//! Heads in, heads out; the output is parsed again by the relay's own parser.

use super::*;
use crate::http::head::{self, FieldSlots, HeadLimits};
use proptest::prelude::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 1 << 16, target_bytes: 4096 };

fn forwarding(body: BodyCarrier) -> Forwarding<'static> {
    Forwarding {
        scheme: "http",
        rest: "/a",
        prefix: "/api/billing",
        peer: IpAddr::from([192, 0, 2, 7]),
        trusted: false,
        underscores: false,
        authorized: true,
        correlation_id: "made",
        request_id: None,
        body,
        upgrade: None,
    }
}

/// Returns the agent's request for a client request of these lines.
fn forwarded(lines: &str, to: &Forwarding<'_>) -> String {
    let text = lines.replace('\n', "\r\n") + "\r\n";
    let mut slots = FieldSlots::new();
    let head = head::parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
    let mut out = Vec::new();
    request(&head, to, &mut out);
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

/// The fields added to every request that has none of its own.
const ADDED: &str = "X-Forwarded-For: 192.0.2.7\nX-Forwarded-Proto: http\n\
                     X-Forwarded-Host: h\nX-Forwarded-Prefix: /api/billing\nX-Correlation-Id: made\n";

#[test]
fn hop_by_hop_fields_are_removed_and_all_others_pass() {
    for (name, fields, passed) in [
        ("nothing", "", ""),
        ("order and case", "aCCept: x\nB:  y \naccept: z\n", "aCCept: x\nB: y\naccept: z\n"),
        ("an empty value", "A:\n", "A: \n"),
        ("connection", "Connection: close, X-A\nx-a: 1\nX-B: 2\n", "X-B: 2\n"),
        ("two of them", "Connection: X-A\nX-A: 1\nX-B: 2\nconnection: x-b\n", ""),
        (
            "upgrade",
            "Upgrade: websocket\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: A\n",
            "",
        ),
        ("what nobody names", "Keep-Alive: 5\nProxy-Connection: a\nTE: trailers\nTrailer: A\n", ""),
        ("secrets of proxies", "Proxy-Authorization: Basic x\n", ""),
        (
            "secrets of the API",
            "Authorization: Bearer x\nCookie: a=b\n",
            "Authorization: Bearer x\nCookie: a=b\n",
        ),
        ("an expectation", "Expect: 100-continue\n", ""),
        ("the host stays", "Connection: Host\n", ""),
        (
            "forged",
            "Forwarded: for=1.1.1.1\nX-Forwarded-For: 1.1.1.1\nX-Forwarded-Proto: https\nX-Forwarded-Host: x\nX-Forwarded-Prefix: /x\n",
            "",
        ),
    ] {
        let lines = format!("GET /api/billing/a HTTP/1.1\nHost: h\n{fields}");
        let expected = format!("GET /a HTTP/1.1\nHost: h\n{passed}{ADDED}\n");
        assert_eq!(forwarded(&lines, &forwarding(BodyCarrier::Http1)), expected, "{name}");
    }
}

#[test]
fn an_offered_upgrade_passes() {
    let lines = "GET /x HTTP/1.1\nHost: h\nConnection: x-a, Upgrade\nX-A: 1\nUpgrade: websocket\n";
    let text = lines.replace('\n', "\r\n") + "\r\n";
    let mut slots = FieldSlots::new();
    let head = head::parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
    let upgrade = Upgrade::offered(&head);
    let to = Forwarding { upgrade: upgrade.as_ref(), ..forwarding(BodyCarrier::Http1) };
    let passed = "Connection: Upgrade\nUpgrade: websocket\n";
    assert_eq!(forwarded(lines, &to), format!("GET /a HTTP/1.1\nHost: h\n{ADDED}{passed}\n"));
}

#[test]
fn a_field_with_an_underscore_passes_only_if_enabled() {
    let fields =
        "X_Forwarded_For: 1.1.1.1\nA_: 1\n_: 2\nX-A: 3\nX_A: 4\nx-Forwarded_Proto: https\n";
    let lines = format!("GET /x HTTP/1.1\nHost: h\n{fields}");
    for (name, underscores, trusted, passed) in [
        ("by default", false, false, "X-A: 3\n"),
        ("of a trusted proxy", false, true, "X-A: 3\n"),
        ("asked for", true, false, fields),
    ] {
        let to = Forwarding { trusted, underscores, ..forwarding(BodyCarrier::Http1) };
        let expected = format!("GET /a HTTP/1.1\nHost: h\n{passed}{ADDED}\n");
        assert_eq!(forwarded(&lines, &to), expected, "{name}");
    }
    let own = Forwarding { request_id: Some(("X_Id", "ours")), ..forwarding(BodyCarrier::Http1) };
    let text = forwarded("GET /x HTTP/1.1\nHost: h\nx_id: theirs\n", &own);
    assert!(text.contains("\nX_Id: ours\n") && !text.contains("theirs"), "{text}");
}

#[test]
fn only_a_trusted_proxy_may_set_forwarded_fields() {
    let said = "X-Forwarded-For: 1.1.1.1\nx-forwarded-for: 2.2.2.2, 3.3.3.3\nX-Forwarded-For:\n\
                X-Forwarded-Proto: https\nX-Forwarded-Host: public\nForwarded: for=1.1.1.1\n";
    let lines = format!("GET /x HTTP/1.1\nHost: h\n{said}X-Forwarded-Prefix: /x\n");
    let to = Forwarding { trusted: true, ..forwarding(BodyCarrier::Http1) };
    let kept = "X-Forwarded-Proto: https\nX-Forwarded-Host: public\nForwarded: for=1.1.1.1\n";
    let added = "X-Forwarded-For: 1.1.1.1, 2.2.2.2, 3.3.3.3, 192.0.2.7\n\
                 X-Forwarded-Prefix: /api/billing\nX-Correlation-Id: made\n";
    let expected = format!("GET /a HTTP/1.1\nHost: h\n{kept}{added}\n");
    assert_eq!(forwarded(&lines, &to), expected);

    let hidden =
        format!("{lines}Connection: X-Forwarded-For, X-Forwarded-Proto, X-Forwarded-Host\n");
    assert!(forwarded(&hidden, &to).contains(kept), "Connection takes none of it away");
    let silent = forwarded("GET /x HTTP/1.1\nHost: h\n", &to);
    assert_eq!(silent, format!("GET /a HTTP/1.1\nHost: h\n{ADDED}\n"), "who says nothing");
}

#[test]
fn on_the_host_of_an_agent_the_target_has_no_prefix() {
    for (line, rest, target) in [
        ("GET /x", "/x", "GET /x"),
        ("GET http://h?y", "?y", "GET /?y"),
        ("OPTIONS *", "*", "OPTIONS *"),
    ] {
        let to = Forwarding { prefix: "", rest, ..forwarding(BodyCarrier::Http1) };
        let text = forwarded(&format!("{line} HTTP/1.1\nHost: h\nX-Forwarded-Prefix: /x\n"), &to);
        assert!(text.starts_with(&format!("{target} HTTP/1.1\n")), "{text}");
        assert!(!text.contains("Prefix"), "{text}");
    }
}

#[test]
fn a_mapped_ipv4_peer_is_written_as_ipv4() {
    for (peer, shown) in [
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("10.0.0.1", "10.0.0.1"),
    ] {
        let to = Forwarding { peer: peer.parse().unwrap(), ..forwarding(BodyCarrier::Http1) };
        let text = forwarded("GET /x HTTP/1.1\nHost: h\n", &to);
        assert!(text.contains(&format!("\nX-Forwarded-For: {shown}\n")), "{text}");
    }
}

#[test]
fn the_host_is_that_of_the_target_if_it_has_one() {
    for (name, lines, host) in [
        ("origin form", "GET /x HTTP/1.1\nHost: h:1\n", Some("h:1")),
        ("a target within the query", "GET /x?http://t HTTP/1.1\nHost: h\n", Some("h")),
        ("absolute form", "GET http://t:2/x HTTP/1.1\nHost: h\n", Some("t:2")),
        ("absolute form of HTTP/1.0", "GET http://t?x HTTP/1.0\n", Some("t")),
        ("none", "GET /x HTTP/1.0\n", None),
        ("an empty one", "GET /x HTTP/1.1\nHost:\n", None),
    ] {
        let text = forwarded(lines, &forwarding(BodyCarrier::Http1));
        let expected = format!("\nHost: {}\n", host.unwrap_or_default());
        assert!(text.contains(&expected), "{name}: {text}");
        let shown = host.map(|host| format!("\nX-Forwarded-Host: {host}\n"));
        let found = text.contains("X-Forwarded-Host");
        assert_eq!(found, shown.is_some(), "{name}: {text}");
        assert!(text.contains(&shown.unwrap_or_default()), "{name}: {text}");
    }
}

#[test]
fn a_target_begins_with_a_slash() {
    for (rest, line) in [
        ("/", "GET / HTTP/1.1\n"),
        ("?a=b", "GET /?a=b HTTP/1.1\n"),
        ("//x/../%2e?%20", "GET //x/../%2e?%20 HTTP/1.1\n"),
    ] {
        let to = Forwarding { rest, ..forwarding(BodyCarrier::Frames) };
        let text = forwarded("GET /x HTTP/1.1\nHost: h\n", &to);
        assert!(text.starts_with(line), "{text}");
    }
}

#[test]
fn the_framing_of_a_body_is_declared_where_required() {
    const LENGTH_5: &str = "Content-Length: 5\n";
    const LENGTH_0: &str = "Content-Length: 0\n";
    const CHUNKED: &str = "Transfer-Encoding: chunked\n";
    for (name, method, fields, frames, http1) in [
        ("nothing", "GET", "", "", ""),
        ("nothing to delete", "DELETE", "", "", ""),
        ("an empty post", "POST", "", LENGTH_0, LENGTH_0),
        ("an empty patch", "PATCH", "", LENGTH_0, LENGTH_0),
        ("emptiness that was said", "GET", LENGTH_0, LENGTH_0, LENGTH_0),
        ("a length", "PUT", LENGTH_5, LENGTH_5, LENGTH_5),
        ("a length, twice", "PUT", "Content-Length: 5, 05\n", LENGTH_5, LENGTH_5),
        ("chunks", "POST", CHUNKED, "", CHUNKED),
        ("chunks of a get", "GET", "transfer-encoding: Chunked\n", "", CHUNKED),
    ] {
        for (body, framing) in [(BodyCarrier::Frames, frames), (BodyCarrier::Http1, http1)] {
            let lines = format!("{method} /x HTTP/1.1\nHost: h\n{fields}");
            let text = forwarded(&lines, &forwarding(body));
            let expected = format!("{method} /a HTTP/1.1\nHost: h\n{ADDED}{framing}\n");
            assert_eq!(text, expected, "{name}, {body:?}");
        }
    }
}

#[test]
fn a_valid_correlation_id_is_kept_and_an_invalid_one_replaced() {
    let longest = "x".repeat(128);
    let too_long = format!("X-Correlation-Id: {longest}x\n");
    let longest = format!("x-correlation-ID: {longest}\n");
    for (name, fields, own) in [
        ("none", "", false),
        ("plain", "x-correlation-id: a-1,\"b\"\n", true),
        ("the longest", &longest, true),
        ("too long", &too_long, false),
        ("empty", "X-Correlation-Id:\n", false),
        ("with a blank", "X-Correlation-Id: a b\n", false),
        ("beyond ASCII", "X-Correlation-Id: ä\n", false),
        ("twice", "X-Correlation-Id: a\nX-Correlation-Id: a\n", false),
    ] {
        let lines = format!("GET /x HTTP/1.1\nHost: h\n{fields}");
        let text = lines.replace('\n', "\r\n") + "\r\n";
        let mut slots = FieldSlots::new();
        let head = head::parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
        let found = correlation_id(&head);
        assert_eq!(found.is_some(), own, "{name}");
        let correlation_id = found.unwrap_or("made");
        for connection in ["", "Connection: X-Correlation-Id\n"] {
            let to = Forwarding { correlation_id, ..forwarding(BodyCarrier::Frames) };
            let text = forwarded(&format!("{lines}{connection}"), &to).to_lowercase();
            let field = format!("\nx-correlation-id: {}\n", correlation_id.to_lowercase());
            assert!(text.contains(&field), "{name}: {text}");
            assert_eq!(text.matches("x-correlation-id").count(), 1, "{name}: {text}");
        }
        let other = forwarded(&lines, &forwarding(BodyCarrier::Frames));
        assert!(other.contains("\nX-Correlation-Id: made\n"), "{name}, replaced: {other}");
        assert_eq!(other.to_lowercase().matches("x-correlation-id").count(), 1, "{name}: {other}");
    }
}

#[test]
fn only_the_request_id_of_the_relay_is_forwarded() {
    let lines = "GET /x HTTP/1.1\nHost: h\nx-request-id: theirs\n";
    let ours = Some(("X-Request-Id", "ours"));
    let to = Forwarding { request_id: ours, ..forwarding(BodyCarrier::Http1) };
    let expected = format!("GET /a HTTP/1.1\nHost: h\n{ADDED}X-Request-Id: ours\n\n");
    assert_eq!(forwarded(lines, &to), expected);
    let without = forwarded(lines, &forwarding(BodyCarrier::Http1));
    assert!(without.contains("\nx-request-id: theirs\n"), "{without}");
    let one_name = Forwarding { request_id: Some(("x-correlation-id", "ours")), ..to };
    let text = forwarded("GET /x HTTP/1.1\nHost: h\n", &one_name);
    assert_eq!(text, format!("GET /a HTTP/1.1\nHost: h\n{ADDED}\n"), "an answer has to be joined");
}

#[test]
fn frames_carry_only_text() {
    let head = b"GET /x HTTP/1.1\r\nHost: h\r\nA: \xc3\xa4 \xe4\xff\r\n\r\n";
    let mut slots = FieldSlots::new();
    let head = head::parse(head, &mut slots, &LIMITS).unwrap().unwrap();
    for (body, value) in [
        (BodyCarrier::Http1, &b"\r\nA: \xc3\xa4 \xe4\xff\r\n"[..]),
        (BodyCarrier::Frames, b"\r\nA: \xc3\xa4 ??\r\n"),
    ] {
        let mut out = Vec::new();
        request(&head, &forwarding(body), &mut out);
        assert!(out.windows(value.len()).any(|window| window == value), "{body:?}");
    }
}

/// A field of a client, and whether the agent receives it.
fn field() -> impl Strategy<Value = (String, String, bool)> {
    let passing =
        prop::sample::select(&["Accept", "cookie", "X-A", "AUTHORIZATION", "X-Upgrade"][..]);
    let ending =
        prop::sample::select(&["TE", "keep-alive", "Upgrade", "X-Named", "proxy-connection"][..]);
    let name = prop_oneof![
        4 => passing.prop_map(|name| (name.to_owned(), true)),
        1 => "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}z".prop_map(|name| {
            let passes = !name.contains('_');
            (name, passes)
        }),
        2 => ending.prop_map(|name| (name.to_owned(), false)),
    ];
    (name, "([!-~]([ -~\t]{0,20}[!-~])?)?")
        .prop_map(|((name, passes), value)| (name, value, passes))
}

proptest! {
    #[test]
    fn a_forwarded_request_parses_as_intended(
        method in prop::sample::select(&["GET", "POST", "PUT", "OPTIONS", "PROPFIND", "x"][..]),
        rest in "(/[!-\"$-~]{0,30}|\\?[!-\"$-~]{0,30})",
        fields in prop::collection::vec(field(), 0..12),
        framing in prop_oneof![Just(None), any::<u32>().prop_map(|n| Some(Framing::Length(n.into()))), Just(Some(Framing::Chunked))],
        (trusted, http1, named) in any::<(bool, bool, bool)>(),
    ) {
        let body = if http1 { BodyCarrier::Http1 } else { BodyCarrier::Frames };
        let mut text = format!("{method} /api/billing{rest} HTTP/1.1\r\nHost: h\r\nConnection: X-Named\r\n");
        for (name, value, _) in &fields {
            text.extend([name, ": ", value, "\r\n"]);
        }
        match framing {
            None => {}
            Some(Framing::Length(bytes)) => {
                text.extend(["Content-Length: ", &bytes.to_string(), "\r\n"]);
            }
            Some(Framing::Chunked) => text.push_str("Transfer-Encoding: chunked\r\n"),
        }
        text.push_str("\r\n");
        let mut slots = FieldSlots::new();
        let head = head::parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
        let request_id = named.then_some(("X-Request-Id", "r-1"));
        let to = Forwarding { rest: &rest, trusted, request_id, ..forwarding(body) };
        let mut out = Vec::new();
        request(&head, &to, &mut out);

        let mut slots = FieldSlots::new();
        let read = head::parse(&out, &mut slots, &LIMITS).unwrap().unwrap();
        prop_assert_eq!(read.len, out.len());
        prop_assert_eq!(read.method_name, method);
        let target = if rest.starts_with('?') { format!("/{rest}") } else { rest.clone() };
        prop_assert_eq!(read.target, target);
        let framing = framing.unwrap_or(Framing::Length(0));
        let carried = if http1 || framing != Framing::Chunked { framing } else { Framing::Length(0) };
        prop_assert_eq!(read.framing, carried);

        let mut expected = vec![("Host", "h")];
        expected.extend(fields.iter().filter(|field| field.2).map(|(n, v, _)| (n.as_str(), v.as_str())));
        let found: Vec<_> = read.fields.iter().map(|(n, v)| (n, str::from_utf8(v).unwrap())).collect();
        prop_assert_eq!(&found[..expected.len()], &expected[..]);
        let added: Vec<_> = found[expected.len()..].iter().map(|(name, _)| *name).collect();
        let mut names = vec!["X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix", "X-Correlation-Id"];
        names.extend(request_id.map(|(name, _)| name));
        prop_assert_eq!(&added[..names.len()], &names[..]);
        prop_assert!(added[names.len()..].iter().all(|name| ["Content-Length", "Transfer-Encoding"].contains(name)));
    }
}
