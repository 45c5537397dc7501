//! Tells the binary which git revision it was built from, where that is known.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/logs/HEAD");
    let git = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output();
    if let Some(output) = git.ok().filter(|output| output.status.success())
        && let Ok(revision) = String::from_utf8(output.stdout)
    {
        println!("cargo::rustc-env=RDV_REVISION={}", revision.trim());
    }
}
