//! Webhook signatures: any fields give a verdict; a signed request is accepted, and a request is
//! refused if its signature differs from that of an independent implementation of RFC 2104.

use super::choices::Choices;
use crate::connector::signature::{Scheme, SignatureError, TOLERANCE, Verifier};
use crate::http::fields::is_field_value;
use crate::http::head::{FieldSlots, HeadLimits, parse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

const LIMITS: HeadLimits = HeadLimits { bytes: 64 << 10, target_bytes: 64 };

/// The time of every check.
const NOW: i64 = 1_700_000_000;

/// Fuzzes a scheme, a key, a body and a change to it, then raw field values.
pub fn signature(data: &[u8]) {
    let mut choices = Choices::new(data);
    let scheme = choices.pick(&[Scheme::GitHub, Scheme::Stripe, Scheme::Standard]);
    let key = [b"k", choices.bytes(80)].concat();
    let body = choices.bytes(64);
    let verifier = Verifier::new(scheme, std::slice::from_ref(&key), TOLERANCE);
    let verifier = verifier.expect("the key is not empty");

    let lines = signed(scheme, &key, body);
    assert_eq!(verdict(&verifier, &lines, body), Some(Ok(())), "{lines:?}");
    let mut other = body.to_vec();
    match other.get_mut(choices.below(65)) {
        Some(byte) => *byte ^= 1 << choices.below(8),
        None => other.push(choices.byte()),
    }
    let refused = Some(Err(SignatureError::Mismatch));
    assert_eq!(verdict(&verifier, &lines, &other), refused, "{lines:?}");

    let noise: Vec<_> = choices.rest().splitn(3, |&byte| byte == 0).collect();
    let value = |at: usize| noise.get(at).copied().unwrap_or_default();
    let lines: Vec<_> =
        names(scheme).iter().enumerate().map(|(at, name)| (*name, value(at).to_vec())).collect();
    if verdict(&verifier, &lines, body) == Some(Ok(())) {
        assert!(states_the_true_one(scheme, &key, &lines, body), "{lines:?}");
    }
}

/// Names and values of fields.
type Lines = Vec<(&'static str, Vec<u8>)>;

/// Returns the field names of a scheme; the signature's is the last.
fn names(scheme: Scheme) -> &'static [&'static str] {
    match scheme {
        Scheme::GitHub => &["x-hub-signature-256"],
        Scheme::Stripe => &["stripe-signature"],
        Scheme::Standard => &["webhook-id", "webhook-timestamp", "webhook-signature"],
    }
}

/// Returns the fields that an honest sender writes.
fn signed(scheme: Scheme, key: &[u8], body: &[u8]) -> Lines {
    let values = match scheme {
        Scheme::GitHub => vec![format!("sha256={}", hexadecimal(&hmac(key, body)))],
        Scheme::Stripe => {
            let content = [format!("{NOW}.").as_bytes(), body].concat();
            vec![format!("t={NOW},v1={}", hexadecimal(&hmac(key, &content)))]
        }
        Scheme::Standard => {
            let content = [format!("id.{NOW}.").as_bytes(), body].concat();
            let mac = STANDARD.encode(hmac(key, &content));
            vec!["id".into(), NOW.to_string(), format!("v1,{mac}")]
        }
    };
    names(scheme).iter().copied().zip(values.into_iter().map(String::into_bytes)).collect()
}

/// Whether the last field holds the true signature of the claimed values, and the time is close to
/// now.
fn states_the_true_one(scheme: Scheme, key: &[u8], lines: &Lines, body: &[u8]) -> bool {
    let text = |at: usize| String::from_utf8_lossy(&lines[at].1).trim().to_owned();
    let (prefix, time) = match scheme {
        Scheme::GitHub => (String::new(), NOW.to_string()),
        Scheme::Stripe => {
            let value = text(0);
            let time = value.split(',').find_map(|member| member.strip_prefix("t="));
            let time = time.unwrap_or_default().to_owned();
            (format!("{time}."), time)
        }
        Scheme::Standard => (format!("{}.{}.", text(0), text(1)), text(1)),
    };
    let mac = hmac(key, &[prefix.as_bytes(), body].concat());
    let stated = text(lines.len() - 1);
    let there = stated.to_lowercase().contains(&hexadecimal(&mac))
        || stated.contains(&STANDARD.encode(mac));
    there && time.parse().is_ok_and(|time: i64| NOW.abs_diff(time) <= TOLERANCE.as_secs())
}

/// Returns the verdict, which does not depend on where the body is split; `None` if no head can
/// have these fields.
fn verdict(verifier: &Verifier, lines: &Lines, body: &[u8]) -> Option<Result<(), SignatureError>> {
    let mut head = b"POST / HTTP/1.1\r\nHost: h\r\n".to_vec();
    for (name, value) in lines {
        if !is_field_value(value) {
            return None;
        }
        head.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    head.extend(b"\r\n");
    let mut slots = FieldSlots::new();
    let fields = parse(&head, &mut slots, &LIMITS).ok()??.fields;
    let complete = verifier.begin(fields, NOW).and_then(|mut check| {
        check.update(body);
        check.finish()
    });
    let cut = verifier.begin(fields, NOW).and_then(|mut check| {
        body.chunks(3).for_each(|piece| check.update(piece));
        check.finish()
    });
    assert_eq!(complete, cut, "the split is not significant");
    Some(complete)
}

/// Computes the HMAC of RFC 2104, section 2, with SHA-256, whose blocks have 64 bytes.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::digest([&block.map(|byte| byte ^ 0x36), text].concat());
    Sha256::digest([&block.map(|byte| byte ^ 0x5c)[..], &inner].concat()).into()
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a string takes everything");
    }
    text
}
