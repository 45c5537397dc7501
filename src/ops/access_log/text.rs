//! Text lines, in a format of verbs such as `%h` and `%{Referer}i`; all other text is copied.

use super::entry::{Entry, StreamEntry};
use super::escape;
use super::item::{Item, Key, LogContext, Unit, in_units, stream_id};
use super::layout::{COMMON, Layout};
use std::io::Write as _;
use std::str::FromStr;

/// `framework`, the default.
pub const FRAMEWORK: &str = "%h XFF[%{X-Forwarded-For}i] %l %u \
    [%{02/Jan/2006:15:04:05 Z0700}t] \"%m %U%q\" %s %bB %{us}Tμs";

/// `common`: the common log format of web servers.
pub const COMMON_FORMAT: &str = "%h %l %u %t \"%r\" %s %b";

/// `combined`: the common log format with Referer and User-Agent.
pub const COMBINED: &str = "%h %l %u %t \"%r\" %s %b \"%{Referer}i\" \"%{User-agent}i\"";

/// `apache-common`: the format of that name in Apache HTTP Server, without ports.
pub const APACHE_COMMON: &str = "%a %l %u %t \"%r\" %>s %b";

/// `apache-combined`: the same with Referer and User-Agent.
pub const APACHE_COMBINED: &str = "%a %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-agent}i\"";

/// All verbs, for the error on an unknown verb.
const VERBS: &str =
    "%% %a %b %B %D %h %{NAME}i %l %m %q %r %s %>s %t %{LAYOUT}t %{UNIT}T %u %U %{KEY}X";

/// The only verb of two letters.
const FINAL_STATUS: &str = ">s";

/// The units of `%{...}T`.
const UNITS: [(&str, Unit); 3] =
    [("s", Unit::Seconds), ("ms", Unit::Milliseconds), ("us", Unit::Microseconds)];

/// A compiled format of text lines.
#[derive(Clone, Debug)]
pub struct TextFormat {
    /// The items, in the order they are written.
    pub items: Vec<Item>,
}

impl FromStr for TextFormat {
    type Err = String;

    /// Compiles a format.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut items = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('%') {
            let position = text.len() - rest.len() + at;
            literal.push_str(&rest[..at]);
            let (item, len) = verb(&rest[at + 1..])
                .map_err(|error| format!("at character {}: {error}", chars(text, position) + 1))?;
            rest = &rest[at + 1 + len..];
            if let Item::Literal(same) = &item {
                literal.push_str(same);
            } else {
                push_literal(&mut items, &mut literal);
                items.push(item);
            }
        }
        literal.push_str(rest);
        push_literal(&mut items, &mut literal);
        Ok(Self { items })
    }
}

fn push_literal(items: &mut Vec<Item>, literal: &mut String) {
    if !literal.is_empty() {
        items.push(Item::Literal(std::mem::take(literal).into_boxed_str()));
    }
}

fn chars(text: &str, bytes: usize) -> usize {
    text[..bytes].chars().count()
}

/// Parses the verb after a percent sign; returns it and its length.
fn verb(text: &str) -> Result<(Item, usize), String> {
    if text.starts_with(FINAL_STATUS) {
        return Ok((Item::Status { numeric: true }, FINAL_STATUS.len()));
    }
    let (argument, behind) = match text.strip_prefix('{') {
        Some(inner) => {
            let (argument, behind) = inner
                .split_once('}')
                .ok_or_else(|| format!("'%{{' has no '}}'; the verbs are {VERBS}"))?;
            (Some(argument), behind)
        }
        None => (None, text),
    };
    let letter = behind.chars().next();
    let letter = letter.ok_or_else(|| format!("'%' has no letter; the verbs are {VERBS}"))?;
    let item = match argument {
        Some(argument) => with_argument(letter, argument)?,
        None => plain(letter)?,
    };
    Ok((item, text.len() - behind.len() + letter.len_utf8()))
}

fn plain(letter: char) -> Result<Item, String> {
    Ok(match letter {
        '%' => Item::Literal("%".into()),
        'a' => Item::Address,
        'b' => Item::Bytes { zero: false },
        'B' => Item::Bytes { zero: true },
        'D' => Item::Elapsed(Unit::Microseconds),
        'T' => Item::Elapsed(Unit::Seconds),
        'h' => Item::Remote,
        'l' => Item::Ident,
        'u' => Item::User,
        'm' => Item::Method,
        'q' => Item::Query { marked: true },
        'r' => Item::RequestLine,
        's' => Item::Status { numeric: false },
        't' => Item::Received(Layout::compile(COMMON)?),
        'U' => Item::Path,
        'i' => return Err("'%i' needs the name of a header, such as %{Referer}i".into()),
        'X' => return Err("'%X' needs a key, such as %{request_id}X".into()),
        _ => return Err(format!("unknown verb '%{letter}'; expected one of {VERBS}")),
    })
}

fn with_argument(letter: char, argument: &str) -> Result<Item, String> {
    let wrong = |reason: String| format!("in '%{{{argument}}}{letter}': {reason}");
    match letter {
        'i' => header(argument).map_err(wrong),
        't' => Layout::compile(argument).map(Item::Received).map_err(wrong),
        'T' => {
            let unit = UNITS.iter().find(|(name, _)| *name == argument);
            unit.map(|(_, unit)| Item::Elapsed(*unit))
                .ok_or_else(|| wrong("no unit of time; there are s, ms, us".into()))
        }
        'X' => Key::named(argument).map(Item::Context).map_err(wrong),
        _ => Err(wrong(format!("this verb takes no argument; there are {VERBS}"))),
    }
}

/// Returns the item for the value of a header field.
///
/// # Errors
/// One line that reports why the name is invalid.
pub fn header(name: &str) -> Result<Item, String> {
    if crate::http::fields::is_token(name.as_bytes()) {
        Ok(Item::Header { name: name.into(), place: 0 })
    } else {
        Err(format!("'{name}' cannot be the name of a header"))
    }
}

impl TextFormat {
    /// Appends the line of a request. `value` is a scratch buffer.
    pub fn write(
        &self,
        entry: &Entry<'_>,
        around: &LogContext,
        value: &mut Vec<u8>,
        line: &mut Vec<u8>,
    ) {
        for item in &self.items {
            if let Item::Literal(text) = item {
                line.extend_from_slice(text.as_bytes());
                continue;
            }
            value.clear();
            if item.write(entry, around, value) {
                escape::text(value, line);
            } else {
                line.push(b'-');
            }
        }
        line.push(b'\n');
    }
}

/// Appends the line of a stream.
pub fn write_stream(entry: &StreamEntry, layout: &Layout, around: &LogContext, line: &mut Vec<u8>) {
    layout.write(entry.ended_ms, &around.zone, line);
    line.extend_from_slice(b" stream=");
    stream_id(entry.stream, around.full_ids, line);
    let ended = &entry.ended;
    let _ = write!(line, " outcome={}", ended.outcome.name());
    for (name, peer) in ["source", "destination"].into_iter().zip(entry.peers) {
        let peer = peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string());
        let _ = write!(line, " {name}={peer}");
    }
    let _ = write!(line, " bytes={}", ended.bytes_transferred);
    for (name, span) in [("wait_ms", ended.waited), ("transfer_ms", ended.transferred_in)] {
        let ms = span
            .map_or_else(|| "-".to_owned(), |span| in_units(span, Unit::Milliseconds).to_string());
        let _ = write!(line, " {name}={ms}");
    }
    line.push(b'\n');
}
