//! Checks of congestion control, of splice(2) between sockets, and of the addresses to listen on.

use super::machine::Machine;
use super::{Finding, bytes};
use std::net::SocketAddr;

/// The name of the check of congestion control.
const CONGESTION: &str = "congestion";

/// Checks congestion control; `unpaced` is what a relay sets on loopback, `granted` whether it is
/// allowed.
pub fn congestion(machine: &Machine, unpaced: &str, granted: bool) -> Finding {
    let (default, found) = congestion_controls(machine);
    if granted {
        return Finding::ok(CONGESTION, format!("{found}; rdv takes {unpaced} on loopback"));
    }
    Finding::warn(
        CONGESTION,
        format!("{found}; {unpaced} is refused"),
        format!(
            "add {unpaced} to net.ipv4.tcp_allowed_congestion_control: transfers over loopback cost \
             2 to 3 times the CPU if {default} paces"
        ),
    )
}

/// Checks the congestion control of the setting; `refusal` is why it cannot be set, if so.
pub fn chosen_congestion(machine: &Machine, name: &str, refusal: Option<String>) -> Finding {
    let (_, found) = congestion_controls(machine);
    match refusal {
        None => Finding::ok(CONGESTION, format!("{found}; rdv takes {name}")),
        Some(refusal) => {
            let advice = "choose another --congestion-control, or allow it";
            Finding::bad(CONGESTION, format!("{found}; {refusal}"), advice)
        }
    }
}

/// Returns the default congestion control, and a text with the available ones.
fn congestion_controls(machine: &Machine) -> (String, String) {
    let read = |name: &str| {
        machine.sysctl(&format!("net/ipv4/tcp_{name}")).unwrap_or_else(|| "unknown".into())
    };
    let default = read("congestion_control");
    let found =
        format!("{default} by default, available: {}", read("available_congestion_control"));
    (default, found)
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Maximum bytes that TCP hands to it at once (`gso_max_size`, ip-link(8)).
    pub gso_max_bytes: u64,
    /// The same, as far as the device permits.
    pub tso_max_bytes: u64,
}

/// The size of segments without BIG TCP, and for IPv4 in any case.
const SEGMENT_BYTES: u64 = 64 << 10;

/// The recommended size: three times as much; more saves little.
const BIG_SEGMENT_BYTES: u64 = 192 << 10;

/// Checks whether IPv6 uses segments as large as the devices permit (BIG TCP); `None` if none
/// permits more than the usual size.
pub fn segments(links: &[Link]) -> Option<Finding> {
    const NAME: &str = "segments";
    let big: Vec<&Link> =
        links.iter().filter(|link| link.tso_max_bytes >= BIG_SEGMENT_BYTES).collect();
    let Some(small) = big.iter().find(|link| link.gso_max_bytes <= SEGMENT_BYTES) else {
        let found: Vec<String> = big.iter().map(|link| described(link)).collect();
        return (!found.is_empty()).then(|| Finding::ok(NAME, found.join(", ")));
    };
    let advice = format!(
        "ip link set dev {} gso_max_size {BIG_SEGMENT_BYTES} gro_max_size {BIG_SEGMENT_BYTES} makes \
         transfers over IPv6 cheaper (BIG TCP)",
        small.name
    );
    Some(Finding::warn(NAME, described(small), advice))
}

fn described(link: &Link) -> String {
    let Link { name, gso_max_bytes, tso_max_bytes } = link;
    format!("{name} gets up to {} at once, of {}", bytes(*gso_max_bytes), bytes(*tso_max_bytes))
}

/// The result of a trial of splice(2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpliceTrial {
    /// This many bytes passed from socket to pipe to socket unchanged.
    Works(usize),
    /// The bytes were received changed.
    Changes,
    /// This step failed, for this reason.
    Fails(&'static str, String),
}

/// Checks whether splice(2) works between sockets.
pub fn splicing(shown: &SpliceTrial, no_splice: bool) -> Finding {
    const NAME: &str = "splice";
    let found = match shown {
        SpliceTrial::Works(count) => {
            let found =
                format!("{} passed from socket to pipe to socket unchanged", bytes(*count as u64));
            return Finding::ok(NAME, found);
        }
        SpliceTrial::Changes => "the pipe corrupted the data".into(),
        SpliceTrial::Fails(step, reason) => format!("{step}: {reason}"),
    };
    if no_splice {
        return Finding::ok(NAME, format!("{found}; --no-splice does without it"));
    }
    let advice = "allow splice(2) in the seccomp filter or the sandbox, or use --no-splice";
    Finding::bad(NAME, found, advice)
}

/// One day, in seconds.
const DAY_S: i64 = 86_400;

/// A certificate that is valid for less was not renewed: usual clients renew 30 days before.
const RENEWED_S: i64 = 14 * DAY_S;

