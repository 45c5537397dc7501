//! A small file system.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip;

/// A small file system in memory; unmounted when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// With this size in MiB, mounted on this directory; the test is skipped if that is not
    /// permitted.
    pub(crate) fn mount(over: &Path, mib: u32) -> Option<SmallDisk> {
        SmallDisk::mount_with(over, &format!("size={mib}m"))
    }

    /// The same, with these options of tmpfs(5).
    pub(crate) fn mount_with(over: &Path, options: &str) -> Option<SmallDisk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(over);
        let mounted = mount.output().expect("mount");
        if mounted.status.success() {
            return Some(SmallDisk(over.to_owned()));
        }
        skip("small disk", &String::from_utf8_lossy(&mounted.stderr));
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount: a child that exited late can still use it as its directory.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
