//! Adds the git revision to the binary when the package is built from its own repository.

use std::path::Path;
use std::process::Command;

fn main() {
    // Without any line of this kind Cargo runs this again whenever a file of the package changes;
    // with a line that names a missing file, at every build.
    println!("cargo::rerun-if-changed=build.rs");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    println!("cargo::rustc-env=RDV_VERSION={version}");
    // A package that is unpacked inside another repository must not take over its revision.
    if !Path::new(".git").exists() {
        return;
    }
    // In a linked worktree these two are outside of it.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    if let Some(revision) = git(&["show", "-s", "--abbrev=12", "--format=%h", "HEAD"]) {
        println!("cargo::rustc-env=RDV_REVISION={revision}");
        println!("cargo::rustc-env=RDV_VERSION={version} ({revision})");
    }
}

/// What this git command prints, if it succeeds.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = output.status.success().then(|| String::from_utf8(output.stdout).ok())??;
    Some(text.trim().to_owned())
}
