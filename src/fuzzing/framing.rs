//! Body framing for all combinations of the relevant fields, against the rules of RFC 9112, section
//! 6, transcribed literally.

use super::choices::Choices;
use crate::http::framing::Framing;
use crate::http::head::{self, FieldSlots, HeadLimits};

const LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, target_bytes: 1 << 10 };

const NAMES: [&str; 4] = ["Content-Length", "Transfer-Encoding", "content-LENGTH", "X-Length"];

const VALUES: [&[u8]; 26] = [
    b"5",
    b"5",
    b"0",
    b"00",
    b"005",
    b"5, 5",
    b"5,6",
    b"5,",
    b",5",
    b"+5",
    b"-5",
    b"0x5",
    b"5 5",
    b"",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551621",
    b"chunked",
    b"chunked",
    b"Chunked",
    b"gzip",
    b"gzip, chunked",
    b"chunked, chunked",
    b"chunked;q=1",
    b"identity",
    b", chunked",
];

/// Fuzzes the fields that determine the body's framing.
pub fn framing(data: &[u8]) {
    let mut choices = Choices::new(data);
    let old = choices.one_in(4);
    let fields: Vec<_> = (0..choices.below(5)).map(|_| field(&mut choices)).collect();
    let mut text = b"PUT / HTTP/1.".to_vec();
    text.extend_from_slice(if old { b"0\r\nHost: h\r\n" } else { b"1\r\nHost: h\r\n" });
    for (name, value) in &fields {
        text.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");

    let mut slots = FieldSlots::new();
    let found = match head::parse(&text, &mut slots, &LIMITS) {
        Ok(Some(head)) => Ok(head.framing),
        Ok(None) => panic!("a complete head was read as incomplete"),
        Err(reject) => Err(reject.status()),
    };
    assert_eq!(found, naive(old, &fields), "{}", text.escape_ascii());
}

/// Returns a field: a value of the list, or one made of bytes that a value may hold.
fn field(choices: &mut Choices<'_>) -> (&'static str, Vec<u8>) {
    let name = choices.pick(&NAMES);
    let mut value = choices.pick(&VALUES).to_vec();
    if choices.one_in(3) {
        let tail =
            choices.bytes(12).iter().map(|byte| if byte.is_ascii_control() { b' ' } else { *byte });
        value.extend(tail);
    }
    (name, value)
}

/// Returns the body's framing, or the status of the refusal.
fn naive(old: bool, fields: &[(&str, Vec<u8>)]) -> Result<Framing, u16> {
    let members = |wanted: &str| -> Vec<Vec<u8>> {
        fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .flat_map(|(_, value)| value.split(|&byte| byte == b','))
            .map(|member| member.trim_ascii().to_ascii_lowercase())
            .collect()
    };
    let (lengths, codings) = (members("Content-Length"), members("Transfer-Encoding"));
    for length in &lengths {
        if length.is_empty() || !length.iter().all(u8::is_ascii_digit) || *length != lengths[0] {
            // Two equal lengths may differ only in leading zeros.
            if value(length).is_none() || value(length) != value(&lengths[0]) {
                return Err(400);
            }
        }
    }
    let length = match lengths.first() {
        Some(digits) => Some(value(digits).ok_or(400u16)?),
        None => None,
    };
    let Some((last, others)) = codings.split_last() else {
        return Ok(Framing::Length(length.unwrap_or(0)));
    };
    let misplaced = others.iter().any(|coding| coding.is_empty() || coding == b"chunked");
    if length.is_some() || old || misplaced || last != b"chunked" {
        return Err(400);
    }
    if others.is_empty() { Ok(Framing::Chunked) } else { Err(501) }
}

/// Returns the number in these digits, if it is below 2^63.
fn value(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = str::from_utf8(digits).ok()?.trim_start_matches('0');
    if number.is_empty() { Some(0) } else { Some(number.parse::<i64>().ok()?.unsigned_abs()) }
}
