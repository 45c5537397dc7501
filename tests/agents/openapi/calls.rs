//! Clients that only know the description: a tester, and a generated client.

use std::fs;
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

use crate::openapi::setup::{Installed, Service, expose, installed, sibling_file};
use crate::support::{Relay, parse};

/// Runs it to completion; it must succeed.
fn run(mut command: Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = [&output.stdout[..], &output.stderr].concat();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&printed));
    output
}

/// The result of Schemathesis: operations tested, failures, and errors.
fn verdict(installed: &Installed, description: &str, more: &[&str]) -> Value {
    let scene = tempfile::tempdir().expect("a directory");
    // The same examples in each run; the framework's Allow names one method of several.
    let always = "--no-color run --generation-deterministic --max-examples 10 \
                  --exclude-checks allow_header_conformance --warnings off \
                  --continue-on-failure --report json --report-json-path report.json";
    let always: Vec<_> = always.split_whitespace().chain([description]).collect();
    let mut command = installed.command("schemathesis", &[&always, more].concat());
    let output = command.current_dir(scene.path()).output().expect("schemathesis");
    let printed = String::from_utf8_lossy(&output.stdout);
    let report = fs::read(scene.path().join("report.json"));
    let report = parse(&report.unwrap_or_else(|error| panic!("{error}: {printed}")));
    assert_eq!(report["complete"], true, "{printed}");
    let generated = report["test_cases"]["generated"].as_u64();
    assert!(generated.is_some_and(|count| count > 100), "{printed}");
    assert_eq!(output.status.code(), Some(0), "{printed}");
    json!({
        "operations": report["operations"],
        "failures": report["failures"],
        "errors": report["errors"],
    })
}

#[test]
fn an_api_tester_gets_the_same_results_with_and_without_the_relay() {
    let Some(installed) = installed() else { return };
    let directly = || {
        let service = Service::start(&installed);
        let to = ["--url", &service.url("")];
        verdict(&installed, &service.url("/openapi.json"), &to)
    };
    // It uses the `servers` of the description.
    let relayed = || {
        let (service, relay) = (Service::start(&installed), Relay::start(&[]));
        let _agent = expose(&service, &relay, &[]);
        verdict(&installed, &relay.url("/api/store/openapi.json"), &[])
    };
    let (directly, relayed) = thread::scope(|scope| {
        let directly = scope.spawn(directly);
        let relayed = relayed();
        (directly.join().expect("a verdict"), relayed)
    });
    assert_eq!(directly, relayed);
    assert_eq!(directly["operations"]["tested"], 10);
    assert_eq!((&directly["failures"], &directly["errors"]), (&json!([]), &json!([])));
}

#[test]
fn a_generated_client_calls_every_operation() {
    let Some(installed) = installed() else { return };
    let service = Service::start(&installed);
    let generated = tempfile::tempdir().expect("a directory");
    let folder = generated.path().to_str().expect("UTF-8");
    let package = format!("{folder}/store");
    for tunnels in ["0", "4"] {
        let relay = Relay::start(&[]);
        let _agent = expose(&service, &relay, &["--tunnels", tunnels]);
        let description = relay.url("/api/store/openapi.json");
        if !generated.path().join("store").exists() {
            let flags = ["--url", &description, "--meta", "none", "--output-path", &package];
            let flags = [&["generate"], &flags[..]].concat();
            run(installed.command("openapi-python-client", &flags));
        }
        let calls = sibling_file("calls.py");
        let printed = run(installed.command("python", &["-B", &calls, folder, &description]));
        assert_eq!(printed.stdout, b"all calls are as expected\n", "{tunnels}");
    }
}

#[test]
fn redirects_stay_on_the_relay_with_the_host_of_the_client() {
    let Some(installed) = installed() else { return };
    let (service, relay) = (Service::start(&installed), Relay::start(&[]));
    let _agent = expose(&service, &relay, &["--host", "client"]);
    // The framework redirects requests with an extra slash.
    let moved = relay.get("/api/store/articles/");
    assert_eq!(moved.status(), 307);
    let there = moved.head.get("Location").expect("a Location");
    assert_eq!(there, "/api/store/articles", "the host is that of the request");
    assert_eq!(relay.get(there).status(), 200);
}
