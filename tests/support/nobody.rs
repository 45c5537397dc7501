//! The binary as an ordinary user runs it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tempfile::TempDir;

use super::process::interruptible;

/// The user and group of `nobody`.
fn ids() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = users.lines().find(|line| line.starts_with("nobody:")).expect("a user nobody");
    let id = |at| line.split(':').nth(at).and_then(|id: &str| id.parse().ok()).expect("an id");
    (id(2), id(3))
}

/// A command that runs the binary without privileges, and the directory its copy lies in: the
/// original may be where nobody may look.
pub(crate) fn unprivileged_command() -> (Command, TempDir) {
    let directory = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .expect("a directory");
    let binary = directory.path().join("rdv");
    // Copied by a process of its own: one forked by another test meanwhile would inherit a copy that
    // is open for writing, and such a file can't be run (ETXTBSY).
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_rdv")).arg(&binary).status();
    assert!(copied.expect("cp").success(), "a copy of the binary");
    fs::set_permissions(&binary, Permissions::from_mode(0o755)).expect("permissions");
    let mut command = interruptible(Command::new(binary));
    command.current_dir("/");
    if fs::metadata("/proc/self").expect("/proc").uid() == 0 {
        let (user, group) = ids();
        command.uid(user).gid(group);
    }
    (command, directory)
}
