//! Tests of the log lines: every verb, every type, every preset.

use super::entry::{Capture, Entry, StreamEnd, StreamEntry, StreamPart};
use super::item::KEYS;
use super::json::{DEFAULT_FIELDS, Field};
use super::text::{self, APACHE_COMBINED, APACHE_COMMON, COMBINED, COMMON_FORMAT, FRAMEWORK};
use super::{Format, JsonFormat, Layout, LogContext, TextFormat, layout};
use crate::http::head::{FieldSlots, HeadLimits, parse};
use crate::rendezvous::{Side, StreamState};
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use uuid::Uuid;

const ID: &str = "0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0";

/// 09/Oct/2019:14:59:55 UTC and 12 ms.
const RECEIVED_MS: i64 = 1_570_633_195_012;

fn around() -> LogContext {
    LogContext { zone: TimeZone::UTC, instance_id: "relay-1".into(), full_ids: false }
}

fn peer() -> SocketAddr {
    "[::1]:49574".parse().unwrap()
}

fn part() -> StreamPart {
    let ended = StreamEnd {
        outcome: StreamState::Finished,
        bytes_transferred: 52,
        waited: Some(Duration::from_micros(1_500)),
        transferred_in: Some(Duration::from_secs(3)),
    };
    StreamPart {
        stream: Uuid::parse_str(ID).unwrap(),
        side: Some(Side::Destination),
        ended: Some(ended),
    }
}

/// The parts of a request that a test sets.
struct Case<'c> {
    head: &'c [u8],
    status: Option<u16>,
    body_bytes: u64,
    part: Option<StreamPart>,
    request_id: Option<&'c str>,
    token: Option<&'c str>,
    peer: SocketAddr,
}

impl Case<'_> {
    fn new(head: &[u8]) -> Case<'_> {
        Case {
            head,
            status: Some(200),
            body_bytes: 0,
            part: None,
            request_id: None,
            token: None,
            peer: peer(),
        }
    }

    fn line(&self, mut format: Format) -> String {
        let names = format.place_headers();
        let limits = HeadLimits { bytes: 1 << 16, target_bytes: 1 << 15 };
        let mut slots = FieldSlots::new();
        let head = parse(self.head, &mut slots, &limits).ok().flatten();
        let capture = head.map(|head| Capture::new(&head, &names, false));
        let entry = Entry {
            tls_version: Some("TLSv1.3"),
            tls_client: Some("CN=ci"),
            peer: self.peer,
            request: capture.as_ref(),
            received_ms: RECEIVED_MS,
            elapsed: Duration::from_nanos(1_234_567_890),
            status: self.status,
            body_bytes: self.body_bytes,
            request_id: self.request_id,
            token: self.token,
            stream: self.part.as_ref(),
        };
        let (mut value, mut line) = (Vec::new(), Vec::new());
        match &format {
            Format::Text(format) => format.write(&entry, &around(), &mut value, &mut line),
            Format::Json(format) => format.write(&entry, &around(), &mut value, &mut line),
        }
        String::from_utf8(line).expect("a line is UTF-8")
    }

    fn text(&self, format: &str) -> String {
        let line = self.line(Format::Text(format.parse().unwrap()));
        line.strip_suffix('\n').expect("a line ends").to_owned()
    }

    fn json(&self, fields: &[&str]) -> Value {
        serde_json::from_str(&self.line(json(fields, "", "\n"))).unwrap()
    }
}

fn json(fields: &[&str], prefix: &str, suffix: &str) -> Format {
    let fields = fields.iter().map(|field| field.parse::<Field>().unwrap()).collect();
    Format::Json(JsonFormat::new(fields, prefix.into(), suffix.into()).unwrap())
}

const POST: &[u8] = b"POST /test HTTP/1.1\r\nHost: h\r\n\r\n";
const RICH: &[u8] = b"GET /stream/0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0?a=b HTTP/1.1\r\nHost: h\r\n\
    X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\nReferer: http://r/\r\n\
    User-Agent: agent \"x\"\r\n\r\n";
const NO_HEAD: &[u8] = b"GET \r\n\r\n";

