//! Signed bodies: those with a valid signature become records, others leave nothing.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::source::process::{SourceProcess, body, hex, post};
use crate::support::{Ask, ask, assert_error, pattern};

const SECRET: &[u8] = b"a secret of some length";

/// Two minutes more than the maximum age of a signature.
const TOO_OLD_SECONDS: i64 = -420;

fn mac(secret: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("a key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().to_vec()
}

#[allow(clippy::disallowed_methods, reason = "signatures name the time")]
fn seconds(from_now: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    (i64::try_from(now).expect("64 bits") + from_now).to_string()
}

/// How a body is signed.
type Sign = fn(request: Ask, secret: &[u8], from_now: i64, body: &[u8]) -> Ask;

fn github(request: Ask, secret: &[u8], _: i64, body: &[u8]) -> Ask {
    request.field("X-Hub-Signature-256", &format!("sha256={}", hex(&mac(secret, &[body]))))
}

fn stripe(request: Ask, secret: &[u8], from_now: i64, body: &[u8]) -> Ask {
    let time = seconds(from_now);
    let mac = hex(&mac(secret, &[time.as_bytes(), b".", body]));
    request
        .field("Stripe-Signature", &format!("t={time},v1={},v1=00,v0=ab,v1={mac}", "0".repeat(64)))
}

fn standard(request: Ask, secret: &[u8], from_now: i64, body: &[u8]) -> Ask {
    let time = seconds(from_now);
    let mac = BASE64_STANDARD.encode(mac(secret, &[b"msg_1.", time.as_bytes(), b".", body]));
    let request = request.field("webhook-id", "msg_1").field("webhook-timestamp", &time);
    request.field("webhook-signature", &format!("v1a,AAAA v1,{mac}"))
}

fn svix(request: Ask, secret: &[u8], from_now: i64, body: &[u8]) -> Ask {
    let time = seconds(from_now);
    let mac = BASE64_STANDARD.encode(mac(secret, &[b"msg_1.", time.as_bytes(), b".", body]));
    let request = request.field("svix-id", "msg_1").field("svix-timestamp", &time);
    request.field("svix-signature", &format!("v1,broken v1,{mac}"))
}

/// Each scheme: its name, its secret as configured, its signature, and whether it signs the time.
fn schemes() -> [(&'static str, String, Sign, bool); 4] {
    let plain = String::from_utf8(SECRET.to_vec()).expect("text");
    let coded = format!("whsec_{}", BASE64_STANDARD.encode(SECRET));
    [
        ("github", plain.clone(), github, false),
        ("stripe", plain, stripe, true),
        ("standard", coded.clone(), standard, true),
        ("standard", coded, svix, true),
    ]
}

/// A request whose body differs from the signed one.
fn with_body(sign: Sign, signed: &[u8], sent: &[u8]) -> Ask {
    sign(post(sent), SECRET, 0, signed)
}

fn assert_unsigned(what: &str, source: &SourceProcess, request: &Ask) {
    assert_error(what, &source.exchange(request), (403, "SignatureError", None));
}

#[test]
fn only_requests_with_a_valid_signature_become_records() {
    for (scheme, secret, sign, timed) in schemes() {
        let source = SourceProcess::start(&["--signature", scheme, "--signature-secret", &secret]);
        for (name, request) in [
            ("not signed", post("hello")),
            ("another body", with_body(sign, b"hello", b"hellO")),
            ("a body with more", with_body(sign, b"hello", b"hello\n")),
            ("no body", with_body(sign, b"hello", b"")),
            ("by another", sign(post("hello"), b"guessed", 0, b"hello")),
        ] {
            assert_unsigned(&format!("{scheme}: {name}"), &source, &request);
        }
        for from_now in [TOO_OLD_SECONDS, -TOO_OLD_SECONDS] {
            let request = sign(post("hello"), SECRET, from_now, b"hello");
            if timed {
                assert_unsigned(&format!("{scheme}: {from_now} s from now"), &source, &request);
            }
        }
        for sent in [&b"hello"[..], b"", &pattern(1, 3 << 20)] {
            let request = with_body(sign, sent, sent);
            assert_eq!(source.exchange(&request).status(), 201, "{scheme}: {} bytes", sent.len());
        }
        let chunked = ask("POST", "/").chunked().raw_body(b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
        let answer = source.exchange(&sign(chunked, SECRET, 0, b"hello"));
        assert_eq!(answer.status(), 201, "{scheme}: in chunks");
        let lengths: Vec<_> = source.records(4).iter().map(|record| body(record).len()).collect();
        assert_eq!(lengths, [5, 0, 3 << 20, 5], "{scheme}");
        assert_eq!(source.end().stdout.lines().count(), 4, "{scheme}: nothing else");
    }
}

#[test]
fn a_tampered_large_body_leaves_nothing() {
    let source = SourceProcess::start(&[
        "--signature",
        "github",
        "--signature-secret",
        "a secret of some length",
        "--memory-body",
        "64KiB",
    ]);
    let signed = pattern(2, 1 << 20);
    let mut sent = signed.clone();
    sent[700_000] ^= 1;
    assert_unsigned("one bit", &source, &with_body(github, &signed, &sent));
    assert_eq!(source.exchange(&with_body(github, &signed, &signed)).status(), 201);
    assert!(body(&source.records(1)[0]) == signed);
    assert_eq!(source.end().stdout.lines().count(), 1);
}

#[test]
fn any_secret_of_a_file_is_accepted_within_the_tolerance() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "the next one\n\na secret of some length\n").expect("a file");
    let path = file.path().to_str().expect("text");
    let flags = ["--signature", "stripe", "--signature-secret-file", path];
    let source = SourceProcess::start(&[&flags[..], &["--signature-tolerance", "10m"]].concat());
    for (name, secret, from_now, good) in [
        ("the first", &b"the next one"[..], 0, true),
        ("the second", SECRET, 0, true),
        ("an empty one", b"", 0, false),
        ("old", SECRET, TOO_OLD_SECONDS, true),
        ("too old", SECRET, 2 * TOO_OLD_SECONDS, false),
    ] {
        let request = stripe(post("x"), secret, from_now, b"x");
        let status = if good { 201 } else { 403 };
        assert_eq!(source.exchange(&request).status(), status, "{name}");
    }
}
