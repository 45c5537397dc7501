//! Paths (`--paths`): requests below `/p/`, as clients of piping-server send them. What is checked
//! before a side joins, what passes to the receiver, and the text about it all.

use super::{Failure, Upload};
use crate::http::content_type::{boundary, is_form};
use crate::http::first_part::FirstPart;
use crate::http::head::{Expect, RequestHead, Version};
use crate::http::range;

/// The prefix of all paths.
pub const PREFIX: &str = "/p/";

/// Returns what is stored of the head of an upload to a path; its body has at most `bytes_max` bytes.
///
/// # Errors
/// Returns why the upload is refused.
pub fn sender(head: &RequestHead<'_, '_>, bytes_max: u64) -> Result<Upload, Failure> {
    check_receivers(head.query)?;
    if head.fields.get("Content-Range").is_some() {
        return Err(bad_request(
            "An upload cannot be resumed; send all of it, without Content-Range",
        ));
    }
    let content_type = head.fields.get("Content-Type").unwrap_or_default();
    let upload = Upload::on_path(head);
    if !is_form(content_type) {
        return Ok(upload);
    }
    let missing = || bad_request("The Content-Type of a form needs a valid boundary");
    let form = FirstPart::new(&boundary(content_type).ok_or_else(missing)?);
    Ok(upload.of_form(form, bytes_max))
}

/// Whether the sender waits for a response before it receives, or sends, anything (`respond-async`,
/// RFC 7240, section 4.1). One that waits for `100 Continue` would take it for a refusal, and
/// HTTP/1.0 has no chunks to end it with.
pub fn prefers_early_response(head: &RequestHead<'_, '_>) -> bool {
    head.version == Version::Http11
        && head.expect == Expect::None
        && head.fields.lists("Prefer", "respond-async")
}

/// Checks the head of a download from a path.
///
/// # Errors
/// Returns why it is refused.
pub fn receiver(head: &RequestHead<'_, '_>) -> Result<(), Failure> {
    // A script there would control what the browser receives from all paths.
    if head.fields.all("Service-Worker").any(|value| value.eq_ignore_ascii_case(b"script")) {
        return Err(bad_request("A path cannot be registered as a service worker"));
    }
    check_receivers(head.query)?;
    if range::asks_for_a_part(head.fields) {
        return Err(Failure::RangeNotSupported);
    }
    Ok(())
}

/// Returns the text about paths, with commands for the relay of this origin.
pub fn text(origin: &str) -> String {
    let url = [origin, PREFIX, "PATH"].concat();
    format!(
        "PUT or POST to a path meets GET of the same path. Either side can start, and waits for the\n\
         other one. PATH is a URL path, with other characters percent-encoded. Any client that knows it\n\
         can use it, so choose a long one.\n\
         \n\
         Text:\n\
         \x20 echo hello | curl -T - {url}\n\
         \x20 curl {url}\n\
         \n\
         File:\n\
         \x20 curl -T FILE {url}\n\
         \x20 curl {url} > FILE\n\
         \n\
         Directory:\n\
         \x20 tar c DIRECTORY | curl -T - {url}\n\
         \x20 curl {url} | tar x\n\
         \n\
         The sender is answered when the receiver has been sent everything.\n"
    )
}

/// Checks the number of receivers (`n`).
fn check_receivers(query: Option<&str>) -> Result<(), Failure> {
    let mut pairs = query.unwrap_or_default().split('&');
    let Some(count) = pairs.find_map(|pair| pair.strip_prefix("n=")) else { return Ok(()) };
    // In a query a plus sign is a blank.
    match count.parse::<i64>().ok().filter(|_| !count.starts_with('+')) {
        Some(1) => Ok(()),
        Some(count) => Err(bad_request(format!(
            "n={count}: this relay connects one receiver to one sender; send n=1, or omit n"
        ))),
        None => Err(bad_request("n must be a number of receivers; send n=1, or omit n")),
    }
}

fn bad_request(message: impl Into<String>) -> Failure {
    Failure::BadPathRequest(message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_receiver_is_connected() {
        for (query, part) in [
            (None, None),
            (Some(""), None),
            (Some("n=1"), None),
            (Some("a=b&n=1"), None),
            (Some("n=01"), None),
            (Some("m=3"), None),
            (Some("n=3"), Some("n=3: this relay connects one receiver")),
            (Some("n=0"), Some("n=0: this relay")),
            (Some("n=-1"), Some("n=-1: this relay")),
            (Some("n=1&n=2"), None),
            (Some("n=2&n=1"), Some("n=2:")),
            (Some("n="), Some("must be a number")),
            (Some("n=+1"), Some("must be a number")),
            (Some("n=1abc"), Some("must be a number")),
            (Some("n=99999999999999999999"), Some("must be a number")),
        ] {
            match (check_receivers(query), part) {
                (Ok(()), None) => {}
                (Err(failure), Some(part)) => {
                    assert_eq!((failure.status(), failure.name()), (400, "BadRequestError"));
                    assert!(failure.message().contains(part), "{query:?}: {failure:?}");
                }
                (other, _) => panic!("{query:?}: {other:?}"),
            }
        }
    }
}
