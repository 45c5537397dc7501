//! The repository made by `deploy/apt`, read by apt(8) with directories of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::skip;
use tempfile::TempDir;

/// What a command prints; it must succeed.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (text, errors) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(text).expect("UTF-8") + &errors
}

/// A repository, and directories of apt and gpg for this test only.
struct Repository {
    folder: TempDir,
}

impl Repository {
    /// `None` without the tools.
    fn new() -> Option<Repository> {
        for tool in ["apt-ftparchive", "apt-get", "dpkg-deb", "gpg"] {
            if let Err(error) = Command::new(tool).arg("--version").output() {
                skip("apt", &format!("{tool}: {error}"));
                return None;
            }
        }
        let repository = Repository { folder: tempfile::tempdir().expect("a folder") };
        for name in [
            "apt/etc/trusted.gpg.d",
            "apt/state/lists/partial",
            "apt/cache/archives/partial",
            "gpg",
        ] {
            fs::create_dir_all(repository.path(name)).expect("a folder");
        }
        fs::write(repository.path("apt/state/status"), "").expect("a file");
        // gpg refuses a directory that others can read.
        printed(Command::new("chmod").arg("700").arg(repository.path("gpg")));
        Some(repository)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A package with this version and one file.
    fn package(&self, version: &str, architecture: &str) -> PathBuf {
        let tree = self.path(&format!("tree-{version}-{architecture}"));
        fs::create_dir_all(tree.join("DEBIAN")).expect("a folder");
        let control = format!(
            "Package: rdv\nVersion: {version}\nArchitecture: {architecture}\n\
             Maintainer: n <n@example.invalid>\nDescription: test\n"
        );
        fs::write(tree.join("DEBIAN/control"), control).expect("a file");
        fs::write(tree.join("file"), version).expect("a file");
        let package = self.path(&format!("rdv_{version}_{architecture}.deb"));
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", "--build"]).arg(&tree).arg(&package);
        printed(&mut build);
        package
    }

    /// Adds packages to it.
    fn add(&self, flags: &[&str], packages: &[PathBuf]) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/apt");
        let mut command = Command::new(script);
        command.args(flags).arg(self.path("repository")).args(packages);
        printed(command.env("GNUPGHOME", self.path("gpg")))
    }

    /// apt-get with these arguments, in a folder that its downloads go to.
    fn apt(&self, option: &str, arguments: &[&str]) -> Command {
        let repository = self.path("repository");
        let list = format!("deb [{option}] file:{} stable main\n", repository.display());
        fs::write(self.path("apt/etc/sources.list"), list).expect("a file");
        let mut command = Command::new("apt-get");
        let apt = self.path("apt");
        for (name, value) in [
            ("Dir::Etc", apt.join("etc")),
            ("Dir::State", apt.join("state")),
            ("Dir::State::status", apt.join("state/status")),
            ("Dir::Cache", apt.join("cache")),
        ] {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        // Another user could not read this test's folder.
        command.args(["-o", "APT::Sandbox::User=", "-o", "APT::Architecture=amd64"]);
        command.args(arguments).current_dir(self.folder.path().join("apt"));
        command
    }
}

#[test]
fn apt_downloads_the_newest_version_from_an_unsigned_repository_that_is_trusted() {
    let Some(repository) = Repository::new() else { return };
    let said = repository.add(&[], &[repository.package("0.1.0-1", "amd64")]);
    assert!(said.ends_with(": 1 packages for amd64\n"), "{said}");
    let more = ["amd64", "arm64"].map(|architecture| repository.package("0.2.0-1", architecture));
    let said = repository.add(&[], &more);
    assert!(said.ends_with(": 3 packages for amd64 arm64\n"), "{said}");

    let refused = repository.apt("trusted=no", &["update"]).output().expect("apt-get");
    assert!(!refused.status.success(), "an unsigned repository must be trusted explicitly");
    printed(&mut repository.apt("trusted=yes", &["update"]));
    printed(&mut repository.apt("trusted=yes", &["download", "rdv"]));
    let downloaded = fs::read(repository.path("apt/rdv_0.2.0-1_amd64.deb")).expect("the newest");
    assert_eq!(downloaded, fs::read(&more[0]).expect("the package"));
}

#[test]
fn apt_accepts_a_signed_repository_with_its_key_and_notices_a_change() {
    let Some(repository) = Repository::new() else { return };
    let key = "rdv <rdv@example.invalid>";
    let mut gpg = Command::new("gpg");
    gpg.args(["--batch", "--quiet", "--passphrase", "", "--quick-generate-key", key]);
    printed(gpg.env("GNUPGHOME", repository.path("gpg")));
    repository.add(&["--key", key], &[repository.package("0.1.0-1", "amd64")]);
    printed(
        Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", repository.path("gpg")),
    );

    let keys = repository.path("repository/rdv-archive-keyring.gpg");
    let signed = format!("signed-by={}", keys.display());
    printed(&mut repository.apt(&signed, &["update"]));
    printed(&mut repository.apt(&signed, &["download", "rdv"]));
    assert!(repository.path("apt/rdv_0.1.0-1_amd64.deb").exists());

    let release = repository.path("repository/dists/stable/InRelease");
    let changed =
        fs::read_to_string(&release).expect("a file").replace("Origin: rdv", "Origin: dvr");
    fs::write(&release, changed).expect("a file");
    let said = repository.apt(&signed, &["update"]).output().expect("apt-get");
    assert!(String::from_utf8_lossy(&said.stderr).contains("BADSIG"), "{said:?}");
}
