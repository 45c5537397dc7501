//! The package made by Cargo: its contents, and its build outside of a repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("a process");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {printed}");
    output
}

#[test]
fn the_package_contains_the_sources_and_pages_linked_from_the_readme() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(root());
    let output = run(&mut cargo);
    let listed = String::from_utf8(output.stdout).expect("UTF-8");
    let files: BTreeSet<&str> = listed.lines().collect();
    for name in ["build.rs", "src/lib.rs", "src/main.rs", "LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(files.contains(name), "{name} is packaged");
    }
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    // The fuzz targets are a separate package.
    let ours =
        |link: &&str| !link.is_empty() && !link.contains("://") && !link.starts_with("fuzz/");
    for link in links.filter(ours) {
        assert!(files.contains(link.trim_end_matches('/')), "{link} is packaged");
    }
    let tops: BTreeSet<&str> = files.iter().filter_map(|file| file.split('/').next()).collect();
    for name in ["clippy.toml", "deny.toml", "rustfmt.toml", ".gitignore", ".ci"] {
        assert!(!tops.contains(name), "{name} is not packaged");
    }
    let strays = ["tests", "benches", "fuzz"].map(|top| {
        files.iter().filter(|file| file.starts_with(top) && file.ends_with("main.rs")).count()
    });
    assert_eq!(strays, [0; 3], "no tests, no benchmarks, no fuzz targets");
}

/// A package with only this build script, as unpacked: without a repository.
fn unpacked(directory: &Path) {
    fs::create_dir(directory).expect("a directory");
    let own = fs::read_to_string(root().join("Cargo.toml")).expect("a manifest");
    let (_, needed) = own.split_once("[build-dependencies]").expect("the build script has some");
    let (needed, _) = needed.split_once("\n[").expect("another section");
    let manifest = format!(
        "[package]\nname = \"unpacked\"\nedition = \"2024\"\n[workspace]\n\
         [build-dependencies]{needed}\n"
    );
    fs::write(directory.join("Cargo.toml"), manifest).expect("a manifest");
    fs::copy(root().join("build.rs"), directory.join("build.rs")).expect("the build script");
    fs::create_dir_all(directory.join("src/web")).expect("a directory");
    let source =
        "fn main() { print!(\"{}\", option_env!(\"RDV_REVISION\").unwrap_or_default()) }\n";
    fs::write(directory.join("src/main.rs"), source).expect("a source");
}

fn git(directory: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=n", "-c", "user.email=n@example.invalid"];
    run(Command::new("git").args(identity).args(arguments).current_dir(directory));
}

/// Builds it; returns whether it was up to date.
fn is_fresh(directory: &Path) -> bool {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "-v", "--offline"]).current_dir(directory);
    cargo.env("CARGO_TARGET_DIR", directory.join("target")).env_remove("RDV_REVISION");
    let printed = run(&mut cargo).stderr;
    !String::from_utf8_lossy(&printed).contains("Running")
}

fn revision(directory: &Path) -> String {
    let output = run(&mut Command::new(directory.join("target/debug/unpacked")));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn a_second_build_outside_a_repository_is_fresh() {
    let outer = tempfile::tempdir().expect("a directory");
    let package = outer.path().join("package");
    unpacked(&package);
    assert!(!is_fresh(&package), "the first build");
    assert!(is_fresh(&package), "the second build");
    assert_eq!(revision(&package), "");
}

#[test]
fn the_revision_follows_only_its_own_repository() {
    let outer = tempfile::tempdir().expect("a directory");
    git(outer.path(), &["init", "-q"]);
    git(outer.path(), &["commit", "-q", "--allow-empty", "-m", "outer"]);
    let package = outer.path().join("package");
    unpacked(&package);
    is_fresh(&package);
    assert_eq!(revision(&package), "", "another repository around it");

    git(&package, &["init", "-q"]);
    git(&package, &["commit", "-q", "--allow-empty", "-m", "first"]);
    fs::remove_dir_all(package.join("target")).expect("removed");
    is_fresh(&package);
    let first = revision(&package);
    assert_eq!(first.len(), 12, "{first:?}");
    assert!(is_fresh(&package));
    git(&package, &["commit", "-q", "--allow-empty", "-m", "second"]);
    assert!(!is_fresh(&package), "a commit builds it again");
    assert_ne!(revision(&package), first);
}
