//! What the kernel does for sockets, whether splice(2) works between them, and whether the
//! addresses to listen on are free.

use super::machine::Machine;
use super::{Finding, bytes};
use std::net::SocketAddr;

/// Below this a peer far away is held back by the buffers: half of what kernels come with.
const BUFFER_MIN: u64 = 2 << 20;

/// The queue of connections that wait to be accepted.
pub fn backlog(machine: &Machine, wanted: u64) -> Finding {
    const NAME: &str = "somaxconn";
    let Some(most) = machine.number("net/core/somaxconn") else {
        return Finding::ok(NAME, "/proc/sys/net/core/somaxconn tells nothing here");
    };
    let found = format!("{most} connections may wait to be accepted, {wanted} asked for");
    if most >= wanted {
        Finding::ok(NAME, found)
    } else {
        let advice = format!(
            "raise net.core.somaxconn to {wanted}: in a burst of connections those beyond it wait \
             a second or more for TCP to try again"
        );
        Finding::warn(NAME, found, advice)
    }
}

/// Congestion control; `unpaced` is what a relay takes on loopback, and whether it may.
pub fn congestion(machine: &Machine, unpaced: &str, granted: bool) -> Finding {
    const NAME: &str = "congestion";
    let read = |name: &str| machine.sysctl(&format!("net/ipv4/tcp_{name}_congestion_control"));
    let default = machine.sysctl("net/ipv4/tcp_congestion_control").unwrap_or("unknown".into());
    let available = read("available").unwrap_or("unknown".into());
    let found = format!("{default} by default, available: {available}");
    if granted {
        return Finding::ok(NAME, format!("{found}; rdv takes {unpaced} on loopback"));
    }
    Finding::warn(
        NAME,
        format!("{found}; {unpaced} is refused"),
        format!(
            "add {unpaced} to net.ipv4.tcp_allowed_congestion_control: transfers over loopback cost \
             2 to 3 times the CPU if {default} paces"
        ),
    )
}

/// How much may be on its way in one connection.
pub fn buffers(machine: &Machine) -> Finding {
    const NAME: &str = "tcp-buffers";
    let read = |name: &str| machine.three(&format!("net/ipv4/tcp_{name}"));
    let (Some([.., receive]), Some([.., send])) = (read("rmem"), read("wmem")) else {
        return Finding::ok(NAME, "/proc/sys/net/ipv4/tcp_rmem and tcp_wmem tell nothing here");
    };
    // Half of a receive buffer is window (tcp_adv_win_scale, tcp(7)); ten round trips a second.
    let megabytes_a_second = (receive / 2).min(send) * 10 / 1_000_000;
    let found = format!(
        "tcp_rmem up to {}, tcp_wmem up to {}: about {megabytes_a_second} MB/s for a peer 100 ms away",
        bytes(receive),
        bytes(send)
    );
    if receive.min(send) >= BUFFER_MIN {
        return Finding::ok(NAME, found);
    }
    let advice = format!(
        "raise the third number of net.ipv4.tcp_rmem and tcp_wmem to {BUFFER_MIN} or more: they \
         bound the speed of peers far away"
    );
    Finding::warn(NAME, found, advice)
}

/// The table in which a stateful firewall keeps connections; `None` without one.
pub fn tracking(machine: &Machine, connections: usize) -> Option<Finding> {
    const NAME: &str = "conntrack";
    let most = machine.number("net/netfilter/nf_conntrack_max")?;
    let now = machine.number("net/netfilter/nf_conntrack_count").unwrap_or(0);
    let found = format!("the firewall tracks {now} connections of {most}");
    Some(if most.saturating_sub(now) >= connections as u64 {
        Finding::ok(NAME, found)
    } else {
        let advice = format!(
            "raise net.netfilter.nf_conntrack_max to {} or more: beyond it new connections are \
             dropped without a word",
            now + connections as u64
        );
        Finding::warn(NAME, found, advice)
    })
}

/// Whether there is IPv6, and whether somebody wants it.
pub fn ipv6(available: bool, addresses: &[SocketAddr]) -> Finding {
    let wanted = addresses.iter().any(SocketAddr::is_ipv6);
    match (available, wanted) {
        (true, _) => Finding::ok("ipv6", "available"),
        (false, false) => Finding::ok("ipv6", "not available; no --listen asks for it"),
        (false, true) => Finding::bad(
            "ipv6",
            "not available, and a --listen asks for it",
            "set net.ipv6.conf.all.disable_ipv6 to 0, or listen on IPv4 only",
        ),
    }
}

/// What a trial of splice(2) showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Splicing {
    /// So many bytes went from socket to pipe to socket and came out as they went in.
    Works(usize),
    /// They came out changed.
    Changes,
    /// This step failed, for this reason.
    Fails(&'static str, String),
}

/// Whether splice(2) works between sockets.
pub fn splicing(shown: &Splicing, no_splice: bool) -> Finding {
    const NAME: &str = "splice";
    let found = match shown {
        Splicing::Works(count) => {
            let found =
                format!("{} went from socket to pipe to socket unchanged", bytes(*count as u64));
            return Finding::ok(NAME, found);
        }
        Splicing::Changes => "what came out of a pipe is not what went in".into(),
        Splicing::Fails(step, reason) => format!("{step}: {reason}"),
    };
    if no_splice {
        return Finding::ok(NAME, format!("{found}; --no-splice does without it"));
    }
    let advice = "allow splice(2) in the seccomp filter or the sandbox, or use --no-splice";
    Finding::bad(NAME, found, advice)
}

