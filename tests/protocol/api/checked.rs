//! Tools that check the document, and the relay against it.

use std::fs;
use std::process::Command;
use std::thread;

use super::{file, run, write_documents};
use crate::support::{Relay, eventually, installation, parse};

/// The operations that wait for another side, or for the end of a stream.
const WAITING: &[&str] = &["--exclude-operation-id-regex", "^(upload|download|follow)"];
/// All but the sequences of requests, in which most streams would expire.
const SINGLE: &[&str] = &["--phases", "examples,coverage,fuzzing"];

/// Runs Schemathesis against a listener; it must find nothing.
fn check(url: &str, flags: &[&[&str]]) {
    let Some(installed) = installation("agents/openapi") else { return };
    let scene = tempfile::tempdir().expect("a directory");
    let config = file("schemathesis.toml");
    let mut command = Command::new(installed.join("bin/schemathesis"));
    command.arg("--config-file").arg(config).args(["--no-color", "run", "--warnings", "off"]);
    command.args("--continue-on-failure --request-timeout 30 --report json".split(' '));
    command.args(["--report-json-path", "report.json"]).args(flags.concat());
    command.arg(format!("{url}/openapi.json")).current_dir(scene.path());
    let printed = run(&mut command);
    let report = fs::read(scene.path().join("report.json")).expect("a report");
    let generated = parse(&report)["test_cases"]["generated"].as_u64();
    assert!(generated.is_some_and(|count| count > 10), "{printed}");
}

/// Returns a relay whose lists are public, with this waiting time.
fn start(ttl: &str) -> Relay {
    let flags = ["--paths", "--trusted", "127.0.0.0/8", "--ttl", ttl, "--max-ttl", ttl];
    Relay::start(&flags)
}

#[test]
fn each_operation_is_as_described() {
    thread::scope(|scope| {
        for seed in ["1", "2"] {
            let flags = ["--seed", seed, "--max-examples", "3", "--exclude-path-regex", "^/p/"];
            scope.spawn(move || check(&start("1s").url(""), &[SINGLE, &flags]));
        }
    });
}

#[test]
fn paths_are_as_described() {
    // Most of these requests wait, so each method has a relay to itself.
    thread::scope(|scope| {
        for method in ["GET", "PUT", "POST"] {
            let flags = ["--seed", "1", "--max-examples", "1", "--include-method", method];
            let paths = ["--include-path-regex", "^/p/"];
            scope.spawn(move || check(&start("1s").url(""), &[SINGLE, &flags, &paths]));
        }
    });
}

#[test]
fn sequences_of_requests_are_as_described() {
    let relay = start("60s");
    let flags = ["--seed", "1", "--max-examples", "20", "--phases", "stateful"];
    check(&relay.url(""), &[WAITING, &flags]);
}

#[test]
fn the_admin_listener_is_as_described() {
    let relay = Relay::start(&["--admin-listen", "127.0.0.1:0"]);
    let address = eventually("operators are served", || {
        let stdout = relay.process().stdout();
        Some(stdout.split_once("operators are served on ")?.1.lines().next()?.to_owned())
    });
    let flags = "--seed 1 --max-examples 3 --exclude-operation-id-regex ^(stop|suspend|follow)";
    let flags: Vec<_> = flags.split(' ').collect();
    check(&format!("http://{address}"), &[&flags]);
}

#[test]
fn the_document_is_valid_openapi() {
    let scene = tempfile::tempdir().expect("a directory");
    let documents = write_documents(scene.path());
    if let Some(python) = installation("agents/openapi") {
        for document in &documents {
            run(Command::new(python.join("bin/openapi-spec-validator")).arg(document));
        }
    }
    if let Some(node) = installation("protocol/api") {
        let mut command = Command::new(node.join("node_modules/.bin/redocly"));
        command.arg("lint").args(&documents).env("REDOCLY_TELEMETRY", "off");
        // It would ask the registry for a newer version.
        command.env("REDOCLY_SUPPRESS_UPDATE_NOTICE", "true").current_dir(scene.path());
        let printed = run(&mut command);
        assert!(printed.contains("valid"), "{printed}");
    }
}
