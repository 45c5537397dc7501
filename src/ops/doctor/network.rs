//! The congestion control of sockets, whether splice(2) works between them, and whether the addresses
//! to listen on are free.

use super::machine::Machine;
use super::{Finding, bytes};
use std::net::SocketAddr;

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

/// What a trial of splice(2) showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SpliceTrial {
    /// So many bytes went from socket to pipe to socket and came out as they went in.
    Works(usize),
    /// They came out changed.
    Changes,
    /// This step failed, for this reason.
    Fails(&'static str, String),
}

/// Whether splice(2) works between sockets.
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

/// Whether a relay can listen on an address, or does already.
pub fn port(address: SocketAddr, port: &Port) -> Finding {
    const NAME: &str = "listen";
    match port {
        Port::Free => Finding::ok(NAME, format!("{address} is free")),
        Port::Served(version) => {
            Finding::ok(NAME, format!("{address} is served by rdv {version}, which answers"))
        }
        Port::Taken => Finding::bad(
            NAME,
            format!("{address} is taken by something that does not answer as rdv"),
            format!(
                "stop it (ss -ltnp 'sport = :{}' names it), or choose another address",
                address.port()
            ),
        ),
        Port::Forbidden => Finding::bad(
            NAME,
            format!("no permission to listen on {address}"),
            "let systemd listen (rdv.socket), lower net.ipv4.ip_unprivileged_port_start, or choose \
             another --listen",
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
    fn splicing_must_work_unless_nobody_wants_it() {
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
    fn a_port_is_free_or_served_or_a_problem() {
        for (found, verdict) in [
            (Port::Free, Ok),
            (Port::Served("0.1.0".into()), Ok),
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
