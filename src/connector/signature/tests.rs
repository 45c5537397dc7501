//! Published vectors, and signatures of requests that were changed afterwards.

use super::*;
use crate::http::head::{FieldSlots, HeadLimits, parse};
use SignatureError::{Malformed, Mismatch, Missing, TooOld};

const LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, target_bytes: 1024 };

/// docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation".
const GITHUB: (&str, &str, &str) = (
    "It's a Secret to Everybody",
    "Hello, World!",
    "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
);

/// Stripe publishes the rule, but no vector; this one was computed with Python's hmac.
const STRIPE: (&str, &str, &str) = (
    "whsec_test_secret",
    r#"{"id":"evt_1"}"#,
    "Stripe-Signature: t=1492774577,\
     v1=799c4ba7bb339f3c8601adfd112f0e477c930a268be1243d341abb8286501c2f",
);

/// From the tests of the reference libraries (github.com/standard-webhooks/standard-webhooks).
const STANDARD: (&str, &str, &str) = (
    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    r#"{"test": 2432232314}"#,
    "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek\r\nwebhook-timestamp: 1614265330\r\n\
     webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
);

const STRIPE_TIME: i64 = 1_492_774_577;
const STANDARD_TIME: i64 = 1_614_265_330;

fn verifier(scheme: Scheme, secrets: &[&str]) -> Verifier {
    let keys: Vec<_> = secrets.iter().map(|text| secret(scheme, text).unwrap()).collect();
    Verifier::new(scheme, &keys, TOLERANCE).unwrap()
}

