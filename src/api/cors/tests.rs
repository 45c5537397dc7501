use super::*;
use crate::http::date::HttpDate;
use crate::http::head::{FieldSlots, HeadLimits, parse};

const LIMITS: HeadLimits = HeadLimits { bytes: 8192, target_bytes: 2048 };

fn list(origins: &[&str]) -> Vec<AllowedOrigin> {
    origins.iter().map(|origin| origin.parse().unwrap()).collect()
}

/// Returns the fields that are written, one a line.
fn written(fields: impl FnOnce(HeadWriter<'_>) -> HeadWriter<'_>) -> Vec<String> {
    let mut out = Vec::new();
    fields(HeadWriter::new(&mut out, 204, &HttpDate::from_unix_seconds(0))).end();
    let text = String::from_utf8(out).unwrap();
    text.lines().skip(2).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn only_pages_of_allowed_origins_can_read_responses() {
    const APP: &str = "https://app.example";
    let one = |origin: &str| Cors::One(origin.into());
    let many: &[&str] = &["http://b:81", APP];
    for (name, allowed, origins, expected) in [
        ("not configured", &[][..], &[APP][..], Cors::Off),
        ("no page", many, &[], Cors::Varies),
        ("no page, with all allowed", &["*"], &[], Cors::Varies),
        ("allowed", many, &[APP], one(APP)),
        ("another one", many, &["http://b:81"], one("http://b:81")),
        ("another port", many, &["http://b"], Cors::Varies),
        ("another scheme", many, &["http://app.example"], Cors::Varies),
        ("a subdomain", many, &["https://x.app.example"], Cors::Varies),
        ("null", many, &["null"], Cors::Varies),
        ("empty", many, &[""], Cors::Varies),
        ("not UTF-8", many, &["\u{fffd}"], Cors::Varies),
        ("two", many, &[APP, APP], Cors::Varies),
        ("all", &["*"], &["https://other.example"], Cors::Any),
        ("all, and null", &["*"], &["null"], Cors::Any),
        ("all and one", &[APP, "*"], &[APP], Cors::Any),
    ] {
        let values = origins.iter().map(|origin| origin.as_bytes());
        let cors = Cors::of(values, &list(allowed));
        assert_eq!(cors, expected, "{name}");
        let has_origin =
            written(|head| cors.fields(head)).iter().any(|line| line.contains("Allow-Origin"));
        assert_eq!(has_origin, cors.permits(), "{name}");
    }
}

#[test]
fn the_origin_itself_or_all_are_named_never_credentials() {
    let exposed = format!("Access-Control-Expose-Headers: {}", str::from_utf8(EXPOSED).unwrap());
    let one = Cors::One("https://a".into());
    for (cors, expected) in [
        (Cors::Off, vec![]),
        (Cors::Varies, vec!["Vary: Origin"]),
        (Cors::Any, vec!["Access-Control-Allow-Origin: *", &exposed]),
        (one, vec!["Access-Control-Allow-Origin: https://a", "Vary: Origin", &exposed]),
    ] {
        assert_eq!(written(|head| cors.fields(head)), expected, "{cors:?}");
    }
}

#[test]
fn the_origin_is_found_in_what_was_received_of_a_head() {
    let one = Cors::One("http://a".into());
    for (name, text, expected) in [
        ("a complete line", "GET / HTTP/1.1\r\nHost: h\r\norigin:  http://a \r\nX: y", &one),
        ("after an empty line", "\r\nGET / HTTP/1.1\r\nOrigin: http://a\r\n", &one),
        ("an invalid head", "GET /\r\n:\r\nx\r\nOrigin: http://a\n\r\n", &one),
        ("an incomplete line", "GET / HTTP/1.1\r\nOrigin: http://a", &Cors::Varies),
        ("in the body", "GET / HTTP/1.1\r\nA: b\r\n\r\nOrigin: http://a\r\n", &Cors::Varies),
        ("in place of the request line", "Origin: http://a\r\n", &Cors::Varies),
        ("in another value", "GET / HTTP/1.1\r\nA: Origin: http://a\r\n", &Cors::Varies),
        ("nothing", "", &Cors::Varies),
    ] {
        let found = Cors::of_received(text.as_bytes(), &list(&["http://a"]));
        assert_eq!(&found, expected, "{name}");
    }
    assert_eq!(Cors::of_received(b"GET / HTTP/1.1\r\nOrigin: http://a\r\n", &[]), Cors::Off);
}

#[test]
fn a_preflight_permits_what_it_names_within_bounds() {
    const METHOD: &str = "Access-Control-Request-Method: PUT\n";
    const NAMES: &str = "Access-Control-Request-Headers: ";
    let (long, longer) = ("x".repeat(HEADERS_MAX_BYTES), "x".repeat(HEADERS_MAX_BYTES + 1));
    let private = "Access-Control-Request-Private-Network: ";
    for (name, line, fields, expected) in [
        ("another method", "GET", METHOD.to_owned(), None),
        ("no preflight", "OPTIONS", String::new(), None),
        ("no fields", "OPTIONS", METHOD.into(), Some(String::new())),
        (
            "fields",
            "OPTIONS",
            format!("{METHOD}{NAMES}content-type,x-a\n{NAMES}, X-B\n"),
            Some("Access-Control-Allow-Headers: content-type, x-a, X-B\n".into()),
        ),
        ("an invalid one", "OPTIONS", format!("{METHOD}{NAMES}a b, x\n"), Some(String::new())),
        (
            "as many as possible",
            "OPTIONS",
            format!("{METHOD}{NAMES}{long}\n"),
            Some(format!("Access-Control-Allow-Headers: {long}\n")),
        ),
        ("too many", "OPTIONS", format!("{METHOD}{NAMES}{longer}\n"), Some(String::new())),
        (
            "a private network",
            "OPTIONS",
            format!("{METHOD}{private}true\n"),
            Some("Access-Control-Allow-Private-Network: true\n".into()),
        ),
        ("no private network", "OPTIONS", format!("{METHOD}{private}1\n"), Some(String::new())),
    ] {
        let text = format!("{line} / HTTP/1.1\nHost: h\n{fields}\n").replace('\n', "\r\n");
        let mut slots = FieldSlots::new();
        let head = parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
        let found = Preflight::of(&head).map(|preflight| {
            let lines = written(|head| preflight.fields(head, "PUT, OPTIONS"));
            lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>()
        });
        let expected = expected.map(|granted| {
            format!(
                "Access-Control-Allow-Methods: PUT, OPTIONS\n{granted}Access-Control-Max-Age: 7200\n"
            )
        });
        assert_eq!(found, expected, "{name}");
    }
}