#[test]
fn the_presets_are_stable() {
    for (name, format, head, expected) in [
        (
            "framework",
            FRAMEWORK,
            POST,
            "[::1]:49574 XFF[-] - - [09/Oct/2019:14:59:55 Z] \"POST /test\" 200 -B 1234567μs",
        ),
        (
            "common",
            COMMON_FORMAT,
            POST,
            "[::1]:49574 - - [09/Oct/2019:14:59:55 +0000] \"POST /test HTTP/1.1\" 200 -",
        ),
        (
            "combined",
            COMBINED,
            POST,
            "[::1]:49574 - - [09/Oct/2019:14:59:55 +0000] \"POST /test HTTP/1.1\" 200 - \"-\" \"-\"",
        ),
        (
            "apache-common",
            APACHE_COMMON,
            POST,
            "::1 - - [09/Oct/2019:14:59:55 +0000] \"POST /test HTTP/1.1\" 200 -",
        ),
        (
            "apache-combined",
            APACHE_COMBINED,
            POST,
            "::1 - - [09/Oct/2019:14:59:55 +0000] \"POST /test HTTP/1.1\" 200 - \"-\" \"-\"",
        ),
        (
            "framework, with all",
            FRAMEWORK,
            RICH,
            "[::1]:49574 XFF[10.0.0.1, 10.0.0.2] - - [09/Oct/2019:14:59:55 Z] \
             \"GET /stream/0b54a9d1?a=b\" 200 -B 1234567μs",
        ),
        (
            "combined, with all",
            COMBINED,
            RICH,
            "[::1]:49574 - - [09/Oct/2019:14:59:55 +0000] \"GET /stream/0b54a9d1?a=b HTTP/1.1\" \
             200 - \"http://r/\" \"agent \\x22x\\x22\"",
        ),
    ] {
        assert_eq!(Case::new(head).text(format), expected, "{name}");
    }
}

#[test]
fn every_verb_writes_its_value() {
    let rich = Case {
        body_bytes: 52,
        part: Some(part()),
        request_id: Some("r-1"),
        token: Some("ci"),
        ..Case::new(RICH)
    };
    let poor = Case { status: None, ..Case::new(NO_HEAD) };
    for (format, expected, unknown) in [
        ("%%", "%", "%"),
        ("100%% %%s", "100% %s", "100% %s"),
        ("%a", "::1", "::1"),
        ("%b", "52", "-"),
        ("%B", "52", "0"),
        ("%D", "1234567", "1234567"),
        ("%h", "[::1]:49574", "[::1]:49574"),
        ("%{referer}i", "http://r/", "-"),
        ("%{None}i", "-", "-"),
        ("%l", "-", "-"),
        ("%m", "GET", "-"),
        ("%q", "?a=b", ""),
        ("%r", "GET /stream/0b54a9d1?a=b HTTP/1.1", "-"),
        ("%s", "200", "-"),
        ("%>s", "200", "499"),
        ("%>s>s", "200>s", "499>s"),
        ("%t", "[09/Oct/2019:14:59:55 +0000]", "[09/Oct/2019:14:59:55 +0000]"),
        (
            "%{2006-01-02T15:04:05.000Z07:00}t",
            "2019-10-09T14:59:55.012Z",
            "2019-10-09T14:59:55.012Z",
        ),
        ("%{%s}t", "1570633195", "1570633195"),
        ("%{s}T", "1", "1"),
        ("%{ms}T", "1234", "1234"),
        ("%{us}T", "1234567", "1234567"),
        ("%T", "1", "1"),
        ("%u", "ci", "-"),
        ("%U", "/stream/0b54a9d1", "-"),
        ("%{request_id}X", "r-1", "-"),
        ("%{stream}X", "0b54a9d1", "-"),
        ("%{side}X", "destination", "-"),
        ("%{outcome}X", "FINISHED", "-"),
        ("%{bytes_transferred}X", "52", "-"),
        ("%{wait_ms}X", "1", "-"),
        ("%{transfer_ms}X", "3000", "-"),
        ("größer %s!", "größer 200!", "größer -!"),
        ("", "", ""),
    ] {
        assert_eq!(rich.text(format), expected, "{format}");
        assert_eq!(poor.text(format), unknown, "{format}, of a request nobody understood");
    }
}

