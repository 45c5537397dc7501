//! The command for the other side, printed as soon as the stream exists.

use crate::api::Place;
use crate::client::Url;
use crate::client::commands::reporter::Reporter;
use crate::client::relay::Stream;
use qrcode::QrCode;
use qrcode::render::unicode::Dense1x2;
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;
use uuid::Uuid;

/// What the other side will receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file with a name.
    File,
    /// A directory, as an archive.
    Archive {
        /// Whether it is compressed.
        zstd: bool,
    },
    /// Bytes without a name.
    Bytes,
}

/// Prints the commands for the other side and, with `qr`, the link as a QR code.
pub(super) fn print(
    reporter: &Reporter,
    stream: &Stream,
    kind: Kind,
    (waits, capped): (Option<Duration>, bool),
    qr: bool,
) {
    let url = stream.receiver_url();
    let [rdv, curl] = commands((&url, may_be_redirected(stream.id())), kind);
    let most = if capped { " (the relay's maximum)" } else { "" };
    let within = waits.map_or(String::new(), |waits| format!(", within {}{most}", rounded(waits)));
    let mut text = format!("On the other side run one of these{within}:\n\n  {rdv}\n  {curl}\n");
    let page = stream.page_url().filter(|_| kind != Kind::Bytes);
    if let Some(page) = &page {
        let link = format!("\nOr open this link in a browser:\n\n  {page}\n");
        text.push_str(&link);
    }
    if is_loopback(&url) {
        text.push_str(
            "\n(The relay listens on this machine only; other machines cannot reach it.)\n",
        );
    }
    let link = page.as_ref().unwrap_or(&url);
    if qr && let Ok(code) = QrCode::new(link.to_string()) {
        text.push('\n');
        // Most terminals are dark and blocks are bright: draw the light modules.
        let mut picture = code.render::<Dense1x2>();
        let picture = picture.dark_color(Dense1x2::Light).light_color(Dense1x2::Dark);
        text.push_str(&picture.build());
        text.push('\n');
    }
    let event = json!({
        "event": "created",
        "stream": stream.id().to_string(),
        "url": url.to_string(),
        "receive": rdv,
        "curl": curl,
        "page": page.map(|page| page.to_string()),
        "ttl_seconds": waits.map(|waits| waits.as_secs()),
    });
    reporter.print(&text, &event);
}

/// Whether the identifier shows a node: another one redirects to it.
fn may_be_redirected(stream: Uuid) -> bool {
    Place::of(stream).is_some()
}

fn commands((url, is_redirected): (&Url, bool), kind: Kind) -> [String; 2] {
    let f = if is_redirected { "-fL" } else { "-f" };
    // Some shells give question marks a meaning.
    let quote = if url.target.contains('?') { "'" } else { "" };
    let url = format!("{quote}{url}{quote}");
    match kind {
        Kind::File => [format!("rdv receive {url}"), format!("curl {f}OJ {url}")],
        Kind::Archive { zstd: false } => {
            [format!("rdv receive --extract {url}"), format!("curl {f} {url} | tar x")]
        }
        Kind::Archive { zstd: true } => {
            [format!("rdv receive --extract {url}"), format!("curl {f} {url} | tar x --zstd")]
        }
        Kind::Bytes => [format!("rdv pipe receive {url}"), format!("curl {f}N {url}")],
    }
}

fn rounded(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3600),
    }
}

fn is_loopback(url: &Url) -> bool {
    let address: Option<IpAddr> = url.host.parse().ok();
    url.host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_receive_commands_match_the_content() {
        let url: Url = "https://relay.example/stream/7".parse().unwrap();
        for (kind, rdv, curl) in [
            (Kind::File, "rdv receive ", "curl -fOJ "),
            (Kind::Archive { zstd: false }, "rdv receive --extract ", "| tar x"),
            (Kind::Archive { zstd: true }, "rdv receive --extract ", "--zstd"),
            (Kind::Bytes, "rdv pipe receive ", "curl -fN "),
        ] {
            let said = commands((&url, false), kind);
            assert!(said[0].contains(rdv) && said[1].contains(curl), "{said:?}");
            assert!(said.iter().all(|command| command.contains("https://relay.example/stream/7")));
        }
        let private = "https://relay.example/stream/7?t=1f".parse().unwrap();
        for command in commands((&private, true), Kind::File) {
            assert!(command.ends_with(" 'https://relay.example/stream/7?t=1f'"), "{command}");
            assert!(command.starts_with("rdv ") || command.starts_with("curl -fLOJ "), "{command}");
        }
    }

    #[test]
    fn times_are_rounded_to_readable_units() {
        for (seconds, text) in [(60, "60 s"), (600, "10 min"), (7200, "2 h")] {
            assert_eq!(rounded(Duration::from_secs(seconds)), text);
        }
        for (url, loopback) in
            [("http://127.0.0.9", true), ("http://[::1]:7", true), ("http://h", false)]
        {
            assert_eq!(is_loopback(&url.parse().unwrap()), loopback, "{url}");
        }
    }
}
