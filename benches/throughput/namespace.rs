//! A network namespace with another congestion control: the sysctl holds for every socket in it,
//! those of programs without such a setting included.

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::BoxError;

/// What the kernel accepts as the default of a namespace.
const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// Sets up the namespace, then starts a program in it.
const SCRIPT: &str = "ip link set lo up \
    && echo \"$0\" > /proc/sys/net/ipv4/tcp_congestion_control && exec \"$@\"";

/// Replaces this process by one of the same program and arguments in such a namespace; returns only
/// if that fails.
pub(crate) fn run_again(congestion_control: &str) -> BoxError {
    if !nix::unistd::geteuid().is_root() {
        return "--congestion needs root, for a network namespace".into();
    }
    let allowed = fs::read_to_string(ALLOWED).unwrap_or_default();
    let allowed = allowed.trim();
    if !allowed.split(' ').any(|name| name == congestion_control) {
        return format!(
            "a network namespace cannot have {congestion_control} as its congestion control; to allow \
             it: modprobe tcp_{congestion_control}; sysctl -w \
             net.ipv4.tcp_allowed_congestion_control='{allowed} {congestion_control}'"
        )
        .into();
    }
    let mut arguments = env::args_os();
    let program = arguments.next().unwrap_or_default();
    Command::new("unshare")
        .args(["--net", "sh", "-c", SCRIPT, congestion_control])
        .arg(program)
        .args(arguments)
        .exec()
        .into()
}