#[test]
fn an_ipv4_address_on_a_socket_for_both_kinds_is_written_as_ipv4() {
    for (peer, expected) in [
        ("[::ffff:192.0.2.1]:5", "192.0.2.1"),
        ("[fe80::1%3]:5", "fe80::1"),
        ("192.0.2.1:5", "192.0.2.1"),
    ] {
        let peer = peer.parse().unwrap();
        assert_eq!(Case { peer, ..Case::new(POST) }.text("%a"), expected);
    }
}

#[test]
fn an_invalid_format_is_refused_with_its_position_and_the_options() {
    for (format, parts) in [
        ("%h %z", &["character 4", "'%z'", "%{NAME}i"][..]),
        ("ü%é", &["character 2", "'%é'"]),
        ("%>", &["character 1", "'%>'", "%>s"]),
        ("%>b", &["character 1", "'%>'", "%>s"]),
        ("%s %", &["character 4", "'%' has no letter", "%{KEY}X"]),
        ("%{Referer", &["character 1", "no '}'"]),
        ("%{Referer}", &["character 1", "no letter"]),
        ("%{m}T", &["'%{m}T'", "s, ms, us"]),
        ("%{yyyy}t", &["'%{yyyy}t'", "shows no time", "2006"]),
        ("%{%J}t", &["'%{%J}t'", "strftime"]),
        ("%{user}X", &["'user'", "request_id", "transfer_ms"]),
        ("%{a b}i", &["'a b'", "header"]),
        ("%{a}s", &["'%{a}s'", "takes no argument"]),
        ("%i", &["character 1", "%{Referer}i"]),
        ("%X", &["character 1", "%{request_id}X"]),
    ] {
        let error = format.parse::<TextFormat>().unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{format}: {part:?} in {error:?}");
        }
        assert!(!error.contains('\n'), "{format}");
    }
}

#[test]
fn json_lines_have_the_default_fields_sorted_by_name() {
    let line = Case { body_bytes: 60, ..Case::new(POST) }.line(json(&DEFAULT_FIELDS, "", "\n"));
    assert_eq!(
        line,
        "{\"BytesReturned\":\"60\",\"ForwardedFor\":\"\",\"Method\":\"POST\",\"Path\":\"/test\",\
         \"ProcessTimeMicro\":\"1234567\",\"Query\":\"\",\"Received\":\"09/Oct/2019:14:59:55 Z\",\
         \"Remote\":\"[::1]:49574\",\"Status\":\"200\"}\n"
    );
}