fn checked(verifier: &Verifier, fields: &str, body: &str, now: i64) -> Result<(), SignatureError> {
    let head = format!("POST / HTTP/1.1\r\nHost: h\r\n{fields}\r\n\r\n");
    let mut slots = FieldSlots::new();
    let head = parse(head.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
    let mut check = verifier.begin(head.fields, now)?;
    for byte in body.as_bytes() {
        check.update(std::slice::from_ref(byte));
    }
    check.finish()
}

#[test]
fn published_signatures_are_valid_for_their_body_only() {
    for (scheme, (secret, body, fields), now) in [
        (Scheme::GitHub, GITHUB, 0),
        (Scheme::Stripe, STRIPE, STRIPE_TIME),
        (Scheme::Standard, STANDARD, STANDARD_TIME),
    ] {
        let verifier = verifier(scheme, &[secret]);
        assert_eq!(checked(&verifier, fields, body, now), Ok(()), "{scheme:?}");
        let upper_names = fields.replace("webhook", "WebHook").replace("X-Hub", "x-hub");
        assert_eq!(checked(&verifier, &upper_names, body, now), Ok(()), "{scheme:?}");
        for (name, body) in [
            ("longer", format!("{body} ")),
            ("shorter", body[1..].to_owned()),
            ("empty", String::new()),
            ("one bit", body.replace('e', "d")),
        ] {
            assert_eq!(checked(&verifier, fields, &body, now), Err(Mismatch), "{scheme:?} {name}");
        }
    }
}

#[test]
fn a_signature_by_any_of_several_secrets_is_valid() {
    let (known, body, fields) = GITHUB;
    let rotated = verifier(Scheme::GitHub, &["new", known]);
    assert_eq!(checked(&rotated, fields, body, 0), Ok(()));
    let changed = verifier(Scheme::GitHub, &["new", "newer"]);
    assert_eq!(checked(&changed, fields, body, 0), Err(Mismatch));
}

#[test]
fn the_signed_time_may_differ_by_the_tolerance_only() {
    for (scheme, (secret, body, fields), time) in
        [(Scheme::Stripe, STRIPE, STRIPE_TIME), (Scheme::Standard, STANDARD, STANDARD_TIME)]
    {
        let verifier = verifier(scheme, &[secret]);
        for (name, now, expected) in [
            ("300 s ago", time + 300, Ok(())),
            ("301 s ago", time + 301, Err(TooOld)),
            ("in 300 s", time - 300, Ok(())),
            ("in 301 s", time - 301, Err(TooOld)),
            ("at the end of time", i64::MAX, Err(TooOld)),
            ("at its beginning", i64::MIN, Err(TooOld)),
        ] {
            assert_eq!(checked(&verifier, fields, body, now), expected, "{scheme:?} {name}");
        }
    }
}

#[test]
fn github_fields_are_read_strictly() {
    const NAME: &str = "X-Hub-Signature-256";
    let (secret, body, field) = GITHUB;
    let digits = field.rsplit('=').next().unwrap();
    for (name, fields, expected) in [
        ("upper case", format!("{NAME}: sha256={}", digits.to_uppercase()), Ok(())),
        ("none", "X-Hub-Signature: sha1=00".to_owned(), Err(Missing(NAME))),
        ("twice", format!("{field}\r\n{field}"), Err(Malformed(NAME))),
        ("empty", format!("{NAME}:"), Err(Malformed(NAME))),
        ("no name of the hash", format!("{NAME}: {digits}"), Err(Malformed(NAME))),
        ("another hash", format!("{NAME}: sha1={digits}"), Err(Malformed(NAME))),
        ("too short", format!("{NAME}: sha256={}", &digits[2..]), Err(Malformed(NAME))),
        ("too long", format!("{field}00"), Err(Malformed(NAME))),
        ("no digit", format!("{NAME}: sha256=+{}", &digits[1..]), Err(Malformed(NAME))),
        ("another one", format!("{NAME}: sha256={}", digits.replace('7', "8")), Err(Mismatch)),
    ] {
        let verifier = verifier(Scheme::GitHub, &[secret]);
        assert_eq!(checked(&verifier, &fields, body, 0), expected, "{name}");
    }
}

#[test]
fn stripe_fields_are_read_strictly() {
    const NAME: &str = "Stripe-Signature";
    let (secret, body, field) = STRIPE;
    let good = field.rsplit("v1=").next().unwrap();
    let wrong = "0".repeat(64);
    let value = |value: String| format!("{NAME}: {value}");
    let many = |count: usize| format!("v1={wrong},").repeat(count);
    for (name, fields, expected) in [
        ("the second of two", value(format!("t={STRIPE_TIME},v1={wrong},v1={good}")), Ok(())),
        ("the first of two", value(format!("t={STRIPE_TIME},v1={good},v1={wrong}")), Ok(())),
        ("beside others", value(format!("v1={good},v0=x,t={STRIPE_TIME},new")), Ok(())),
        ("the last looked at", value(format!("{}v1={good},t={STRIPE_TIME}", many(15))), Ok(())),
        ("behind that", value(format!("{}v1={good},t={STRIPE_TIME}", many(16))), Err(Mismatch)),
        ("as v0", value(format!("t={STRIPE_TIME},v1={wrong},v0={good}")), Err(Mismatch)),
        ("another time", value(format!("t={},v1={good}", STRIPE_TIME + 1)), Err(Mismatch)),
        ("a zero more", value(format!("t=0{STRIPE_TIME},v1={good}")), Err(Mismatch)),
        ("none", String::from("X: y"), Err(Missing(NAME))),
        ("twice", format!("{field}\r\n{field}"), Err(Malformed(NAME))),
        ("two times", value(format!("t=1,t={STRIPE_TIME},v1={good}")), Err(Malformed(NAME))),
        ("no time", value(format!("v1={good}")), Err(Malformed(NAME))),
        ("an empty time", value(format!("t=,v1={good}")), Err(Malformed(NAME))),
        ("a sign", value(format!("t=+{STRIPE_TIME},v1={good}")), Err(Malformed(NAME))),
        ("too late", value(format!("t={},v1={good}", "9".repeat(19))), Err(Malformed(NAME))),
        ("no signature", value(format!("t={STRIPE_TIME}")), Err(Malformed(NAME))),
        ("v0 only", value(format!("t={STRIPE_TIME},v0={good}")), Err(Malformed(NAME))),
        ("beside a short one", value(format!("t={STRIPE_TIME},v1=00,v1={good}")), Ok(())),
        ("a short one beside it", value(format!("t={STRIPE_TIME},v1={good},v1=")), Ok(())),
        ("short ones only", value(format!("t={STRIPE_TIME},v1=00,v1=x")), Err(Malformed(NAME))),
    ] {
        let verifier = verifier(Scheme::Stripe, &[secret]);
        assert_eq!(checked(&verifier, &fields, body, STRIPE_TIME), expected, "{name}");
    }
}

#[test]
fn standard_fields_are_read_strictly() {
    let (secret, body, fields) = STANDARD;
    let good = fields.rsplit(' ').next().unwrap();
    let wrong = format!("v1,{}=", "A".repeat(43));
    let signature = "webhook-signature";
    for (name, from, to, expected) in [
        ("the second of two", good, format!("{wrong} {good}"), Ok(())),
        ("beside a public key's", good, format!("v1a,AAAA {good}"), Ok(())),
        ("the last looked at", good, format!("{}{good}", format!("{wrong} ").repeat(15)), Ok(())),
        ("behind that", good, format!("{}{good}", format!("{wrong} ").repeat(16)), Err(Mismatch)),
        ("beside a malformed one", good, format!("v1,!!! v1, v1 {good} v1,AAAA"), Ok(())),
        ("malformed ones only", good, "v1,!!! v1, v1".into(), Err(Malformed(signature))),
        ("another id", "msg_p", "msg_q".into(), Err(Mismatch)),
        ("another time", "5330", "5331".into(), Err(Mismatch)),
        ("a public key's only", "v1,", "v1a,".into(), Err(Malformed(signature))),
        ("no padding", "OE=", "OE".into(), Err(Malformed(signature))),
        ("too short", "v1,g0hM", "v1,".into(), Err(Malformed(signature))),
        ("empty", good, String::new(), Err(Malformed(signature))),
        ("no id", "webhook-id", "id".into(), Err(Missing("webhook-id"))),
        (
            "an empty id",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            String::new(),
            Err(Malformed("webhook-id")),
        ),
        ("a full stop", "msg_p5jX", "msg.p5jX".into(), Err(Malformed("webhook-id"))),
        ("no time", "webhook-timestamp", "t".into(), Err(Missing("webhook-timestamp"))),
        ("no number", "16142", "0x142".into(), Err(Malformed("webhook-timestamp"))),
        ("no signature", "webhook-signature", "s".into(), Err(Missing(signature))),
        (
            "two ids",
            "webhook-id",
            "webhook-id: x\r\nwebhook-id".into(),
            Err(Malformed("webhook-id")),
        ),
    ] {
        let verifier = verifier(Scheme::Standard, &[secret]);
        let fields = fields.replace(from, &to);
        assert_eq!(checked(&verifier, &fields, body, STANDARD_TIME), expected, "{name}");
    }
}

#[test]
fn svix_names_the_standard_fields_after_itself() {
    let (secret, body, fields) = STANDARD;
    let branded = fields.replace("webhook-", "svix-");
    for (name, fields, expected) in [
        ("its own", branded.clone(), Ok(())),
        ("upper case", branded.replace("svix-id", "Svix-Id"), Ok(())),
        ("one of them", fields.replace("webhook-id", "svix-id"), Ok(())),
        ("both", format!("{fields}\r\n{branded}"), Ok(())),
        ("preferred", format!("{fields}\r\nsvix-id: x"), Err(Mismatch)),
        ("twice", format!("{branded}\r\nsvix-id: x"), Err(Malformed("svix-id"))),
        ("an empty one", format!("{fields}\r\nsvix-id:"), Err(Malformed("svix-id"))),
        ("no number", branded.replace("16142", "0x142"), Err(Malformed("svix-timestamp"))),
        ("no signature", branded.replace("v1,", "v2,"), Err(Malformed("svix-signature"))),
        ("no time", branded.replace("svix-timestamp", "t"), Err(Missing("webhook-timestamp"))),
    ] {
        let verifier = verifier(Scheme::Standard, &[secret]);
        assert_eq!(checked(&verifier, &fields, body, STANDARD_TIME), expected, "{name}");
    }
}

#[test]
fn a_timestamp_cannot_be_moved_from_the_body_into_the_field() {
    // Signed: "a", second 1, body "1614265330.x". The same bytes, split elsewhere, would be recent.
    let verifier = verifier(Scheme::Standard, &[STANDARD.0]);
    let moved = "webhook-id: a.1\r\nwebhook-timestamp: 1614265330\r\n\
                 webhook-signature: v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let verdict = checked(&verifier, moved, "x", STANDARD_TIME);
    assert_eq!(verdict, Err(Malformed("webhook-id")));
}

#[test]
fn schemes_have_names() {
    assert_eq!("github".parse(), Ok(Scheme::GitHub));
    assert_eq!("stripe".parse(), Ok(Scheme::Stripe));
    assert_eq!("standard".parse(), Ok(Scheme::Standard));
    assert!("GitHub".parse::<Scheme>().unwrap_err().contains("stripe"));
}

#[test]
fn secrets_are_decoded_as_their_scheme_requires() {
    for (name, scheme, text, expected) in [
        ("GitHub's", Scheme::GitHub, "a b", Ok(&b"a b"[..])),
        ("Stripe's, as it is", Scheme::Stripe, "whsec_AAAA", Ok(b"whsec_AAAA")),
        ("Standard", Scheme::Standard, "whsec_AAAA", Ok(&[0, 0, 0])),
        ("no prefix", Scheme::Standard, "AAAA", Err(SecretError::NotStandard)),
        ("no base64", Scheme::Standard, "whsec_A!", Err(SecretError::NotStandard)),
        ("a line end", Scheme::Standard, "whsec_AAAA\n", Err(SecretError::NotStandard)),
        ("nothing in it", Scheme::Standard, "whsec_", Err(SecretError::Empty)),
        ("empty", Scheme::GitHub, "", Err(SecretError::Empty)),
    ] {
        let expected = expected.map(<[u8]>::to_vec);
        assert_eq!(secret(scheme, text), expected, "{name}");
    }
    for (name, keys) in [("none", vec![]), ("an empty one", vec![vec![1], vec![]])] {
        let refused = Verifier::new(Scheme::GitHub, &keys, TOLERANCE).unwrap_err();
        assert_eq!(refused, SecretError::Empty, "{name}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let (text, body, _) = GITHUB;
    let verifier = verifier(Scheme::GitHub, &[text]);
    let shown = format!("{verifier:?}");
    assert!(!shown.contains("Secret") && shown.contains("GitHub"), "{shown}");
    let wrong = format!("X-Hub-Signature-256: sha256={}", "0".repeat(64));
    let error = checked(&verifier, &wrong, body, 0).unwrap_err().to_string();
    assert!(!error.contains("7571") && error.contains("same secret"), "{error}");
}
