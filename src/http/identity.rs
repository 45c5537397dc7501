//! Validation of the identifiers that clients and proxies pass in header fields: only values that
//! no log, header or downstream program could misread are forwarded.

/// Longest identifier, in bytes.
const LEN_MAX: usize = 128;

/// Whether a value is acceptable as a request id: 1 to 128 bytes of visible ASCII without quotes or
/// separators of headers and logs.
pub fn is_request_id(value: &[u8]) -> bool {
    let plain = |byte: &u8| byte.is_ascii_graphic() && !b"\"'\\,;`".contains(byte);
    (1..=LEN_MAX).contains(&value.len()) && value.iter().all(plain)
}

/// Whether this is a `traceparent` (W3C Trace Context, section 3.2): version, trace, parent and
/// flags in lower-case hex, neither trace nor parent zero. Later versions may append to it, if
/// [`is_request_id`] accepts the result.
pub fn is_traceparent(value: &[u8]) -> bool {
    const LEN: usize = 55;
    let Some((known, more)) = value.split_at_checked(LEN) else { return false };
    let fields: Vec<&[u8]> = known.split(|&byte| byte == b'-').collect();
    let [version, trace, parent, flags] = fields[..] else { return false };
    let lengths = [version, trace, parent, flags].map(<[u8]>::len) == [2, 32, 16, 2];
    let hex = |field: &[u8]| field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let some = |field: &[u8]| field.iter().any(|&byte| byte != b'0');
    let whole = match version {
        b"00" => more.is_empty(),
        b"ff" => false,
        _ => more.is_empty() || (more.starts_with(b"-") && is_request_id(value)),
    };
    lengths && fields.iter().all(|field| hex(field)) && some(trace) && some(parent) && whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_identifiers_are_valid() {
        let longest = "x".repeat(LEN_MAX);
        for (value, expected) in [
            ("a", true),
            ("0b54a9d1-6e2f-4f5a-9c58-3d1f27e9a4c0", true),
            ("Root=1-67891233-abcdef012345678912345678", true),
            ("a/b+c==:~!{}", true),
            (&longest, true),
            ("", false),
            (&format!("{longest}x"), false),
            ("a b", false),
            ("a\tb", false),
            ("a,b", false),
            ("a;b", false),
            ("a\"b", false),
            ("a'b", false),
            ("a\\b", false),
            ("é", false),
            ("\u{7f}", false),
        ] {
            assert_eq!(is_request_id(value.as_bytes()), expected, "{value:?}");
        }
    }

    #[test]
    fn a_traceparent_is_read_strictly() {
        const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
        const PARENT: &str = "b7ad6b7169203331";
        let zeros = "0".repeat(32);
        for (name, value, expected) in [
            ("version 0", format!("00-{TRACE}-{PARENT}-01"), true),
            ("a later version", format!("01-{TRACE}-{PARENT}-09-more"), true),
            ("a later version as it is now", format!("cc-{TRACE}-{PARENT}-00"), true),
            ("version 0 with more", format!("00-{TRACE}-{PARENT}-01-more"), false),
            ("no version", format!("ff-{TRACE}-{PARENT}-01"), false),
            ("upper case", format!("00-{}-{PARENT}-01", TRACE.to_uppercase()), false),
            ("no trace", format!("00-{zeros}-{PARENT}-01"), false),
            ("no parent", format!("00-{TRACE}-{}-01", &zeros[..16]), false),
            ("too short", format!("00-{TRACE}-{PARENT}-0"), false),
            ("hyphens elsewhere", format!("00-{PARENT}-{TRACE}-01"), false),
            ("no hyphen before more", format!("01-{TRACE}-{PARENT}-01more"), false),
            ("a quote", format!("01-{TRACE}-{PARENT}-01-\""), false),
            ("nothing", String::new(), false),
        ] {
            assert_eq!(is_traceparent(value.as_bytes()), expected, "{name}");
        }
    }
}