/// Checks how long a certificate of the relay is valid.
pub fn certificate(name: &str, left_s: i64) -> Finding {
    const NAME: &str = "certificate";
    const ADVICE: &str = "renew it (tls-cert), then reload";
    let found = |end: &str| format!("the certificate of {name} {end}");
    let days = match left_s / DAY_S {
        1 => "1 day".to_owned(),
        days => format!("{days} days"),
    };
    match left_s {
        ..=0 => Finding::bad(NAME, found("has expired: clients refuse it"), ADVICE),
        1..RENEWED_S => Finding::warn(NAME, found(&format!("expires in {days}")), ADVICE),
        RENEWED_S.. => Finding::ok(NAME, found(&format!("is valid for {days}"))),
    }
}

/// The state of an address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A relay can listen on it.
    Free,
    /// This relay listens on it and responds: `rdv` and, if it reports that, its version.
    Served(String),
    /// Another program uses it.
    Taken,
    /// This user has no permission to use it.
    Forbidden,
    /// This machine has no such address.
    Foreign,
    /// Another error.
    Fails(String),
}

/// Checks whether a relay can listen on an address, or already does.
pub fn port(address: SocketAddr, port: &Port) -> Finding {
    const NAME: &str = "listen";
    match port {
        Port::Free => Finding::ok(NAME, format!("{address} is free")),
        Port::Served(relay) => {
            Finding::ok(NAME, format!("{address} is served by {relay}, which answers"))
        }
        Port::Taken => Finding::bad(
            NAME,
            format!("{address} is taken by something that does not answer as rdv"),
            format!(
                "stop that program (ss -ltnp 'sport = :{}' names it), or choose another address",
                address.port()
            ),
        ),
        Port::Forbidden => Finding::bad(
            NAME,
            format!("no permission to listen on {address}"),
            "let systemd listen (rdv.socket), lower net.ipv4.ip_unprivileged_port_start, or choose \
             another address",
        ),
        Port::Foreign => Finding::bad(
            NAME,
            format!("this machine has no address {}", address.ip()),
            "use another address; 0.0.0.0 and [::] mean all addresses",
        ),
        Port::Fails(reason) => {
            Finding::bad(NAME, format!("{address}: {reason}"), "choose another address")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus::{Bad, Ok, Warn};
    use super::super::tests_support::planted;
    use super::*;

    #[test]
    fn congestion_control_is_reported_with_the_choice_of_rdv() {
        let (_root, machine) = planted(&[
            ("proc/sys/net/ipv4/tcp_congestion_control", "bbr"),
            ("proc/sys/net/ipv4/tcp_available_congestion_control", "reno bbr"),
        ]);
        let found = congestion(&machine, "reno", true).found;
        assert_eq!(found, "bbr by default, available: reno bbr; rdv takes reno on loopback");
        assert_eq!(congestion(&machine, "reno", false).verdict, Warn);
    }

    #[test]
    fn larger_segments_are_recommended_where_the_device_permits_them() {
        for (name, sizes, verdict) in [
            ("no interface", &[][..], None),
            ("the device permits no more", &[(65_536, 65_536)], None),
            ("the device permits more", &[(65_536, 65_536), (65_536, 524_280)], Some(Warn)),
            ("larger ones are set", &[(196_608, 524_280)], Some(Ok)),
        ] {
            let link = |&(gso_max_bytes, tso_max_bytes)| Link {
                name: format!("eth{tso_max_bytes}"),
                gso_max_bytes,
                tso_max_bytes,
            };
            let links: Vec<Link> = sizes.iter().map(link).collect();
            let finding = segments(&links);
            assert_eq!(finding.as_ref().map(|finding| finding.verdict), verdict, "{name}");
            if let Some(advice) = finding.and_then(|finding| finding.advice) {
                assert!(advice.contains("dev eth524280 gso_max_size 196608"), "{advice}");
            }
        }
    }

    #[test]
    fn a_certificate_is_renewed_before_it_expires() {
        for (left_s, verdict, found) in [
            (90 * DAY_S, Ok, "valid for 90 days"),
            (14 * DAY_S - 1, Warn, "expires in 13 days"),
            (DAY_S, Warn, "expires in 1 day"),
            (0, Bad, "has expired"),
            (-DAY_S, Bad, "has expired"),
        ] {
            let finding = certificate("relay.example", left_s);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert!(finding.found.contains(found), "{finding:?}");
        }
    }

    #[test]
    fn splicing_must_work_unless_disabled() {
        let refused = SpliceTrial::Fails("filling a pipe", "Operation not permitted".into());
        for (shown, no_splice, verdict) in [
            (SpliceTrial::Works(1 << 20), false, Ok),
            (SpliceTrial::Changes, false, Bad),
            (refused.clone(), false, Bad),
            (refused, true, Ok),
        ] {
            assert_eq!(splicing(&shown, no_splice).verdict, verdict, "{shown:?} {no_splice}");
        }
    }

    #[test]
    fn a_port_is_free_or_served_by_rdv_or_bad() {
        for (found, verdict) in [
            (Port::Free, Ok),
            (Port::Served("rdv 0.1.0".into()), Ok),
            (Port::Taken, Bad),
            (Port::Forbidden, Bad),
            (Port::Foreign, Bad),
            (Port::Fails("odd".into()), Bad),
        ] {
            let finding = port("127.0.0.1:8080".parse().unwrap(), &found);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert_eq!(finding.advice.is_some(), verdict == Bad, "{finding:?}");
        }
    }
}
