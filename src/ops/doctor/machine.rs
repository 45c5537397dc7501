//! Reads the state of the kernel from `/proc` and `/sys`. A missing file or unexpected content is
//! `None`: another kernel, or a container that hides the file.

use std::fs;
use std::path::PathBuf;

/// The root directory of these files.
#[derive(Clone, Debug)]
pub struct Machine {
    root: PathBuf,
}

impl Machine {
    /// Returns this machine.
    pub fn this() -> Self {
        Self::at("/")
    }

    /// Returns a machine whose files are below `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Returns the trimmed text of a file; the path has no leading slash.
    pub fn text(&self, path: &str) -> Option<String> {
        Some(fs::read_to_string(self.root.join(path)).ok()?.trim().to_owned())
    }

    /// Returns a sysctl, by its path below `/proc/sys/`.
    pub fn sysctl(&self, path: &str) -> Option<String> {
        self.text(&format!("proc/sys/{path}"))
    }

    /// Returns a sysctl with one number.
    pub fn number(&self, path: &str) -> Option<u64> {
        self.sysctl(path)?.parse().ok()
    }

    /// Returns one field of this process's status (`proc_pid_status(5)`).
    pub fn status(&self, field: &str) -> Option<String> {
        let text = self.text("proc/self/status")?;
        let value = |line: &str| Some(line.strip_prefix(field)?.strip_prefix(':')?.trim().into());
        text.lines().find_map(value)
    }

    /// Whether this process may exceed the limits on pipes: `CAP_SYS_RESOURCE` or `CAP_SYS_ADMIN`
    /// (pipe(7)), outside of any user namespace but the first (`user_namespaces(7)`).
    pub fn is_exempt_from_pipe_limits(&self) -> bool {
        const SYS_ADMIN: u32 = 21;
        const SYS_RESOURCE: u32 = 24;
        let held = self.status("CapEff").and_then(|mask| u64::from_str_radix(&mask, 16).ok());
        let first = self.text("proc/self/uid_map").is_none_or(|map| map.ends_with(" 4294967295"));
        first && held.is_some_and(|held| held & (1 << SYS_ADMIN | 1 << SYS_RESOURCE) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::planted;

    #[test]
    fn files_are_read_and_invalid_ones_skipped() {
        let status = "Uid:\t1\t2\t3\t4\nCapEff:\t0000000001000000\nSeccomp:\t2\n";
        let (_root, machine) = planted(&[
            ("proc/sys/net/core/somaxconn", "4096\n"),
            ("proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
            ("proc/self/status", status),
        ]);
        assert_eq!(machine.number("net/core/somaxconn"), Some(4096));
        assert_eq!(machine.number("net/ipv4/tcp_rmem"), None);
        assert_eq!(machine.number("kernel/absent"), None);
        assert_eq!(machine.status("Seccomp").as_deref(), Some("2"));
        assert_eq!(machine.status("Sec"), None);
        assert!(machine.is_exempt_from_pipe_limits());
        let (_root, machine) = planted(&[("proc/self/status", "CapEff:\t0000000000000400\n")]);
        assert!(!machine.is_exempt_from_pipe_limits());
    }

    #[test]
    fn capabilities_in_a_user_namespace_exempt_from_no_limit_on_pipes() {
        let root = ("proc/self/status", "CapEff:\t000001ffffffffff\n");
        for (name, map, exempt) in [
            ("the first namespace", "         0          0 4294967295\n", true),
            ("a container of an ordinary user", "         0     100000      65536\n", false),
        ] {
            let (_root, machine) = planted(&[root, ("proc/self/uid_map", map)]);
            assert_eq!(machine.is_exempt_from_pipe_limits(), exempt, "{name}");
        }
    }
}
