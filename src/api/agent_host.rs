//! Hosts that serve the APIs of agents on origins of their own. A page of one origin can act as any
//! other page of it (RFC 6454, section 3), so what an agent sends must not share the relay's.

use super::access::HostName;
use super::route::Audience;
use crate::http::head::RequestHead;
use crate::http::host::Authority;
use std::fmt;
use std::str::FromStr;

/// A host, or all hosts of a domain, that serve APIs and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentHost {
    /// This host: each API is below its prefix.
    One(String),
    /// The hosts below this domain, written with its first dot: what precedes it names the agent.
    Below(String),
}

impl FromStr for AgentHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let domain = text.strip_prefix("*.");
        let name = without_root(domain.unwrap_or(text));
        let valid = !name.contains('*') && !name.starts_with('.');
        let name = Some(name).filter(|_| valid).and_then(|name| name.parse::<HostName>().ok());
        match (name, domain) {
            (Some(name), None) => Ok(Self::One(name.to_string())),
            (Some(name), Some(_)) => Ok(Self::Below(format!(".{name}"))),
            (None, _) => Err("expected a host, such as apis.example, or *.relay.example".into()),
        }
    }
}

impl fmt::Display for AgentHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One(name) => f.write_str(name),
            Self::Below(domain) => write!(f, "*{domain}"),
        }
    }
}

/// Returns the audience of a request to one of these hosts, with any port; `None` for other hosts.
pub fn audience<'h>(hosts: &[AgentHost], head: &RequestHead<'_, 'h>) -> Option<Audience<'h>> {
    if hosts.is_empty() {
        return None;
    }
    let host = str::from_utf8(head.host()?).ok().and_then(Authority::parse)?.host;
    let host = without_root(host);
    let is_one =
        |one: &AgentHost| matches!(one, AgentHost::One(name) if name.eq_ignore_ascii_case(host));
    if hosts.iter().any(is_one) {
        return Some(Audience::Callers);
    }
    let names = hosts.iter().filter_map(|host_of| match host_of {
        AgentHost::One(_) => None,
        AgentHost::Below(domain) => before(host, domain),
    });
    // Of two domains, the longer one.
    names.min_by_key(|name| name.len()).map(Audience::CallersOf)
}

/// Returns a name without the dot of the root domain, which does not change its meaning. Of several
/// dots all are removed: a proxy or a resolver that accepts them must not select the relay's origin.
fn without_root(name: &str) -> &str {
    name.trim_end_matches('.')
}

/// Returns what precedes a suffix, in any case.
fn before<'h>(host: &'h str, suffix: &str) -> Option<&'h str> {
    let (name, end) = host.split_at_checked(host.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::head::{FieldSlots, HeadLimits, parse};

    const LIMITS: HeadLimits = HeadLimits { bytes: 4096, target_bytes: 2048 };

    #[test]
    fn a_host_is_compared_in_any_case_without_its_port() {
        let hosts = ["apis.example", "*.Relay.example.", "*.eu.relay.example", "[::1]"];
        let hosts: Vec<AgentHost> = hosts.iter().map(|host| host.parse().unwrap()).collect();
        let of = |name| Some(Audience::CallersOf(name));
        for (name, target, host, expected) in [
            ("a host", "/", "apis.example", Some(Audience::Callers)),
            ("in another case, with a port", "/", "APIs.example:8080", Some(Audience::Callers)),
            ("with the root domain", "/", "apis.example.", Some(Audience::Callers)),
            ("with two dots", "/", "apis.example..:80", Some(Audience::Callers)),
            ("an agent, with three dots", "/", "billing.relay.example...", of("billing")),
            ("nothing but dots", "/", "..", None),
            ("an address", "/", "[::1]:80", Some(Audience::Callers)),
            ("the host of the target", "http://apis.example/x", "h", Some(Audience::Callers)),
            ("another host in the target", "http://h/x", "apis.example", None),
            ("a host below it", "/", "x.apis.example", None),
            ("an agent", "/", "billing.relay.example", of("billing")),
            ("in another case", "/", "Billing.RELAY.example:1", of("Billing")),
            ("a name with dots", "/", "a.b.relay.example", of("a.b")),
            ("of the longer domain", "/", "a.eu.relay.example", of("a")),
            ("an empty name", "/", ".relay.example", of("")),
            ("an agent, in the target", "http://a.relay.example?x", "h", of("a")),
            ("the domain itself", "/", "relay.example", None),
            ("another domain with this end", "/", "myrelay.example", None),
            ("another host", "/", "h", None),
            ("an empty host", "/", "", None),
        ] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            let mut slots = FieldSlots::new();
            let head = parse(text.as_bytes(), &mut slots, &LIMITS).unwrap().unwrap();
            assert_eq!(audience(&hosts, &head), expected, "{name}");
            assert_eq!(audience(&[], &head), None, "{name}");
        }
    }

    #[test]
    fn a_host_has_no_port_and_one_asterisk_at_most() {
        for (text, shown) in [
            ("APIs.example", Some("apis.example")),
            ("*.relay.example", Some("*.relay.example")),
            ("*.relay.example.", Some("*.relay.example")),
            ("127.0.0.1", Some("127.0.0.1")),
            ("::1", Some("[::1]")),
            ("*", None),
            ("*.", None),
            ("*.*.example", None),
            ("a.*.example", None),
            ("*..example", None),
            (".example", None),
            ("apis.example:80", None),
            ("http://apis.example", None),
            ("", None),
        ] {
            let host = text.parse::<AgentHost>().ok();
            assert_eq!(host.map(|host| host.to_string()).as_deref(), shown, "{text}");
        }
    }
}
