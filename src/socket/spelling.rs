//! The spelling of field names as they were received. The `http` crate has names in lower case only,
//! but some programs compare them as they are (RFC 9110, section 5.1, allows any case).

use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{Extensions, header};

/// An extension of a request or response that was received: names that have capitals, each as
/// spelled first.
#[derive(Clone, Debug, Default)]
pub(super) struct Spelling(HeaderMap<Box<str>>);

impl Spelling {
    /// Returns the spelling of a name in the message with these extensions.
    pub(super) fn of<'n>(extensions: &'n Extensions, name: &'n HeaderName) -> &'n str {
        let spelled = extensions.get::<Self>().and_then(|spelling| spelling.0.get(name));
        spelled.map_or(name.as_str(), |spelled| spelled)
    }
}

/// Converts the fields of a message, and adds their spelling to its extensions.
///
/// # Errors
/// A name or value is invalid, as described.
pub(super) fn received<'f>(
    all: impl Iterator<Item = (&'f str, &'f [u8])>,
    extensions: &mut Extensions,
) -> Result<HeaderMap, String> {
    let (mut fields, mut spelling) = (HeaderMap::new(), Spelling::default());
    for (spelled, value) in all {
        let name = HeaderName::from_bytes(spelled.as_bytes()).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_bytes(value).map_err(|error| error.to_string())?;
        if name.as_str() != spelled
            && let header::Entry::Vacant(entry) = spelling.0.entry(&name)
        {
            entry.insert(spelled.into());
        }
        fields.append(name, value);
    }
    extensions.insert(spelling);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_spelled_as_received() {
        let all = [("X-OddName", &b"1"[..]), ("plain", b"2"), ("x-oddname", b"3")];
        let mut extensions = Extensions::new();
        let fields = received(all.into_iter(), &mut extensions).unwrap();
        let spelled: Vec<_> = fields.keys().map(|name| Spelling::of(&extensions, name)).collect();
        assert_eq!(spelled, ["X-OddName", "plain"]);
        assert_eq!(fields.get_all("x-oddname").iter().count(), 2);
        assert_eq!(Spelling::of(&extensions, &header::ETAG), "etag", "another field");
        assert!(received([("a b", &b""[..])].into_iter(), &mut extensions).is_err());
    }
}
