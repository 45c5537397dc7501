//! What clients without a browser see instead of a page: short text.

/// Returns the text of the relay's root, for a client that reached it at this origin.
pub fn home(origin: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "rdv {version}: relays one upload to one download\n\n\
         Make a stream, then connect both sides, in either order:\n\n  \
         curl -X POST {origin}/stream\n  \
         curl -T FILE {origin}/stream/ID\n  \
         curl -fOJ {origin}/stream/ID\n\n\
         Or open {origin}/ in a browser.\n"
    )
}

/// The text of a preview with `--no-pages`.
pub const PREVIEW: &str = "The link is valid. It works once, and this preview has not used it.\n";