#[test]
fn every_type_of_field_writes_its_value() {
    let rich = Case {
        body_bytes: 52,
        part: Some(part()),
        request_id: Some("r-1"),
        token: Some("ci"),
        ..Case::new(RICH)
    };
    let poor = Case { status: None, ..Case::new(NO_HEAD) };
    for (field, expected, unknown) in [
        ("A=REMOTE", "[::1]:49574", "[::1]:49574"),
        ("A=REMOTE_ADDR", "::1", "::1"),
        ("A=USER", "ci", "-"),
        ("A=REQ_HEADER:user-agent", "agent \"x\"", ""),
        ("A=RECEIVED:2006-01-02", "2019-10-09", "2019-10-09"),
        ("A=RECEIVED:%H:%M", "14:59", "14:59"),
        ("A=HTTP_METHOD", "GET", "-"),
        ("A=PATH", "/stream/0b54a9d1", "-"),
        ("A=REQ_PATH", "/stream/0b54a9d1", "-"),
        ("A=QUERY", "a=b", ""),
        ("A=STATUS", "200", "-"),
        ("A=BYTES_OUT", "52", "0"),
        ("A=PROCESS_TIME:SECONDS", "1", "1"),
        ("A=PROCESS_TIME:MILLI", "1234", "1234"),
        ("A=PROCESS_TIME:MICRO", "1234567", "1234567"),
        ("A=REQUEST_LINE", "GET /stream/0b54a9d1?a=b HTTP/1.1", "-"),
        ("A=INSTANCE_ID", "relay-1", "relay-1"),
        ("A=TEXT:x=y:z", "x=y:z", "x=y:z"),
        ("A=CONTEXT_VALUE:request_id", "r-1", ""),
        ("A=CONTEXT_VALUE:outcome", "FINISHED", ""),
    ] {
        assert_eq!(rich.json(&[field])["A"], expected, "{field}");
        assert_eq!(poor.json(&[field])["A"], unknown, "{field}, of a request nobody understood");
    }
    let line = rich.line(json(&["A \"b\"=TEXT:c"], "<", ">"));
    assert_eq!(line, r#"<{"A \"b\"":"c"}>"#, "prefix and suffix");
}

#[test]
fn an_invalid_field_is_refused_with_the_options() {
    for (field, parts) in [
        ("Status", &["NAME=TYPE"][..]),
        ("=STATUS", &["NAME=TYPE"]),
        ("A=STATE", &["'STATE'", "STATUS", "CONTEXT_VALUE:KEY"]),
        ("A=STATE:x", &["'STATE'"]),
        ("A=STATUS:x", &["STATUS takes no argument"]),
        ("A=REQ_HEADER", &["REQ_HEADER needs an argument"]),
        ("A=REQ_HEADER:", &["''"]),
        ("A=PROCESS_TIME:NANO", &["'NANO'", "SECONDS, MILLI or MICRO"]),
        ("A=RECEIVED:never", &["'never' shows no time"]),
        ("A=CONTEXT_VALUE:user", &["'user'", "request_id"]),
    ] {
        let error = field.parse::<Field>().unwrap_err();
        for part in parts {
            assert!(error.contains(part), "{field}: {part:?} in {error:?}");
        }
    }
    let twice = ["A=STATUS", "B=PATH", "A=PATH"].map(|field| field.parse::<Field>().unwrap());
    let error = JsonFormat::new(twice.into(), String::new(), String::new()).unwrap_err();
    assert!(error.contains("duplicate field A"), "{error}");
}

#[test]
fn a_stream_has_its_own_line() {
    let Some(ended) = part().ended else { panic!() };
    let stream = Uuid::parse_str(ID).unwrap();
    let entry = StreamEntry { stream, peers: [Some(peer()), None], ended, ended_ms: RECEIVED_MS };
    let layout = Layout::compile(layout::COMMON).unwrap();
    let mut line = Vec::new();
    text::write_stream(&entry, &layout, &around(), &mut line);
    assert_eq!(
        String::from_utf8(line).unwrap(),
        "[09/Oct/2019:14:59:55 +0000] stream=0b54a9d1 outcome=FINISHED source=[::1]:49574 \
         destination=- bytes=52 wait_ms=1 transfer_ms=3000\n"
    );
    let Format::Json(format) = json(&[], "", "\n") else { panic!() };
    let mut line = Vec::new();
    format.write_stream(&entry, &layout, &around(), &mut line);
    let object: Value = serde_json::from_slice(&line).unwrap();
    assert_eq!(
        object,
        serde_json::json!({
            "BytesTransferred": "52", "Destination": "", "Ended": "[09/Oct/2019:14:59:55 +0000]",
            "Outcome": "FINISHED", "Source": "[::1]:49574", "Stream": "0b54a9d1",
            "TransferMilli": "3000", "WaitMilli": "1",
        })
    );
}

proptest! {
    #[test]
    fn no_header_can_forge_a_line(mut value: Vec<u8>) {
        value.retain(|byte| !matches!(byte, b'\r' | b'\n' | 0));
        let head = [b"GET / HTTP/1.1\r\nHost: h\r\nA: ", &value[..], b"\r\n\r\n"].concat();
        let case = Case::new(&head);
        let line = case.text("%r \"%{A}i\"");
        prop_assert!(!line.chars().any(char::is_control));
        prop_assert_eq!(line.matches('"').count(), 2);
        let line = case.line(json(&["A=REQ_HEADER:A", "R=REQUEST_LINE"], "", "\n"));
        prop_assert_eq!(line.matches('\n').count(), 1);
        prop_assert!(serde_json::from_str::<Value>(&line).is_ok());
    }

    #[test]
    fn any_format_is_compiled_or_refused(format: String) {
        if let Err(error) = format.parse::<TextFormat>() {
            prop_assert!(error.starts_with("at character "));
        }
    }
}

#[test]
fn every_key_is_found_by_its_name() {
    for (name, key) in KEYS {
        assert_eq!(super::item::Key::named(name), Ok(key));
    }
}
