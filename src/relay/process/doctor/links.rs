//! Reads the network interfaces of this machine from `ip -details -json link` (ip-link(8)).

use crate::ops::doctor::network::Link;
use serde_json::Value;
use std::process::Command;

/// Returns the devices that are up; none without `ip`. Loopback and virtual interfaces (`linkinfo`:
/// veth of a container, bridges) are not among them: what they gain depends on others.
pub(super) fn read() -> Vec<Link> {
    let output = Command::new("ip").args(["-details", "-json", "link", "show", "up"]).output();
    output.map(|output| parse(&output.stdout)).unwrap_or_default()
}

/// Older versions of `ip` omit the sizes; such an interface is skipped.
fn parse(json: &[u8]) -> Vec<Link> {
    let links: Vec<Value> = serde_json::from_slice(json).unwrap_or_default();
    let link = |link: &Value| {
        Some(Link {
            name: link["ifname"].as_str()?.to_owned(),
            gso_max_bytes: link["gso_max_size"].as_u64()?,
            tso_max_bytes: link["tso_max_size"].as_u64()?,
        })
    };
    let is_device = |link: &&Value| link["link_type"] != "loopback" && link["linkinfo"].is_null();
    links.iter().filter(is_device).filter_map(link).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_from_the_output_of_ip() {
        let json = br#"[
            {"ifname":"lo","link_type":"loopback","gso_max_size":65536,"tso_max_size":524280},
            {},
            {"ifname":"eth0","link_type":"ether","gso_max_size":65536,"tso_max_size":524280},
            {"ifname":"veth0","link_type":"ether","linkinfo":{"info_kind":"veth"},
             "gso_max_size":65536,"tso_max_size":524280},
            {"ifname":"old","link_type":"ether"}
        ]"#;
        let eth0 = Link { name: "eth0".into(), gso_max_bytes: 65_536, tso_max_bytes: 524_280 };
        assert_eq!(parse(json), [eth0]);
        assert_eq!(parse(b"Cannot open netlink socket"), []);
    }
}
