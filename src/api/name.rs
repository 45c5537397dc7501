//! Names of agents, as used in `/api/NAME`, in token files and in requests of agents.

/// Longest name, in bytes: that of a DNS label (RFC 1035, section 2.3.4), so that a name can be
/// one.
pub const NAME_MAX_BYTES: usize = 63;

/// The rule for names, as the end of a sentence about an invalid one.
pub const NAME_RULE: &str = "a name is 1 to 63 of a-z, 0-9, '-', '.' and '_', and begins and ends \
                             with a letter or a digit";

/// Whether this is a valid name for an agent; if not, [`NAME_RULE`] explains why. Names need no
/// encoding in a path, and none is `.` or `..`.
pub fn valid_name(name: &str) -> bool {
    let outer = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let inner = |byte: &u8| outer(byte) || b"-._".contains(byte);
    let bytes = name.as_bytes();
    (1..=NAME_MAX_BYTES).contains(&bytes.len())
        && bytes.iter().all(inner)
        && bytes.first().is_some_and(outer)
        && bytes.last().is_some_and(outer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_names_need_no_encoding() {
        let longest = "x".repeat(NAME_MAX_BYTES);
        for (name, valid) in [
            ("a", true),
            ("0", true),
            ("billing", true),
            ("billing.eu-1_b", true),
            ("a..b", true),
            (&longest, true),
            (&format!("{longest}x"), false),
            ("", false),
            (".", false),
            ("..", false),
            ("-a", false),
            ("a-", false),
            ("_a", false),
            ("a.", false),
            ("Billing", false),
            ("a b", false),
            ("a/b", false),
            ("a%41", false),
            ("bücher", false),
            ("a\n", false),
            ("*", false),
        ] {
            assert_eq!(valid_name(name), valid, "{name:?}");
        }
    }
}
