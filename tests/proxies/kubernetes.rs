//! The files in `deploy/kubernetes/`: valid, and consistent with the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{Process, Relay, installation};

const FILES: [&str; 4] =
    ["rdv.yaml", "nodes.yaml", "ingress-nginx.yaml", "ingress-nginx-nodes.yaml"];

/// Those with pods.
const PODS: [&str; 2] = ["rdv.yaml", "nodes.yaml"];

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
    for text in PODS.map(text) {
        let number = |before: &str| -> u64 {
            value(&text, before).trim_end_matches('s').parse().expect(before)
        };
        let grace = number("terminationGracePeriodSeconds:");
        let (sleep, drain) = (number("sleep: {seconds:"), number("--drain-timeout="));
        // `linger-timeout` is 2 s.
        assert!(grace > sleep + drain + 2, "{grace} > {sleep} + {drain} + 2");
    }
}

#[test]
fn each_pod_has_the_number_of_its_node_and_a_route() {
    let (pods, ingress) = (text("nodes.yaml"), text("ingress-nginx-nodes.yaml"));
    let field = value(&pods, "fieldRef: {fieldPath: \"metadata.labels['").trim_end_matches("']\"");
    let replicas: usize = value(&pods, "replicas:").parse().expect("a number");
    for node in 0..replicas {
        assert!(pods.contains(&format!("{field}: \"{node}\"")), "a service for {node}");
        let service = format!("rdv-{node}");
        assert!(pods.contains(&format!("name: {service}\n")), "{service}");
        // As an identifier begins.
        let path = format!("/{node:04x}[0-9a-f]{{4}}-[0-9a-f]{{4}}-8\n");
        let (_, route) = ingress.split_once(&path).unwrap_or_else(|| panic!("{path}"));
        assert_eq!(value(route, "service: {name:"), service);
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.arg("print-config").env(value(&pods, "env:\n            - name:"), "2");
    let printed = Process::start(command).finish().stdout;
    assert!(printed.contains("\nnode-id = 2"), "{printed}");
}

#[test]
fn flags_exist_and_probes_are_answered() {
    for text in PODS.map(text) {
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
}
