//! Credentials of a request: the token of `Authorization: Bearer TOKEN` (RFC 6750, section 2.1), or
//! the password of `Basic` (RFC 7617, section 2) with any user name, which is what browsers and
//! `curl -u :TOKEN` send.

use super::fields::Fields;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;

/// The field that has the credentials for the server itself.
pub const AUTHORIZATION: &str = "Authorization";

/// The field that has the credentials for a server between the client and the one it calls.
pub const PROXY_AUTHORIZATION: &str = "Proxy-Authorization";

/// Returns the token in the field of this name; empty, which no token is, if the field is repeated
/// or has another scheme. `None`: the field is missing.
pub fn token<'b>(fields: &Fields<'_, 'b>, field: &str) -> Option<Cow<'b, [u8]>> {
    let mut all = fields.all(field);
    let value = all.next()?;
    let token = if all.next().is_none() { of_value(value) } else { None };
    Some(token.unwrap_or_default())
}

fn of_value(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (scheme, rest) = value.split_at(value.iter().position(|&byte| byte == b' ')?);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Cow::Borrowed(rest));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let mut pair = STANDARD.decode(rest).ok()?;
    let colon = pair.iter().position(|&byte| byte == b':')?;
    Some(Cow::Owned(pair.split_off(colon + 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_a_bearer_token_or_the_password_of_any_user() {
        for (name, value, token) in [
            ("bearer", "Bearer abc", Some("abc")),
            ("any case and more spaces", "bEARER   abc ", Some("abc")),
            ("a password", "Basic dXNlcjphYmM=", Some("abc")),
            ("without a user", "basic OmFiYw==", Some("abc")),
            ("a password with colons", "Basic dTphOmI=", Some("a:b")),
            ("no colon", "Basic YWJj", None),
            ("no base64", "Basic !", None),
            ("another scheme", "Digest abc", None),
            ("nothing after the scheme", "Bearer", None),
        ] {
            let found = of_value(value.as_bytes());
            assert_eq!(found.as_deref(), token.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn a_repeated_field_has_no_valid_token() {
        let line = httparse::Header { name: "authorization", value: b"Bearer abc" };
        let (one, two) = ([line], [line, line]);
        assert_eq!(token(&Fields::new(&one), AUTHORIZATION).as_deref(), Some(&b"abc"[..]));
        assert_eq!(token(&Fields::new(&two), AUTHORIZATION).as_deref(), Some(&b""[..]));
        assert_eq!(token(&Fields::new(&one), PROXY_AUTHORIZATION), None);
    }
}
