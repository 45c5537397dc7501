//! Conformance to RFC 6455, checked by the Autobahn test suite: its fuzzing client against a server
//! on the codec, and a client on the codec against its fuzzing server. Without the suite, which
//! `tests/agents/autobahn/install` installs, this is skipped with a message.
//!
//! The groups 12 and 13 are skipped: they test compression (RFC 7692), which is not offered.

mod echo;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{Process, eventually};
use rdv::mux::codec::Message;
use serde_json::{Value, json};

/// Cases in which the suite accepts several behaviours, and what this codec does.
const NON_STRICT: [(&str, &str); 2] = [
    ("6.4.3", "text is judged with the end of its frame, not in the middle of it"),
    ("6.4.4", "the same, its bytes one by one"),
];

/// The number of cases in the groups 1 to 7, 9 and 10.
const CASES: usize = 301;

/// The name of this end in the suite.
const AGENT: &str = "rdv";

#[test]
fn the_accepting_end_passes_the_suite() {
    let Some(suite) = suite() else { return };
    let scene = tempfile::tempdir().expect("a directory");
    let url = format!("ws://{}", echo::serve());
    let servers = json!([{ "agent": AGENT, "url": url }]);
    let mut command = Command::new(suite.join("bin/wstest"));
    command.args(["--mode", "fuzzingclient", "--spec"]);
    command.arg(specification(scene.path(), "servers", &servers)).current_dir(scene.path());
    let status = command.stdout(Stdio::null()).status().expect("wstest");
    assert!(status.success(), "{status}");
    judge(scene.path());
}

#[test]
fn the_dialling_end_passes_the_suite() {
    let Some(suite) = suite() else { return };
    let scene = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(suite.join("bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/agents/autobahn/serve.py"));
    // Its port is replaced by that of the listening socket.
    let url = json!("ws://127.0.0.1:1");
    command.arg(specification(scene.path(), "url", &url)).current_dir(scene.path());
    let server = Process::start(command);
    let port = eventually("the fuzzing server listens", || {
        let printed = server.stdout();
        let port = printed.split_once("listening on port ")?.1.split_once('\n')?.0;
        Some(port.parse::<u16>().expect("a port"))
    });
    let server_address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let count = echo::messages_for_target(server_address, "/getCaseCount").expect("an answer");
    assert_eq!(count.first(), Some(&Message::Text(CASES.to_string().into())));
    for case in 1..=CASES {
        // Some cases end without a close frame, or with a reset; the report decides.
        let _ = echo::call(server_address, &format!("/runCase?case={case}&agent={AGENT}"));
    }
    echo::messages_for_target(server_address, &format!("/updateReports?agent={AGENT}"))
        .expect("an answer");
    judge(scene.path());
}

/// Where the suite is installed.
fn suite() -> Option<PathBuf> {
    let here = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/autobahn");
    let suite = std::env::var_os("RDV_AUTOBAHN").map_or_else(here, PathBuf::from).join("suite");
    if suite.join("bin/wstest").exists() {
        return Some(suite);
    }
    println!(
        "skipped: no Autobahn test suite in {}; see tests/agents/autobahn/install",
        suite.display()
    );
    None
}

/// The suite's configuration file, with one member set.
fn specification(directory: &Path, name: &str, value: &Value) -> PathBuf {
    let path = directory.join("specification.json");
    let text = json!({
        "outdir": directory.join("report"),
        "cases": ["*"],
        "exclude-cases": ["12.*", "13.*"],
        "exclude-agent-cases": {},
        name: value,
    });
    fs::write(&path, text.to_string()).expect("a specification");
    path
}

/// Every case passes; those the suite calls non-strict are the known ones.
fn judge(directory: &Path) {
    let text = fs::read_to_string(directory.join("report/index.json")).expect("a report");
    let report: Value = serde_json::from_str(&text).expect("JSON");
    let cases = report[AGENT].as_object().expect("cases");
    assert_eq!(cases.len(), CASES, "every case was run");
    let mut found = BTreeMap::new();
    for (case, verdict) in cases {
        for part in ["behavior", "behaviorClose"] {
            let word = verdict[part].as_str().expect("a verdict");
            if !matches!(word, "OK" | "INFORMATIONAL") {
                found.insert(format!("{case} {part}"), word.to_owned());
            }
        }
    }
    let expected =
        NON_STRICT.iter().map(|(case, _)| (format!("{case} behavior"), "NON-STRICT".to_owned()));
    assert_eq!(found, expected.collect());
}
