//! JSON lines: one object per line, its members sorted by name, all values strings.

use super::entry::{Entry, StreamEntry};
use super::escape;
use super::item::{Item, Key, LogContext, Unit, in_units, stream_id};
use super::layout::Layout;
use super::text;
use std::str::FromStr;

/// The default fields.
pub const DEFAULT_FIELDS: [&str; 9] = [
    "Remote=REMOTE",
    "ForwardedFor=REQ_HEADER:X-Forwarded-For",
    "Received=RECEIVED:02/Jan/2006:15:04:05 Z0700",
    "Method=HTTP_METHOD",
    "Path=PATH",
    "Query=QUERY",
    "Status=STATUS",
    "BytesReturned=BYTES_OUT",
    "ProcessTimeMicro=PROCESS_TIME:MICRO",
];

/// The layout of the end time in a stream's line.
pub const ENDED: &str = "02/Jan/2006:15:04:05 Z0700";

/// All types, for the error on an unknown type.
const TYPES: &str = "REMOTE, REMOTE_ADDR, USER, REQ_HEADER:NAME, RECEIVED:LAYOUT, HTTP_METHOD, PATH, REQ_PATH, QUERY, \
    STATUS, BYTES_OUT, PROCESS_TIME:SECONDS|MILLI|MICRO, REQUEST_LINE, INSTANCE_ID, TEXT:TEXT, \
    CONTEXT_VALUE:KEY";

/// One member of the object.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name.
    pub name: Box<str>,
    /// Its value.
    pub item: Item,
}

impl FromStr for Field {
    type Err = String;

    /// Parses `NAME=TYPE` or `NAME=TYPE:ARGUMENT`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, kind) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or(
            "expected NAME=TYPE or NAME=TYPE:ARGUMENT, such as Agent=REQ_HEADER:User-Agent",
        )?;
        let (kind, argument) = match kind.split_once(':') {
            Some((kind, argument)) => (kind, Some(argument)),
            None => (kind, None),
        };
        let item = match argument {
            Some(argument) => with_argument(kind, argument)?,
            None => plain(kind)?,
        };
        Ok(Self { name: name.into(), item })
    }
}

fn plain(kind: &str) -> Result<Item, String> {
    Ok(match kind {
        "REMOTE" => Item::Remote,
        "REMOTE_ADDR" => Item::Address,
        "USER" => Item::User,
        "HTTP_METHOD" => Item::Method,
        "PATH" | "REQ_PATH" => Item::Path,
        "QUERY" => Item::Query { marked: false },
        "STATUS" => Item::Status { numeric: false },
        "BYTES_OUT" => Item::Bytes { zero: true },
        "REQUEST_LINE" => Item::RequestLine,
        "INSTANCE_ID" => Item::InstanceId,
        "REQ_HEADER" | "RECEIVED" | "PROCESS_TIME" | "TEXT" | "CONTEXT_VALUE" => {
            return Err(format!("the type {kind} needs an argument; the types are {TYPES}"));
        }
        _ => return Err(format!("invalid type '{kind}'; expected one of {TYPES}")),
    })
}

fn with_argument(kind: &str, argument: &str) -> Result<Item, String> {
    match kind {
        "REQ_HEADER" => text::header(argument),
        "RECEIVED" => Layout::compile(argument).map(Item::Received),
        "TEXT" => Ok(Item::Literal(argument.into())),
        "CONTEXT_VALUE" => Key::named(argument).map(Item::Context),
        "PROCESS_TIME" => Ok(Item::Elapsed(match argument {
            "SECONDS" => Unit::Seconds,
            "MILLI" => Unit::Milliseconds,
            "MICRO" => Unit::Microseconds,
            _ => {
                return Err(format!("invalid unit '{argument}'; expected SECONDS, MILLI or MICRO"));
            }
        })),
        _ => Err(match plain(kind) {
            Ok(_) => format!("the type {kind} takes no argument; the types are {TYPES}"),
            Err(error) => error,
        }),
    }
}

/// A compiled format of JSON lines.
#[derive(Clone, Debug)]
pub struct JsonFormat {
    /// The members, sorted by name.
    pub fields: Vec<Field>,
    /// The text before each object.
    pub prefix: String,
    /// The text after each object.
    pub suffix: String,
}

impl JsonFormat {
    /// Creates a format and sorts its members.
    ///
    /// # Errors
    /// One line that names the duplicate member.
    pub fn new(mut fields: Vec<Field>, prefix: String, suffix: String) -> Result<Self, String> {
        fields.sort_by(|one, other| one.name.cmp(&other.name));
        match fields.windows(2).find(|two| two[0].name == two[1].name) {
            Some(two) => Err(format!("duplicate field {}", two[0].name)),
            None => Ok(Self { fields, prefix, suffix }),
        }
    }

    /// Appends the line of a request. `value` is a scratch buffer.
    pub fn write(
        &self,
        entry: &Entry<'_>,
        around: &LogContext,
        value: &mut Vec<u8>,
        line: &mut Vec<u8>,
    ) {
        line.extend_from_slice(self.prefix.as_bytes());
        let mut mark = b'{';
        for field in &self.fields {
            value.clear();
            if !field.item.write(entry, around, value) && !field.item.may_be_empty() {
                value.push(b'-');
            }
            member(&mut mark, &field.name, value, line);
        }
        self.end(mark, line);
    }

    /// Appends the line of a stream.
    pub fn write_stream(
        &self,
        entry: &StreamEntry,
        layout: &Layout,
        around: &LogContext,
        line: &mut Vec<u8>,
    ) {
        let mut stream = Vec::new();
        stream_id(entry.stream, around.full_ids, &mut stream);
        let mut at = Vec::new();
        layout.write(entry.ended_ms, &around.zone, &mut at);
        let ms = |span: Option<std::time::Duration>| {
            span.map(|span| in_units(span, Unit::Milliseconds).to_string()).unwrap_or_default()
        };
        let [source, destination] =
            entry.peers.map(|peer| peer.map(|peer| peer.to_string()).unwrap_or_default());
        line.extend_from_slice(self.prefix.as_bytes());
        let mut mark = b'{';
        for (name, value) in [
            ("BytesTransferred", entry.ended.bytes_transferred.to_string().as_bytes()),
            ("Destination", destination.as_bytes()),
            ("Ended", &at),
            ("Outcome", entry.ended.outcome.name().as_bytes()),
            ("Source", source.as_bytes()),
            ("Stream", &stream),
            ("TransferMilli", ms(entry.ended.transferred_in).as_bytes()),
            ("WaitMilli", ms(entry.ended.waited).as_bytes()),
        ] {
            member(&mut mark, name, value, line);
        }
        self.end(mark, line);
    }

    fn end(&self, mark: u8, line: &mut Vec<u8>) {
        if mark == b'{' {
            line.push(mark);
        }
        line.push(b'}');
        line.extend_from_slice(self.suffix.as_bytes());
    }
}

fn member(mark: &mut u8, name: &str, value: &[u8], line: &mut Vec<u8>) {
    line.push(std::mem::replace(mark, b','));
    escape::json(name.as_bytes(), line);
    line.push(b':');
    escape::json(value, line);
}
