//! A small file system.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A small file system in memory; unmounted when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// With this size in MiB, mounted on this directory; `None`, with a printed reason, if that is
    /// not permitted.
    pub(crate) fn mount(over: &Path, mib: u32) -> Option<SmallDisk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={mib}m"), "none"]).arg(over);
        let mounted = mount.output().expect("mount");
        if mounted.status.success() {
            return Some(SmallDisk(over.to_owned()));
        }
        println!("not checked: {}", String::from_utf8_lossy(&mounted.stderr));
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount: a child that exited late can still use it as its directory.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
