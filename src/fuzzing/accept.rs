//! `Accept`: weights against a reference that searches all ranges, and the variations that the list
//! syntax permits: order, case, whitespace, lines.

use super::choices::Choices;
use crate::http::negotiate::{BodyForm, body_form};

const RANGES: [(&str, &str); 8] = [
    ("*", "*"),
    ("text", "*"),
    ("text", "plain"),
    ("text", "html"),
    ("application", "*"),
    ("application", "json"),
    ("application", "xml"),
    ("*", "plain"),
];

/// One range and its weight in thousandths.
type Weighted = (&'static str, &'static str, u16);

/// Ranges with weights, then noise.
pub fn accept(data: &[u8]) {
    let mut choices = Choices::new(data);
    let ranges: Vec<Weighted> = (0..choices.below(7)).map(|_| range(&mut choices)).collect();
    let expected = expected(&ranges);
    let mut lines = vec![Vec::new()];
    for (kind, subtype, weight) in &ranges {
        let text = written(&mut choices, kind, subtype, *weight);
        match lines.last_mut() {
            Some(line) if choices.one_in(2) => {
                line.extend([&b" ,\t"[..], text.as_bytes()].concat());
            }
            Some(_) | None => lines.push(text.into_bytes()),
        }
    }
    assert_eq!(prefers(&lines), expected, "{ranges:?}");
    lines.reverse();
    assert_eq!(prefers(&lines), expected, "in another order: {ranges:?}");

    let noise: Vec<_> = choices.rest().split(|&byte| byte == 0).map(<[u8]>::to_vec).collect();
    let loud: Vec<_> = noise.iter().map(|line| line.to_ascii_uppercase()).collect();
    let found = prefers(&noise);
    assert_eq!(prefers(&loud), found, "case is not significant");
    let reversed: Vec<_> = noise.into_iter().rev().collect();
    assert_eq!(prefers(&reversed), found, "order is not significant");
}

fn prefers(lines: &[Vec<u8>]) -> BodyForm {
    body_form(lines.iter().map(Vec::as_slice))
}

/// Returns the form that these ranges call for.
fn expected(ranges: &[Weighted]) -> BodyForm {
    let [page, text, json] = [("text", "html"), ("text", "plain"), ("application", "json")]
        .map(|(kind, subtype)| quality(ranges, kind, subtype));
    let is_named = ranges.iter().any(|(kind, subtype, _)| (*kind, *subtype) == ("text", "html"));
    if is_named && page > 0 && page >= text.max(json) {
        BodyForm::Page
    } else if text > json {
        BodyForm::Text
    } else {
        BodyForm::Json
    }
}

fn range(choices: &mut Choices<'_>) -> Weighted {
    let (kind, subtype) = choices.pick(&RANGES);
    let weight = choices.pick(&[1000, 0, 1, 999, 500, 50, 10]);
    (kind, subtype, weight)
}

/// Returns one spelling of a range.
fn written(choices: &mut Choices<'_>, kind: &str, subtype: &str, weight: u16) -> String {
    let mut text = format!("{kind}/{subtype}");
    if choices.one_in(3) {
        text.push_str(" ;a=\", ;\\\"text/plain\"");
    }
    if weight < 1000 || choices.one_in(2) {
        let number = format!("{}.{:03}", weight / 1000, weight % 1000);
        let number = if choices.one_in(2) { number.trim_end_matches('0') } else { &number };
        text.push_str(choices.pick(&[";q=", " ; Q=", ";\tq="]));
        text.push_str(number);
    }
    if choices.one_in(3) { text.to_ascii_uppercase() } else { text }
}

/// Returns the weight of a type: the highest of its most specific ranges, 0 without any.
fn quality(ranges: &[Weighted], kind: &str, subtype: &str) -> u16 {
    for wanted in [(kind, subtype), (kind, "*"), ("*", "*")] {
        let weights = ranges.iter().filter(|range| (range.0, range.1) == wanted).map(|r| r.2);
        if let Some(highest) = weights.max() {
            return highest;
        }
    }
    0
}
