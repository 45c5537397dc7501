//! Checks of the kernel's version and the limits on open files.

use super::Finding;
use super::machine::Machine;

/// From this version on, a socket below its `SO_RCVLOWAT` mark does not wake epoll (tcp(7)).
const LOW_WATER_KERNEL: (u32, u32) = (4, 18);

/// With fewer descriptors, a relay can hardly serve any client.
const DESCRIPTORS_MIN: u64 = 64;

/// The limits on open files, and what a relay with these settings needs.
#[derive(Clone, Copy, Debug)]
pub struct Descriptors {
    /// The current limit; a relay raises it to the hard limit itself.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
    /// Descriptors used when all connections, pipes and lingering connections are open.
    pub needed: u64,
    /// The configured maximum of connections.
    pub wanted_connections: usize,
    /// Connections that the hard limit allows.
    pub allowed_connections: usize,
}

/// Checks the kernel's version.
pub fn kernel(machine: &Machine) -> Finding {
    let release = machine.sysctl("kernel/osrelease").unwrap_or_default();
    match version(&release) {
        None => Finding::warn(
            "kernel",
            format!("the version {release:?} is not understood"),
            "rdv is made for Linux 4.18 and later",
        ),
        Some(found) if found < LOW_WATER_KERNEL => Finding::warn(
            "kernel",
            format!("Linux {release} knows no SO_RCVLOWAT that wakes late"),
            "bulk transfers cost more CPU; use Linux 4.18 or later",
        ),
        Some(_) => Finding::ok("kernel", format!("Linux {release} has all that rdv uses")),
    }
}

/// Parses major and minor version: `6.18.44-generic` is 6 and 18.
fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// Checks the limit on open files of this process.
pub fn descriptors(limits: &Descriptors) -> Finding {
    let Descriptors { soft, hard, needed, wanted_connections, allowed_connections } = *limits;
    let raise = format!(
        "set the hard limit to {needed} or more (LimitNOFILE={needed} in a systemd unit, ulimit -Hn \
         in a shell), or ask for less with --max-connections, --max-pipes and --max-lingering"
    );
    let found = format!("hard limit {}, soft {}", count(hard), count(soft));
    if hard < DESCRIPTORS_MIN {
        return Finding::bad("open-files", format!("{found}: too few to serve a client"), raise);
    }
    if allowed_connections < wanted_connections {
        let found = format!(
            "{found}: enough for {allowed_connections} connections of {wanted_connections}"
        );
        return Finding::warn("open-files", found, raise);
    }
    let raised = if soft < hard { "; rdv raises the soft one" } else { "" };
    Finding::ok("open-files", format!("{found}, {needed} needed at most{raised}"))
}

fn count(limit: u64) -> String {
    if limit >= i64::MAX as u64 { "unlimited".into() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::CheckStatus::{Bad, Ok, Warn};
    use super::super::tests_support::planted;
    use super::*;

    #[test]
    fn kernels_are_checked_by_version() {
        for (release, verdict) in [
            ("6.18.44-fc-v595", Ok),
            ("4.18.0", Ok),
            ("10.0-rc1", Ok),
            ("4.17.19", Warn),
            ("3.10.0-1160.el7", Warn),
            ("strange", Warn),
            ("", Warn),
        ] {
            let (_root, machine) = planted(&[("proc/sys/kernel/osrelease", release)]);
            assert_eq!(kernel(&machine).verdict, verdict, "{release}");
        }
    }

    #[test]
    fn descriptor_limits_are_checked_against_the_settings() {
        for (name, soft, hard, allowed_connections, verdict) in [
            ("plenty", 1024, 65_536, 1000, Ok),
            ("unlimited", u64::MAX, u64::MAX, 1000, Ok),
            ("too few for all", 1024, 1024, 608, Warn),
            ("hopeless", 20, 20, 2, Bad),
        ] {
            let limits = Descriptors {
                soft,
                hard,
                needed: 2000,
                wanted_connections: 1000,
                allowed_connections,
            };
            let finding = descriptors(&limits);
            assert_eq!(finding.verdict, verdict, "{name}: {finding:?}");
            let told = finding.advice.is_some_and(|advice| advice.contains("LimitNOFILE=2000"));
            assert_eq!(told, verdict != Ok, "{name}");
        }
    }
}
