//! The page of a stream, for its receiver. It shows what is known, and joins nothing.

use super::template::fill;
use crate::api::Upload;
use crate::http::disposition;
use crate::http::framing::Framing;
use crate::ops::human;
use crate::rendezvous::{Stream, StreamState};

/// Longest name and type shown, in characters: that of a file on most systems.
const SHOWN_MAX: usize = 255;

/// Returns the page of an active stream; `upload` is what its source sends, once connected, and
/// `origin` that of the relay, as its client wrote it.
pub fn receive(stream: &Stream, upload: Option<&Upload>, origin: &str) -> String {
    let field = |name: &str| download_field(stream, upload, name);
    let disposition = field("Content-Disposition").unwrap_or_default();
    let name = disposition::file_name(&disposition).map_or(String::new(), |name| shown(&name));
    let kind =
        field("Content-Type").map_or(String::new(), |kind| shown(&String::from_utf8_lossy(&kind)));
    let bytes = upload.and_then(|upload| match upload.framing {
        Framing::Length(bytes) => Some(bytes),
        Framing::Chunked => None,
    });
    let size = bytes.map_or(String::new(), human::size);
    let called = if name.is_empty() { "A file" } else { &name };
    let title = if size.is_empty() { called.to_owned() } else { format!("{called} ({size})") };
    let id = stream.id().to_string();
    // Only the receiver, which has it in its link, gets the page.
    let query = stream.guard().map_or(String::new(), |guard| format!("?t={}", guard.get.simple()));
    // Some shells give question marks a meaning.
    let quote = if query.is_empty() { "" } else { "'" };
    let state = stream.state();
    let is_open = matches!(state, StreamState::Created | StreamState::SrcConnected);
    fill(
        "receive.html",
        &[
            ("title", &title),
            ("description", "Open this link to download. It works once."),
            ("url", &format!("{quote}{origin}/stream/{id}{query}{quote}")),
            ("query", &query),
            ("more", &query.replacen('?', "&", 1)),
            ("id", &id),
            ("state", state.name()),
            ("name", called),
            ("size", &size),
            ("bytes", &bytes.map_or(String::new(), |bytes| bytes.to_string())),
            ("type", &kind),
            ("message", message(state)),
            // An attribute: the button and the commands are only for a free side.
            ("hidden", if is_open { "" } else { "hidden" }),
            ("refresh", "5"),
        ],
    )
}

/// Returns the value of a field of the download: that of the creator of the stream, else of the
/// upload.
fn download_field(stream: &Stream, upload: Option<&Upload>, name: &str) -> Option<Vec<u8>> {
    let custom = stream.headers().and_then(|headers| {
        let mut fields = headers.download.iter();
        fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    });
    if let Some(value) = custom {
        return value.as_str().map(|text| text.as_bytes().to_vec());
    }
    let upload = upload?;
    let value =
        if name == "Content-Type" { &upload.content_type } else { &upload.content_disposition };
    value.as_deref().map(<[u8]>::to_vec)
}

/// Returns text as it may be shown: no control characters, and none that change the direction of
/// what follows, with which `exe.gpj` is read as an image (Unicode Technical Report 36).
pub(super) fn shown(text: &str) -> String {
    let is_shown = |c: char| {
        !c.is_control()
            && !matches!(c, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|c| if is_shown(c) { c } else { '\u{FFFD}' }).take(SHOWN_MAX).collect()
}

/// Returns what an active stream waits for.
fn message(state: StreamState) -> &'static str {
    match state {
        StreamState::Created => "Waiting for the sender. A download begins once it connects.",
        StreamState::SrcConnected => "The sender is ready.",
        StreamState::DstConnected => "A receiver is connected and waits for the sender.",
        StreamState::Streaming => "A receiver is downloading. The link works once.",
        StreamState::Finished
        | StreamState::TimeoutNoSrc
        | StreamState::TimeoutNoDst
        | StreamState::TimeoutNoSrcNoDst
        | StreamState::SrcDisconnected
        | StreamState::DstDisconnected
        | StreamState::SrcError
        | StreamState::DstError
        | StreamState::ClientError => "The stream has ended.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_change_how_it_is_read() {
        assert_eq!(shown("a\u{202E}gpj.exe\n"), "a\u{FFFD}gpj.exe\u{FFFD}");
        assert_eq!(shown(&"x".repeat(300)).len(), SHOWN_MAX);
        assert_eq!(shown("Grüße 日本.txt"), "Grüße 日本.txt");
    }
}
