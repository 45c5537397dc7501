use super::*;

const LIMITS: HeadLimits = HeadLimits { bytes: 16 * 1024, target_bytes: 64 };

/// Returns the verdict on `buf`, reduced to the length of the head.
fn verdict(buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Reject> {
    parse(buf, &mut FieldSlots::new(), limits).map(|head| head.map(|head| head.len))
}

/// Returns the verdict on `buf`, after checking that it is the same byte by byte.
fn checked_verdict(buf: &[u8], limits: &HeadLimits) -> Result<Option<usize>, Reject> {
    let whole = verdict(buf, limits);
    let mut seen = 0;
    for end in 1..=buf.len() {
        let part = verdict(&buf[..end], limits);
        assert!(part == Ok(None) || part == whole, "{part:?}, {whole:?} at {end}");
        if worth_parsing(&buf[..end], seen, limits) && part != Ok(None) {
            return whole;
        }
        seen = end;
    }
    // An error in a line may be reported at its end; other errors must not be late.
    let overdue = [Err(Reject::TargetTooLong), Err(Reject::HeadTooLong)].contains(&whole);
    assert!(!overdue && !matches!(whole, Ok(Some(_))), "not worth parsing: {whole:?}");
    whole
}

/// Returns an HTTP/1.1 head with a Host and these additional field lines.
fn with_fields(lines: &str) -> String {
    format!("GET /a HTTP/1.1\r\nHost: h\r\n{lines}\r\n")
}

#[test]
fn a_valid_head_is_read_in_full() {
    let buf = b"PUT http://h/a/b?c=d HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\n\
        Content-Length: 3\r\nX-Empty:\r\nX-Text: \t\xe9 \r\n\r\nabc";
    let mut slots = FieldSlots::new();
    let head = parse(buf, &mut slots, &LIMITS).unwrap().unwrap();
    assert_eq!((head.method, head.method_name), (Method::Put, "PUT"));
    assert_eq!(head.target, "http://h/a/b?c=d");
    assert_eq!((head.path, head.query), ("/a/b", Some("c=d")));
    assert_eq!((head.version, head.framing), (Version::Http11, Framing::Length(3)));
    assert_eq!((head.expect, head.keep_alive), (Expect::Continue, true));
    assert_eq!(head.fields.get("x-empty"), Some(&b""[..]));
    assert_eq!(head.fields.get("x-text"), Some(&b"\xe9"[..]));
    assert_eq!(&buf[head.len..], b"abc");
    assert_eq!(checked_verdict(buf, &LIMITS), Ok(Some(head.len)));
}

#[test]
fn slots_can_be_reused() {
    let bufs = [with_fields("Transfer-Encoding: chunked\r\n"), with_fields("")];
    let mut slots = FieldSlots::new();
    let first = parse(bufs[0].as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
    assert_eq!(first.framing, Framing::Chunked);
    let second = parse(bufs[1].as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
    assert_eq!((second.framing, second.fields.iter().count()), (Framing::Length(0), 1));
}

#[test]
fn methods_are_case_sensitive_tokens() {
    for (name, method) in [
        ("GET", Method::Get),
        ("HEAD", Method::Head),
        ("POST", Method::Post),
        ("DELETE", Method::Delete),
        ("OPTIONS", Method::Options),
        ("TRACE", Method::Trace),
        ("PATCH", Method::Patch),
        ("get", Method::Other),
        ("GETT", Method::Other),
        ("M-SEARCH", Method::Other),
    ] {
        let buf = format!("{name} / HTTP/1.1\r\nHost:\r\n\r\n");
        let mut slots = FieldSlots::new();
        let head = parse(buf.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
        assert_eq!((head.method, head.method_name), (method, name));
    }
}

#[test]
fn a_valid_head_is_never_refused_early() {
    for (name, buf) in [
        ("HTTP/1.0 without a host", "GET / HTTP/1.0\r\n\r\n"),
        ("empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        ("one empty line", "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("two empty lines", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("connect", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n"),
        ("options of the server", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"),
        ("chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"),
    ] {
        assert_eq!(checked_verdict(buf.as_bytes(), &LIMITS), Ok(Some(buf.len())), "{name}");
    }
    for prefix in ["", "\r", "\r\n", "G", "GET / HTTP/1.1\r\n", "GET / HTTP/2", "GET / HTTP/2.0\r"]
    {
        assert_eq!(checked_verdict(prefix.as_bytes(), &LIMITS), Ok(None), "{prefix:?}");
    }
}

#[test]
fn an_invalid_request_line_is_refused() {
    for (name, buf, reject) in [
        ("three empty lines", "\r\n\r\n\r\nGET / HTTP/1.1\r\n", Reject::TooManyEmptyLines),
        ("empty line of LF", "\nGET / HTTP/1.1\r\n", Reject::LineEnding),
        ("empty lines of both", "\r\n\nGET / HTTP/1.1\r\n", Reject::LineEnding),
        ("CR alone", "\rGET / HTTP/1.1\r\n", Reject::LineEnding),
        ("bare LF after it", "GET / HTTP/1.1\nHost: h\r\n\r\n", Reject::LineEnding),
        ("bare CR after it", "GET / HTTP/1.1\rHost: h\r\n\r\n", Reject::LineEnding),
        ("leading space", " GET / HTTP/1.1\r\n", Reject::Method),
        ("no space", "GET\r\n", Reject::Method),
        ("separator in the method", "G{T / HTTP/1.1\r\n", Reject::Method),
        ("tab for a space", "GET\t/ HTTP/1.1\r\n", Reject::Method),
        ("TLS hello", "\x16\x03\x01\x02\0\x01", Reject::Method),
        ("two spaces before the target", "GET  / HTTP/1.1\r\n", Reject::TargetBytes),
        ("no version", "GET /\r\n", Reject::TargetBytes),
        ("control in the target", "GET /\x01 HTTP/1.1\r\n", Reject::TargetBytes),
        ("NUL in the target", "GET /\0 HTTP/1.1\r\n", Reject::TargetBytes),
        ("DEL in the target", "GET /\x7f HTTP/1.1\r\n", Reject::TargetBytes),
        ("tab in the target", "GET /\t HTTP/1.1\r\n", Reject::TargetBytes),
        ("non-ASCII target", "GET /é HTTP/1.1\r\nHost: h\r\n\r\n", Reject::TargetBytes),
        ("fragment", "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n", Reject::TargetBytes),
        ("asterisk", "GET * HTTP/1.1\r\nHost: h\r\n\r\n", Reject::TargetForm),
        ("two spaces before the version", "GET /  HTTP/1.1\r\n", Reject::Version),
        ("space in the target", "GET /a b HTTP/1.1\r\n", Reject::Version),
        ("lower case", "GET / http/1.1\r\n", Reject::Version),
        ("two digits", "GET / HTTP/1.10\r\n", Reject::LineEnding),
        ("two digits of another", "GET / HTTP/2.00\r\n", Reject::Version),
        ("no minor version", "GET / HTTP/2\r\n", Reject::Version),
        ("LF after another version", "GET / HTTP/2.0\n", Reject::Version),
        ("space after the version", "GET / HTTP/1.1 \r\n", Reject::LineEnding),
        ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reject::VersionUnsupported),
        ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: h\r\n\r\n", Reject::VersionUnsupported),
        ("HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", Reject::VersionUnsupported),
    ] {
        assert_eq!(checked_verdict(buf.as_bytes(), &LIMITS), Err(reject), "{name}");
    }
    let invalid_utf8 = checked_verdict(b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n", &LIMITS);
    assert_eq!(invalid_utf8, Err(Reject::TargetBytes));
}

#[test]
fn an_invalid_field_line_is_refused() {
    for (name, lines, reject) in [
        ("space before the colon", "A : b\r\n", Reject::FieldName),
        ("tab before the colon", "A\t: b\r\n", Reject::FieldName),
        ("no colon", "A\r\n", Reject::FieldName),
        ("no name", ": b\r\n", Reject::FieldName),
        ("folded line", "A: b\r\n c: d\r\n", Reject::FieldName),
        ("line folded by a tab", "A:\r\n\tb\r\n", Reject::FieldName),
        ("separator in the name", "A(b): c\r\n", Reject::FieldName),
        ("non-ASCII name", "é: c\r\n", Reject::FieldName),
        ("NUL in the name", "A\0: c\r\n", Reject::FieldName),
        ("NUL in the value", "A: b\0c\r\n", Reject::FieldValue),
        ("DEL in the value", "A: \x7f\r\n", Reject::FieldValue),
        ("bare CR in the value", "A: b\rc\r\n", Reject::FieldValue),
        ("bare LF", "A: b\n", Reject::LineEnding),
        ("bare LF, then a line", "A: b\nC: d\r\n", Reject::LineEnding),
        ("bare LF after no value", "A:\n", Reject::LineEnding),
        ("bare LF at the end", "A: b\r\n\n", Reject::LineEnding),
        ("bare CR at the end", "A: b\r\n\rX: y\r\n", Reject::LineEnding),
        ("two hosts", "Host: h\r\n", Reject::HostRepeated),
        (
            "both framings",
            "Content-Length: 3\r\ntransfer-encoding: chunked\r\n",
            Reject::LengthAndCoding,
        ),
        ("differing lengths", "Content-Length: 3\r\nContent-Length: 4\r\n", Reject::LengthsDiffer),
    ] {
        assert_eq!(checked_verdict(with_fields(lines).as_bytes(), &LIMITS), Err(reject), "{name}");
    }
}

#[test]
fn control_bytes_are_refused_anywhere() {
    let valid = "GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\nHost: h\r\n\
        X-Aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa: bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n\r\n";
    assert_eq!(verdict(valid.as_bytes(), &LIMITS), Ok(Some(valid.len())));
    for control in (0..b' ').chain([0x7f]) {
        for at in 0..valid.len() {
            let mut buf = valid.as_bytes().to_vec();
            let behind_colon = matches!(buf[at], b'b' | b'h' | b' ') && at > 50;
            if buf[at] == control || (control == b'\t' && behind_colon) {
                continue;
            }
            buf[at] = control;
            let found = verdict(&buf, &LIMITS);
            assert!(matches!(found, Err(_) | Ok(None)), "{control:#x} at {at}: {found:?}");
        }
    }
}

#[test]
fn an_invalid_byte_has_the_same_result_in_one_read_and_split() {
    let heads = [
        "GET /aa HTTP/1.1\r\nHost: h\r\nTE: a\r\n\r\n",
        "\r\nPRI * HTTP/2.0\r\n\r\n",
        "\r\n\r\nPUT http://h/ HTTP/1.0\r\nHost:\r\n\r\n",
    ];
    let limits = HeadLimits { bytes: 44, target_bytes: 12 };
    for head in heads {
        for at in 0..head.len() {
            for byte in *b"\r\n \t\0\x7f\xe9:/#*?,01a" {
                let mut wrong = head.as_bytes().to_vec();
                wrong[at] = byte;
                let _ = checked_verdict(&wrong, &limits);
                wrong.insert(at, byte);
                let _ = checked_verdict(&wrong, &limits);
            }
            let _ = checked_verdict(
                &[&head.as_bytes()[..at], &head.as_bytes()[at + 1..]].concat(),
                &limits,
            );
        }
    }
}

#[test]
fn the_host_is_checked_in_both_versions() {
    for (name, buf, expected) in [
        ("missing", "GET / HTTP/1.1\r\n\r\n", Reject::HostMissing),
        ("missing in absolute-form", "GET http://h/ HTTP/1.1\r\n\r\n", Reject::HostMissing),
        ("repeated", "GET / HTTP/1.1\r\nHost: h\r\nHOST: h\r\n\r\n", Reject::HostRepeated),
        ("repeated in 1.0", "GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", Reject::HostRepeated),
        ("invalid", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Reject::HostInvalid),
        ("invalid in 1.0", "GET / HTTP/1.0\r\nHost: a/b\r\n\r\n", Reject::HostInvalid),
    ] {
        assert_eq!(checked_verdict(buf.as_bytes(), &LIMITS), Err(expected), "{name}");
    }
}

#[test]
fn keep_alive_follows_version_and_connection() {
    for (name, version, lines, expected) in [
        ("1.1", "1.1", "", true),
        ("1.1 close", "1.1", "Connection: Close\r\n", false),
        ("1.1 close in a list", "1.1", "Connection: te ,close\r\n", false),
        ("1.1 close in the second", "1.1", "Connection: te\r\nconnection: close\r\n", false),
        ("1.1 part of a token", "1.1", "Connection: closed\r\n", true),
        ("1.0", "1.0", "", false),
        ("1.0 keep-alive", "1.0", "Connection: te, Keep-Alive\r\n", true),
        ("1.0 both", "1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let buf = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
        let mut slots = FieldSlots::new();
        let head = parse(buf.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
        assert_eq!(head.keep_alive, expected, "{name}");
    }
}

#[test]
fn expectations_are_known_unknown_or_ignored() {
    for (name, version, lines, expected) in [
        ("none", "1.1", "", Expect::None),
        ("empty", "1.1", "Expect:\r\n", Expect::None),
        ("continue", "1.1", "Expect: 100-CONTINUE\r\n", Expect::Continue),
        ("twice", "1.1", "Expect: 100-continue\r\nExpect: 100-continue\r\n", Expect::Continue),
        ("unknown", "1.1", "Expect: 200-ok\r\n", Expect::Unknown),
        ("parameter", "1.1", "Expect: 100-continue;a=b\r\n", Expect::Unknown),
        ("one unknown, first", "1.1", "Expect: a, 100-continue\r\n", Expect::Unknown),
        ("one unknown, last", "1.1", "Expect: 100-continue, a\r\n", Expect::Unknown),
        ("1.0", "1.0", "Expect: 100-continue\r\n", Expect::None),
        ("1.0 unknown", "1.0", "Expect: a\r\n", Expect::None),
    ] {
        let buf = format!("GET / HTTP/{version}\r\nHost: h\r\n{lines}\r\n");
        let mut slots = FieldSlots::new();
        let head = parse(buf.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
        assert_eq!(head.expect, expected, "{name}");
    }
}

#[test]
fn a_target_at_the_limit_passes_and_one_beyond_is_refused_when_visible() {
    let line = |len: usize| format!("\r\nGET /{}", "a".repeat(len - 1));
    let end = " HTTP/1.1\r\nHost: h\r\n\r\n";
    let fits = line(64) + end;
    assert_eq!(checked_verdict(fits.as_bytes(), &LIMITS), Ok(Some(fits.len())));
    assert_eq!(verdict(line(64).as_bytes(), &LIMITS), Ok(None));
    assert_eq!(verdict(line(65).as_bytes(), &LIMITS), Err(Reject::TargetTooLong));
    assert!(worth_parsing(line(65).as_bytes(), 60, &LIMITS));
    for (name, end) in [
        ("valid otherwise", end),
        ("bad version", " HTTP/x\r\n"),
        ("other version", " HTTP/3.0\r\n\r\n"),
        ("bad field", " HTTP/1.1\r\nA : b\r\n"),
        ("fragment", "# HTTP/1.1\r\n"),
    ] {
        let buf = line(65) + end;
        assert_eq!(checked_verdict(buf.as_bytes(), &LIMITS), Err(Reject::TargetTooLong), "{name}");
    }
}

#[test]
fn a_head_at_the_limits_passes_and_one_beyond_is_refused() {
    let buf = with_fields("");
    let limits = |bytes: usize| HeadLimits { bytes, target_bytes: 8 };
    let with_body = buf.clone() + "body";
    assert_eq!(checked_verdict(with_body.as_bytes(), &limits(buf.len())), Ok(Some(buf.len())));
    assert_eq!(checked_verdict(buf.as_bytes(), &limits(buf.len() - 1)), Err(Reject::HeadTooLong));
    let late = with_fields("A : b\r\n");
    assert_eq!(checked_verdict(late.as_bytes(), &limits(buf.len() - 2)), Err(Reject::HeadTooLong));
    let most = with_fields(&"A: b\r\n".repeat(FIELDS_MAX - 1));
    assert_eq!(checked_verdict(most.as_bytes(), &LIMITS), Ok(Some(most.len())));
    let more = with_fields(&"A: b\r\n".repeat(FIELDS_MAX));
    assert_eq!(checked_verdict(more.as_bytes(), &LIMITS), Err(Reject::TooManyFields));
}

#[test]
fn a_trickling_head_is_parsed_once_per_line() {
    let buf = with_fields("A: b\r\n").into_bytes();
    let parsed = (1..=buf.len()).filter(|&end| worth_parsing(&buf[..end], end - 1, &LIMITS));
    assert_eq!(parsed.count(), 1 + 4, "the first byte and four lines");
}
