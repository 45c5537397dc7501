//! The routes of paths.

/// The route of a request for a path, which is what follows `/p/`, as received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathRoute<'h> {
    /// Get the text about paths.
    About,
    /// Upload.
    Upload(&'h str),
    /// Download.
    Download(&'h str),
    /// Check whether it is in use.
    Exists(&'h str),
    /// Only these methods are allowed.
    NotAllowed(&'static str),
}