/// How an address to listen on is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Port {
    /// A relay can listen on it.
    Free,
    /// An `rdv` of this version listens on it and answers.
    Served(String),
    /// Something else has it.
    Taken,
    /// This user may not have it.
    Forbidden,
    /// This machine has no such address.
    Foreign,
    /// Something else is wrong.
    Fails(String),
}

/// Whether a relay can listen on an address, or does already; `flag` is the setting that wants it.
pub fn port(flag: &'static str, address: SocketAddr, port: &Port) -> Finding {
    match port {
        Port::Free => Finding::ok(flag, format!("{address} is free")),
        Port::Served(version) => {
            Finding::ok(flag, format!("{address} is served by rdv {version}, which answers"))
        }
        Port::Taken => Finding::bad(
            flag,
            format!("{address} is taken by something that does not answer as rdv"),
            format!(
                "stop it (ss -ltnp 'sport = :{}' names it), or choose another address",
                address.port()
            ),
        ),
        Port::Forbidden => Finding::bad(
            flag,
            format!("this user may not listen on {address}"),
            "let systemd listen (rdv.socket), lower net.ipv4.ip_unprivileged_port_start, or choose \
             another --listen",
        ),
        Port::Foreign => Finding::bad(
            flag,
            format!("this machine has no address {}", address.ip()),
            "choose another address; 0.0.0.0 and [::] stand for all addresses",
        ),
        Port::Fails(reason) => {
            Finding::bad(flag, format!("{address}: {reason}"), "choose another address")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Bad, Ok, Warn};
    use super::super::tests_support::planted;
    use super::*;

    #[test]
    fn the_backlog_is_held_against_what_is_asked_for() {
        for (most, verdict) in [("4096", Ok), ("65535", Ok), ("128", Warn), ("", Ok)] {
            let (_root, machine) = planted(&[("proc/sys/net/core/somaxconn", most)]);
            assert_eq!(backlog(&machine, 4096).verdict, verdict, "{most}");
        }
    }

    #[test]
    fn buffers_bound_the_speed_of_peers_far_away() {
        for (name, receive, send, verdict) in [
            ("as kernels come", "4096 131072 6291456", "4096 16384 4194304", Ok),
            ("little to receive", "4096 131072 212992", "4096 16384 4194304", Warn),
            ("little to send", "4096 131072 6291456", "4096 16384 212992", Warn),
            ("unknown", "", "4096 16384 212992", Ok),
        ] {
            let (_root, machine) = planted(&[
                ("proc/sys/net/ipv4/tcp_rmem", receive),
                ("proc/sys/net/ipv4/tcp_wmem", send),
            ]);
            assert_eq!(buffers(&machine).verdict, verdict, "{name}");
        }
    }

    #[test]
    fn congestion_control_is_named_with_what_rdv_does() {
        let (_root, machine) = planted(&[
            ("proc/sys/net/ipv4/tcp_congestion_control", "bbr"),
            ("proc/sys/net/ipv4/tcp_available_congestion_control", "reno bbr"),
        ]);
        let found = congestion(&machine, "reno", true).found;
        assert_eq!(found, "bbr by default, available: reno bbr; rdv takes reno on loopback");
        assert_eq!(congestion(&machine, "reno", false).verdict, Warn);
    }

    #[test]
    fn a_firewall_may_track_too_few_connections() {
        for (name, most, now, verdict) in [
            ("room", "65536", "100", Some(Ok)),
            ("no room", "65536", "60000", Some(Warn)),
            ("small", "1000", "0", Some(Warn)),
            ("no firewall", "", "", None),
        ] {
            let (_root, machine) = planted(&[
                ("proc/sys/net/netfilter/nf_conntrack_max", most),
                ("proc/sys/net/netfilter/nf_conntrack_count", now),
            ]);
            let found = tracking(&machine, 16_384).map(|finding| finding.verdict);
            assert_eq!(found, verdict, "{name}");
        }
    }

    #[test]
    fn ipv6_matters_to_those_who_want_it() {
        let (four, six) = ("127.0.0.1:80".parse().unwrap(), "[::1]:80".parse().unwrap());
        for (available, address, verdict) in
            [(true, four, Ok), (true, six, Ok), (false, four, Ok), (false, six, Bad)]
        {
            assert_eq!(ipv6(available, &[address]).verdict, verdict, "{available} {address}");
        }
    }

    #[test]
    fn splicing_must_work_unless_nobody_wants_it() {
        let refused = Splicing::Fails("filling a pipe", "Operation not permitted".into());
        for (shown, no_splice, verdict) in [
            (Splicing::Works(1 << 20), false, Ok),
            (Splicing::Changes, false, Bad),
            (refused.clone(), false, Bad),
            (refused, true, Ok),
        ] {
            assert_eq!(splicing(&shown, no_splice).verdict, verdict, "{shown:?} {no_splice}");
        }
    }

    #[test]
    fn a_port_is_free_or_served_or_a_problem() {
        for (found, verdict) in [
            (Port::Free, Ok),
            (Port::Served("0.1.0".into()), Ok),
            (Port::Taken, Bad),
            (Port::Forbidden, Bad),
            (Port::Foreign, Bad),
            (Port::Fails("odd".into()), Bad),
        ] {
            let finding = port("listen", "127.0.0.1:8080".parse().unwrap(), &found);
            assert_eq!(finding.verdict, verdict, "{finding:?}");
            assert_eq!(finding.advice.is_some(), verdict == Bad, "{finding:?}");
        }
    }
}
