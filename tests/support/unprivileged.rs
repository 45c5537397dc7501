//! The binary as run by an ordinary user.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::Command;

use tempfile::TempDir;

use super::process::interruptible;

/// An unprivileged user and group (65534 on Debian).
fn ids() -> (u32, u32) {
    let users = fs::read_to_string("/etc/passwd").expect("/etc/passwd");
    let line = users.lines().find(|line| line.starts_with("nobody:")).expect("a user nobody");
    let id = |at| line.split(':').nth(at).and_then(|id: &str| id.parse().ok()).expect("an id");
    (id(2), id(3))
}

/// An unprivileged command that runs the binary, and the directory of its copy: the original can be
/// in a directory that is not readable for all users.
pub(crate) fn unprivileged_command() -> (Command, TempDir) {
    let directory = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o755))
        .tempdir()
        .expect("a directory");
    let binary = directory.path().join("rdv");
    // Copied by a separate process: a child forked by another test at the same time would inherit a
    // copy that is open for writing, and such a file cannot be executed (ETXTBSY).
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
