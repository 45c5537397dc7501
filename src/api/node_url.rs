//! The URLs of nodes: one template for all of them, so that no node has to know which others exist.

use crate::http::host::Authority;
use std::str::FromStr;

const DECIMAL: &str = "{node}";
const HEX: &str = "{hex}";

/// A template of URLs with the number of a node in it, without a slash at its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUrl(String);

impl NodeUrl {
    /// Returns the URL of a node; the target of a request can follow it.
    pub fn of(&self, node: u16) -> String {
        filled(&self.0, node)
    }
}

impl FromStr for NodeUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = |what: &str| Err(format!("expected {what}"));
        if !text.contains(DECIMAL) && !text.contains(HEX) {
            return expected("{node} or {hex} in it: https://relay-{node}.example");
        }
        // Of these, one has the most digits, and the other none that are letters.
        for url in [0, u16::MAX].map(|node| filled(text, node)) {
            if url.contains(['?', '#', '@']) {
                return expected("a URL without a query, a fragment and a user");
            }
            if url.contains(['{', '}']) {
                return expected("no other braces than those of {node} and {hex}");
            }
            if !is_base(&url) {
                return expected(
                    "a valid URL with each number: http://HOST[:PORT][/PATH] or https://…",
                );
            }
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

fn filled(template: &str, node: u16) -> String {
    template.replace(DECIMAL, &node.to_string()).replace(HEX, &format!("{node:04x}"))
}

/// Whether targets can follow this text: what is printed in `Location` must be a URL (RFC 9110,
/// section 10.2.2), and have no control characters.
fn is_base(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
        return false;
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let Some(Authority { host, port }) = Authority::parse(authority) else { return false };
    let is_of_path = |byte: u8| byte.is_ascii_graphic() && !b"\"<>\\^`|".contains(&byte);
    !host.is_empty()
        && port.is_none_or(|port| port.parse::<u16>().is_ok())
        && path.bytes().all(is_of_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_node_is_filled_in() {
        for (template, url) in [
            ("https://relay-{node}.example", "https://relay-171.example"),
            ("http://rdv-{node}.rdv:8080/", "http://rdv-171.rdv:8080"),
            ("https://relay.example/n/{node}", "https://relay.example/n/171"),
            ("https://{hex}.example/{node}//", "https://00ab.example/171"),
            ("http://127.0.0.1:{node}", "http://127.0.0.1:171"),
            ("http://[fd00::{hex}]:80", "http://[fd00::00ab]:80"),
        ] {
            assert_eq!(template.parse::<NodeUrl>().unwrap().of(171), url, "{template}");
        }
    }

    #[test]
    fn an_invalid_template_is_refused_with_what_is_expected() {
        for (template, part) in [
            ("", "{node} or {hex}"),
            ("https://relay.example", "{node} or {hex}"),
            ("https://relay-{number}.example", "{node} or {hex}"),
            ("https://relay-{node}.example/{id}", "no other braces"),
            ("https://relay-{{node}}.example", "no other braces"),
            ("relay-{node}.example", "http://HOST"),
            ("ftp://relay-{node}.example", "http://HOST"),
            ("https:///{node}", "http://HOST"),
            ("https://a b-{node}/", "http://HOST"),
            ("https://h:1{node}", "http://HOST"),
            ("https://h:{hex}", "http://HOST"),
            ("https://h/{node}/a b", "http://HOST"),
            ("https://h/{node}/\r\nX: y", "http://HOST"),
            ("https://h/{node}/ü", "http://HOST"),
            ("https://me:pw@relay-{node}.example", "a user"),
            ("https://h/?n={node}", "a query"),
            ("https://h/#{node}", "a fragment"),
        ] {
            let why = template.parse::<NodeUrl>().unwrap_err();
            assert!(why.starts_with("expected ") && why.contains(part), "{template}: {why}");
        }
    }
}
