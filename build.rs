//! Tells the binary which git revision it was built from and when that was made, where that is known.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=.git/HEAD");
    println!("cargo::rerun-if-changed=.git/logs/HEAD");
    for (name, format) in [("RDV_REVISION", "--format=%h"), ("RDV_REVISION_TIME", "--format=%ct")] {
        let git = Command::new("git").args(["show", "-s", "--abbrev=12", format, "HEAD"]).output();
        if let Some(output) = git.ok().filter(|output| output.status.success())
            && let Ok(value) = String::from_utf8(output.stdout)
        {
            println!("cargo::rustc-env={name}={}", value.trim());
        }
    }
}
