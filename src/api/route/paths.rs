//! The routes of paths.

use super::Route;
use crate::http::head::{Method, RequestHead};

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

/// The methods of a path.
const ON_PATH: &str = "GET, HEAD, POST, PUT, OPTIONS";

/// The methods of the text about paths.
const ABOUT: &str = "GET, HEAD, OPTIONS";

/// Returns the route of a request whose path begins with `/p`, unless a longer segment does.
pub(super) fn route<'h>(head: &RequestHead<'_, 'h>) -> Option<Route<'h>> {
    use Method::{Connect, Delete, Get, Head, Options, Other, Patch, Post, Put, Trace};
    let path = match head.path.strip_prefix("/p")? {
        "" => "",
        rest => rest.strip_prefix('/')?,
    };
    Some(match (head.method, path) {
        (Get | Head, "") => Route::Path(PathRoute::About),
        (Options, "") => Route::Options(ABOUT),
        (Put | Post | Delete | Connect | Trace | Patch | Other, "") => {
            Route::Path(PathRoute::NotAllowed(ABOUT))
        }
        (Put | Post, path) => Route::Path(PathRoute::Upload(path)),
        (Get, path) => Route::Path(PathRoute::Download(path)),
        (Head, path) => Route::Path(PathRoute::Exists(path)),
        (Options, _) => Route::Options(ON_PATH),
        (Delete | Connect | Trace | Patch | Other, _) => {
            Route::Path(PathRoute::NotAllowed(ON_PATH))
        }
    })
}
