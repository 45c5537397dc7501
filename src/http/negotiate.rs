//! Content negotiation: which form of a body a client prefers (RFC 9110, section 12.5.1).

/// The form of the body of an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyForm {
    /// One JSON object.
    Json,
    /// One line of text.
    Text,
    /// A page for a person.
    Page,
}

impl BodyForm {
    /// Replaces a page where there are none.
    pub fn exclude_page(&mut self) {
        if *self == Self::Page {
            *self = Self::Json;
        }
    }
}

/// Returns the form that the client prefers, by the values of its `Accept` fields: a page if they
/// name `text/html` explicitly, as browsers do when they navigate, with at least the weight of the
/// others; text if `text/plain` outweighs `application/json`; else JSON. Malformed elements are
/// skipped, and parameters other than `q` do not narrow a range.
pub fn body_form<'a>(accept_values: impl Iterator<Item = &'a [u8]>) -> BodyForm {
    let types = [("text", "html"), ("text", "plain"), ("application", "json")];
    let [page, text, json] = weigh(accept_values, types);
    if page.is_named() && page.thousandths >= text.thousandths.max(json.thousandths) {
        BodyForm::Page
    } else if text.thousandths > json.thousandths {
        BodyForm::Text
    } else {
        BodyForm::Json
    }
}

/// Whether the client names `text/html` explicitly, with any weight.
pub fn names_html<'a>(accept_values: impl Iterator<Item = &'a [u8]>) -> bool {
    let [page] = weigh(accept_values, [("text", "html")]);
    page.is_named()
}

/// Whether the client names this type explicitly, not just a range that includes it, and weighs it
/// at least as much as the other one.
pub fn names_and_prefers<'a>(
    accept_values: impl Iterator<Item = &'a [u8]>,
    named: (&str, &str),
    other: (&str, &str),
) -> bool {
    let [named, other] = weigh(accept_values, [named, other]);
    named.is_named() && named.thousandths >= other.thousandths
}

/// Whether the client accepts a body compressed with gzip, by the values of its `Accept-Encoding`
/// fields (RFC 9110, section 12.5.3).
pub fn accepts_gzip<'a>(accept_encoding_values: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut best: Option<(bool, u16)> = None;
    for element in accept_encoding_values.flat_map(|value| value.split(|&byte| byte == b',')) {
        let mut parts = element.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        let coding = parts.next().unwrap_or_default();
        let is_named = coding.eq_ignore_ascii_case(b"gzip");
        let weight = match parts.next() {
            None => Some(1000),
            Some([b'q' | b'Q', b'=', weight @ ..]) => parse_weight(weight),
            Some(_) => None,
        };
        if (is_named || coding == b"*") && best.is_none_or(|(named, _)| is_named && !named) {
            best = weight.map(|weight| (is_named, weight));
        }
    }
    best.is_some_and(|(_, weight)| weight > 0)
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
    /// Whether a range named the type, and did not exclude it.
    fn is_named(&self) -> bool {
        self.specificity == EXACT && self.thousandths > 0
    }

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
    use super::BodyForm::{Json, Page, Text};
    use super::*;

    #[test]
    fn gzip_is_sent_only_if_accepted() {
        for (name, values, accepted) in [
            ("no field", &[][..], false),
            ("a browser", &["gzip, deflate, br, zstd"], true),
            ("excluded", &["gzip;q=0, *"], false),
            ("everything else excluded", &["*;q=0, gzip"], true),
            ("everything", &["*"], true),
            ("upper case and blanks", &["br , GZIP ; q=0.5"], true),
            ("others", &["br, identity"], false),
            ("two fields", &["br", "gzip"], true),
            ("a malformed weight", &["gzip;q=x"], false),
        ] {
            let values = values.iter().map(|value: &&str| value.as_bytes());
            assert_eq!(accepts_gzip(values), accepted, "{name}");
        }
    }

    #[test]
    fn a_body_has_the_form_that_the_client_prefers() {
        for (name, values, form) in [
            ("no field", &[][..], Json),
            ("an empty field", &[""], Json),
            ("anything", &["*/*"], Json),
            ("text", &["text/plain"], Text),
            ("any text", &["text/*"], Text),
            ("json", &["application/json"], Json),
            ("both alike", &["text/plain, application/json"], Json),
            ("text, else anything", &["text/plain, */*;q=0.1"], Text),
            ("text and anything alike", &["text/plain, */*"], Json),
            ("text or json less", &["text/plain, application/json;q=0.999"], Text),
            ("text least", &["text/plain;q=0.001, application/json;q=0"], Text),
            ("text never", &["text/plain;q=0, */*;q=0.5"], Json),
            ("text but not plain", &["text/*, text/plain;q=0.1, application/*;q=0.2"], Json),
            ("json never", &["application/json;q=0, */*"], Text),
            ("two fields", &["application/json;q=0.5", "text/plain"], Text),
            ("a browser", &["text/html,application/xhtml+xml,*/*;q=0.8"], Page),
            ("a page or json alike", &["text/html, application/json"], Page),
            ("a page or text alike", &["text/html, text/plain"], Page),
            ("a page less than json", &["text/html;q=0.9, application/json"], Json),
            ("a page less than text", &["text/html;q=0.9, text/plain"], Text),
            ("a page never", &["text/html;q=0, text/*"], Text),
            ("other types", &["image/png, text/css"], Json),
            ("upper case and blanks", &["TEXT/Plain ; Q=0.9 ,\tapplication/JSON ; q=0.8"], Text),
            ("a parameter", &["text/plain;charset=utf-8"], Text),
            ("commas in quotes", &["a/b;x=\", text/plain, \\\", \""], Json),
            ("after the quotes", &["a/b;x=\",\\\"\", text/plain"], Text),
            ("an open quote", &["a/b;x=\", text/plain"], Json),
            ("a weight too large", &["text/plain;q=1.001"], Json),
            ("a weight that is only a point", &["text/plain;q=0., application/json;q=0.000"], Json),
            ("empty elements", &[",, text/plain ,", ""], Text),
            ("four decimals", &["text/plain;q=0.9999"], Json),
            ("no number", &["text/plain;q=, text/plain;q=x, text/plain;q=0.-1"], Json),
            ("no slash", &["text, *, /, ;, ,"], Json),
        ] {
            let values = values.iter().map(|value: &&str| value.as_bytes());
            assert_eq!(body_form(values), form, "{name}");
        }
    }
}
