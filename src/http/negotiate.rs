//! Content negotiation: which form of a body a client prefers (RFC 9110, section 12.5.1).

/// Whether the client prefers `text/plain` to `application/json`, by the values of its `Accept`
/// fields. Without any, or with equal weights, it is JSON. Malformed elements are skipped, and
/// parameters other than `q` do not narrow a range.
pub fn prefers_text<'a>(accept_values: impl Iterator<Item = &'a [u8]>) -> bool {
    let [text, json] = weigh(accept_values, [("text", "plain"), ("application", "json")]);
    text.thousandths > json.thousandths
}

/// Whether the client names this type explicitly, not just a range that includes it, and weighs it
/// at least as much as the other one.
pub fn names_and_prefers<'a>(
    accept_values: impl Iterator<Item = &'a [u8]>,
    named: (&str, &str),
    other: (&str, &str),
) -> bool {
    let [named, other] = weigh(accept_values, [named, other]);
    named.specificity == EXACT && named.thousandths > 0 && named.thousandths >= other.thousandths
}

/// Returns the weights of media types, each given as a type and a subtype.
fn weigh<'a, const N: usize>(
    accept_values: impl Iterator<Item = &'a [u8]>,
    types: [(&str, &str); N],
) -> [MatchedWeight; N] {
    let mut weights = [const { MatchedWeight { specificity: 0, thousandths: 0 } }; N];
    for range in accept_values.flat_map(|value| split_unquoted(value, b',')).filter_map(parse) {
        for (weight, (kind, subtype)) in weights.iter_mut().zip(types) {
            weight.match_range(&range, kind.as_bytes(), subtype.as_bytes());
        }
    }
    weights
}

/// The specificity of a range that names both type and subtype.
const EXACT: u8 = 3;

/// One media range with its weight in thousandths.
struct Range<'a> {
    kind: &'a [u8],
    subtype: &'a [u8],
    thousandths: u16,
}

/// The weight of one media type, by the most specific range so far.
struct MatchedWeight {
    specificity: u8,
    thousandths: u16,
}

impl MatchedWeight {
    /// Adopts the range's weight if it matches more closely, or as closely and weighs more.
    fn match_range(&mut self, range: &Range<'_>, kind: &[u8], subtype: &[u8]) {
        let specificity = match (range.kind, range.subtype) {
            (b"*", b"*") => 1,
            (found, b"*") if found.eq_ignore_ascii_case(kind) => 2,
            (found, exact)
                if found.eq_ignore_ascii_case(kind) && exact.eq_ignore_ascii_case(subtype) =>
            {
                EXACT
            }
            _ => return,
        };
        if (specificity, range.thousandths) > (self.specificity, self.thousandths) {
            (self.specificity, self.thousandths) = (specificity, range.thousandths);
        }
    }
}

/// Parses one element of `Accept`; `None` if it is malformed.
fn parse(element: &[u8]) -> Option<Range<'_>> {
    let mut parts = split_unquoted(element, b';').map(<[u8]>::trim_ascii);
    let media = parts.next()?;
    let slash = memchr::memchr(b'/', media)?;
    let mut thousandths = 1000;
    for parameter in parts {
        if let [b'q' | b'Q', b'=', weight @ ..] = parameter {
            thousandths = parse_weight(weight)?;
            break; // What follows the weight is not part of the range.
        }
    }
    Some(Range { kind: &media[..slash], subtype: &media[slash + 1..], thousandths })
}

/// Parses a weight into thousandths: `0` or `1` with at most three decimals (RFC 9110, section
/// 12.4.2).
fn parse_weight(text: &[u8]) -> Option<u16> {
    let (whole, decimals) = match text {
        [whole @ (b'0' | b'1')] => (whole, &b""[..]),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => (whole, decimals),
        _ => return None,
    };
    let mut thousandths = u16::from(whole - b'0');
    for place in 0..3 {
        let digit = decimals.get(place).unwrap_or(&b'0');
        if !digit.is_ascii_digit() {
            return None;
        }
        thousandths = thousandths * 10 + u16::from(digit - b'0');
    }
    (thousandths <= 1000).then_some(thousandths)
}

/// Splits at a separator outside quoted strings (RFC 9110, section 5.6.4).
fn split_unquoted(value: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    value.split(move |&byte| {
        quoted ^= byte == b'"' && !escaped;
        escaped = quoted && !escaped && byte == b'\\';
        byte == separator && !quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_sent_only_if_preferred() {
        for (name, values, text) in [
            ("no field", &[][..], false),
            ("an empty field", &[""], false),
            ("anything", &["*/*"], false),
            ("text", &["text/plain"], true),
            ("any text", &["text/*"], true),
            ("json", &["application/json"], false),
            ("both alike", &["text/plain, application/json"], false),
            ("text, else anything", &["text/plain, */*;q=0.1"], true),
            ("text and anything alike", &["text/plain, */*"], false),
            ("text or json less", &["text/plain, application/json;q=0.999"], true),
            ("text least", &["text/plain;q=0.001, application/json;q=0"], true),
            ("text never", &["text/plain;q=0, */*;q=0.5"], false),
            ("text but not plain", &["text/*, text/plain;q=0.1, application/*;q=0.2"], false),
            ("json never", &["application/json;q=0, */*"], true),
            ("two fields", &["application/json;q=0.5", "text/plain"], true),
            ("a browser", &["text/html,application/xhtml+xml,*/*;q=0.8"], false),
            ("other types", &["image/png, text/html"], false),
            ("upper case and blanks", &["TEXT/Plain ; Q=0.9 ,\tapplication/JSON ; q=0.8"], true),
            ("a parameter", &["text/plain;charset=utf-8"], true),
            ("commas in quotes", &["a/b;x=\", text/plain, \\\", \""], false),
            ("after the quotes", &["a/b;x=\",\\\"\", text/plain"], true),
            ("an open quote", &["a/b;x=\", text/plain"], false),
            ("a weight too large", &["text/plain;q=1.001"], false),
            (
                "a weight that is only a point",
                &["text/plain;q=0., application/json;q=0.000"],
                false,
            ),
            ("empty elements", &[",, text/plain ,", ""], true),
            ("four decimals", &["text/plain;q=0.9999"], false),
            ("no number", &["text/plain;q=, text/plain;q=x, text/plain;q=0.-1"], false),
            ("no slash", &["text, *, /, ;, ,"], false),
        ] {
            let values = values.iter().map(|value: &&str| value.as_bytes());
            assert_eq!(prefers_text(values), text, "{name}");
        }
    }
}
