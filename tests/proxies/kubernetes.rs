//! The files in `deploy/kubernetes/`: valid, and consistent with the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Process, Relay, installation};

const FILES: [&str; 2] = ["rdv.yaml", "ingress-nginx.yaml"];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).expect(name)
}

/// What follows this in the file, up to a character that ends a value.
fn value<'t>(text: &'t str, before: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("{before:?} in the file"));
    rest.split(['\n', ',', '}']).next().unwrap_or_default().trim()
}

fn validate(file: &Path, folder: &Path) -> bool {
    let mut command = Command::new(folder.join("bin/kubernetes-validate"));
    let output = command.arg("--strict").arg(file).output().expect("kubernetes-validate");
    println!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output.status.success()
}

#[test]
fn the_files_are_valid_by_the_schemas() {
    let Some(folder) = installation("proxies") else { return };
    for name in FILES {
        assert!(validate(&path(name), &folder), "{name}");
        // The check refuses what it does not know.
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join(name);
        fs::write(&file, text(name).replacen("spec:", "specs:", 1)).expect("a file");
        assert!(!validate(&file, &folder), "{name}, misspelt");
    }
}

#[test]
fn a_pod_is_killed_only_after_its_relay_has_drained() {
    let text = text("rdv.yaml");
    let number =
        |before: &str| -> u64 { value(&text, before).trim_end_matches('s').parse().expect(before) };
    let grace = number("terminationGracePeriodSeconds:");
    let (sleep, drain) = (number("sleep: {seconds:"), number("--drain-timeout="));
    // `linger-timeout` is 2 s.
    assert!(grace > sleep + drain + 2, "{grace} > {sleep} + {drain} + 2");
}

#[test]
fn flags_exist_and_probes_are_answered() {
    let text = text("rdv.yaml");
    let (_, arguments) = text.split_once("- serve\n").expect("arguments");
    let (arguments, _) = arguments.split_once("ports:").expect("ports");
    let flags = arguments.lines().filter_map(|line| line.trim().strip_prefix("- "));
    let help = Process::rdv(&["serve", "--help"]).finish().stdout;
    for flag in flags {
        let (name, _) = flag.split_once('=').expect("--NAME=VALUE");
        assert!(help.contains(&format!("{name} ")), "{name}");
    }
    let relay = Relay::start(&[]);
    for probe in ["readinessProbe", "livenessProbe"] {
        let (_, rest) = text.split_once(probe).expect(probe);
        let target = value(rest, "path:");
        assert_eq!(relay.admin_get(target).status(), 200, "{probe}: {target}");
    }
}
