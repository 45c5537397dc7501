//! What this process may do, and what a container or a service manager leaves of the machine.

use super::Finding;
use super::machine::Machine;

/// Files that container engines leave.
const CONTAINER_MARKS: [&str; 4] =
    [".dockerenv", "run/.containerenv", "run/systemd/container", "var/run/secrets/kubernetes.io"];

/// Whose rights these are.
pub fn user(machine: &Machine) -> Finding {
    let ids = machine.status("Uid").unwrap_or_default();
    match ids.split_whitespace().nth(1) {
        None => Finding::ok("user", "/proc/self/status does not tell"),
        Some("0") => Finding::warn(
            "user",
            "root, whom the limits on pipes do not bind",
            "run doctor as the user the relay runs as, and the relay not as root: it needs no \
             privilege",
        ),
        Some(id) => Finding::ok("user", format!("user {id}, without need for privileges")),
    }
}

/// What surrounds this process; information, because the other checks show what it breaks.
pub fn sandbox(machine: &Machine) -> Finding {
    let container = is_container(machine);
    let filter = machine.status("Seccomp").is_some_and(|mode| mode != "0");
    let sealed = machine.status("NoNewPrivs").is_some_and(|set| set == "1");
    Finding::ok(
        "sandbox",
        format!(
            "{}, {}, no_new_privs {}",
            if container { "in a container" } else { "no container seen" },
            if filter { "a seccomp filter in force" } else { "no seccomp filter" },
            if sealed { "set" } else { "not set" },
        ),
    )
}

pub(super) fn is_container(machine: &Machine) -> bool {
    CONTAINER_MARKS.iter().any(|mark| machine.has(mark))
}

/// The CPU time this process may have; `cpus` is how many it may run on.
pub fn cpu(machine: &Machine, cpus: usize) -> Finding {
    let found = format!("may run on {cpus}; rdv uses one");
    match quota(machine) {
        None => Finding::ok("cpu", format!("{found}; no quota")),
        Some(Quota { allowed_us, period_us }) if allowed_us >= period_us => {
            Finding::ok("cpu", format!("{found}; quota {}", share(allowed_us, period_us)))
        }
        Some(Quota { allowed_us, period_us }) => Finding::warn(
            "cpu",
            format!("{found}; quota {}", share(allowed_us, period_us)),
            format!(
                "give it one CPU: with less, every transfer stands still for up to {} ms of each \
                 {} ms under load (CPUQuota= of systemd, limits.cpu of Kubernetes, docker --cpus)",
                (period_us - allowed_us) / 1000,
                period_us / 1000
            ),
        ),
    }
}

fn share(allowed_us: u64, period_us: u64) -> String {
    format!("{} % of one", allowed_us * 100 / period_us.max(1))
}

/// CPU time in each period (cgroups(7)).
#[derive(Clone, Copy)]
struct Quota {
    allowed_us: u64,
    period_us: u64,
}

/// The tightest quota of this process's control group and those above it.
fn quota(machine: &Machine) -> Option<Quota> {
    let groups = machine.text("proc/self/cgroup")?;
    let mut tightest: Option<Quota> = None;
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
        let read: fn(&Machine, &str) -> Option<Quota> = match controllers {
            "" => version_2,
            some if some.split(',').any(|name| name == "cpu") => version_1,
            _ => continue,
        };
        for group in ancestry(path) {
            let tighter = |quota: &Quota| {
                tightest.is_none_or(|least| {
                    quota.allowed_us * least.period_us < least.allowed_us * quota.period_us
                })
            };
            if let Some(quota) = read(machine, group).filter(tighter) {
                tightest = Some(quota);
            }
        }
    }
    tightest
}

/// `/a/b`, `/a` and the root, each without the trailing slash.
fn ancestry(path: &str) -> impl Iterator<Item = &str> {
    let path = path.trim_end_matches('/');
    std::iter::successors(Some(path), |path| path.rfind('/').map(|end| &path[..end]))
}

fn version_2(machine: &Machine, group: &str) -> Option<Quota> {
    let text = machine.text(&format!("sys/fs/cgroup{group}/cpu.max"))?;
    let (allowed, period) = text.split_once(' ')?;
    Some(Quota { allowed_us: allowed.parse().ok()?, period_us: period.parse().ok()? })
}

fn version_1(machine: &Machine, group: &str) -> Option<Quota> {
    let read = |name| machine.text(&format!("sys/fs/cgroup/cpu{group}/cpu.cfs_{name}_us"));
    // Without a quota this is -1, which is no u64.
    Some(Quota {
        allowed_us: read("quota")?.parse().ok()?,
        period_us: read("period")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Ok, Warn};
    use super::super::tests_support::planted;
    use super::*;

    #[test]
    fn quotas_are_found_wherever_they_are_set() {
        const V1: &str = "3:cpu,cpuacct:/a\n0::/";
        for (name, groups, path, text, verdict) in [
            ("none", "0::/a/b", "sys/fs/cgroup/a/b/cpu.max", "max 100000", Ok),
            ("two CPUs", "0::/a/b", "sys/fs/cgroup/a/b/cpu.max", "200000 100000", Ok),
            ("half a CPU", "0::/a/b", "sys/fs/cgroup/a/b/cpu.max", "50000 100000", Warn),
            ("of the parent", "0::/a/b", "sys/fs/cgroup/a/cpu.max", "50000 100000", Warn),
            ("of a namespace", "0::/", "sys/fs/cgroup/cpu.max", "50000 100000", Warn),
            ("version 1", V1, "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "50000", Warn),
            ("version 1, none", V1, "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us", "-1", Ok),
        ] {
            let (_root, machine) = planted(&[
                ("proc/self/cgroup", groups),
                (path, text),
                ("sys/fs/cgroup/cpu/a/cpu.cfs_period_us", "100000"),
            ]);
            let finding = cpu(&machine, 2);
            assert_eq!(finding.verdict, verdict, "{name}: {finding:?}");
        }
        assert_eq!(cpu(&Machine::at("/nowhere"), 2).verdict, Ok);
    }

    #[test]
    fn root_is_told_that_it_is_root() {
        for (status, verdict) in
            [("Uid:\t0\t0\t0\t0", Warn), ("Uid:\t0\t65534\t0\t0", Ok), ("", Ok)]
        {
            let (_root, machine) = planted(&[("proc/self/status", status)]);
            assert_eq!(user(&machine).verdict, verdict, "{status}");
        }
    }

    #[test]
    fn what_surrounds_it_is_named() {
        let status = "NoNewPrivs:\t1\nSeccomp:\t2\n";
        let (_root, machine) = planted(&[("proc/self/status", status), (".dockerenv", "")]);
        let found = sandbox(&machine).found;
        assert_eq!(found, "in a container, a seccomp filter in force, no_new_privs set");
        let found = sandbox(&Machine::at("/nowhere")).found;
        assert_eq!(found, "no container seen, no seccomp filter, no_new_privs not set");
    }
}
