//! The pages for people: to send, to receive, to watch the relay, and errors. Plain HTML, CSS and
//! modules of JavaScript, embedded at compile time with their compressed forms and entity tags.
//! PURE: values in, a page out.
//!
//! | file | holds |
//! |---|---|
//! | `mod` | the embedded files, and the fields of their responses |
//! | `receive` | the page of a stream |
//! | `error` | a failure as a page |
//! | `help` | the same for `curl`, in short |
//! | `template` | filling in values |

mod error;
mod help;
mod receive;
mod template;

pub use error::error;
pub use help::{PREVIEW, home};
pub use receive::receive;

/// One embedded file.
#[derive(Debug)]
pub struct File<'f> {
    /// Its name, without a directory.
    pub name: &'f str,
    /// Its media type.
    pub kind: &'f str,
    /// Its entity tag, without quotes.
    pub etag: &'f str,
    /// Its content.
    pub bytes: &'f [u8],
    /// Its content, compressed with gzip (RFC 1952).
    pub gzip: &'f [u8],
}

/// All files, ordered by name; written by build.rs.
static FILES: &[File<'static>] = &include!(concat!(env!("OUT_DIR"), "/files.rs"));

/// The fields of all responses with a page or one of its files: only scripts and styles from the
/// relay itself, no frames, no forms, and no address of a stream in the `Referer` of other sites.
/// Without `Cross-Origin-Opener-Policy`: pages open no windows, an opener of another origin can only
/// navigate them, and browsers warn about it without TLS.
pub const SECURITY: [(&str, &str); 4] = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
];

/// The media type of a page.
pub const HTML: &str = "text/html; charset=utf-8";

/// The page that sends.
pub const SEND: &str = "send.html";

/// The page that shows the relay to its operators.
pub const WATCH: &str = "watch.html";

/// Returns the file of this name.
pub fn file(name: &str) -> Option<&'static File<'static>> {
    let index = FILES.binary_search_by_key(&name, |file| file.name).ok()?;
    Some(&FILES[index])
}

/// Returns a file that pages refer to: a style, a script or an image.
pub fn part(name: &str) -> Option<&'static File<'static>> {
    file(name).filter(|file| file.kind != HTML)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    /// Maximum size of all files together: what a slow phone loads in a second.
    const BYTES_MAX: usize = 80 << 10;

    #[test]
    fn the_files_are_small_and_complete() {
        let names: Vec<_> = FILES.iter().map(|file| file.name).collect();
        for name in [SEND, WATCH, "receive.html", "error.html", "rdv.css", "send.js", "receive.js"]
        {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        let bytes: usize = FILES.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes <= BYTES_MAX, "{bytes} bytes");
        assert!(names.is_sorted(), "{names:?}");
    }

    #[test]
    fn a_compressed_file_has_the_same_content() {
        for File { name, bytes, gzip, .. } in FILES {
            let mut content = Vec::new();
            flate2::read::GzDecoder::new(*gzip).read_to_end(&mut content).unwrap();
            assert_eq!(&content, bytes, "{name}");
        }
    }

    #[test]
    fn the_pages_obey_their_own_policy() {
        for File { name, kind, bytes, .. } in FILES {
            let text = str::from_utf8(bytes).unwrap();
            let allowed = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!allowed.contains("http://") && !allowed.contains("https://"), "{name}");
            assert!(!text.contains("innerHTML") && !text.contains("eval("), "{name}");
            if *kind == HTML {
                for inline in ["<style", " style=", " onclick=", " onload=", "javascript:"] {
                    assert!(!text.contains(inline), "{name} has {inline}");
                }
                assert_eq!(
                    text.matches("<script").count(),
                    text.matches("<script type=\"module\" src=\"/web/").count(),
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn a_page_is_no_part_of_a_page() {
        assert!(part("rdv.css").is_some() && part(SEND).is_none() && part("../mod.rs").is_none());
    }
}
