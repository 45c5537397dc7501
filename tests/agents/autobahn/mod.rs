//! Conformance to RFC 6455, checked by the cases of the Autobahn test suite: its fuzzing client
//! against a server on the codec, and a client on the codec against its fuzzing server. The suite
//! itself needs Python 2.7; kosoku runs its cases on Python 3. Skipped without it
//! (`tests/agents/autobahn/install`).
//!
//! The groups 12 and 13 are excluded: they test compression (RFC 7692), which is not offered.

mod echo;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::support::{Process, eventually, installation};
use rdv::mux::codec::Message;

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
    let Some(mut suite) = suite() else { return };
    let url = format!("ws://{}", echo::serve());
    let finished = suite.args(["client", &url]).stderr(Stdio::inherit()).output().expect("Python");
    judge(&String::from_utf8_lossy(&finished.stdout));
}

#[test]
fn the_dialling_end_passes_the_suite() {
    let Some(mut suite) = suite() else { return };
    suite.arg("server");
    let server = Process::start(suite);
    let address: SocketAddr = eventually("the fuzzing server listens", || {
        Some(server.stdout().split_once('\n')?.0.parse().expect("an address"))
    });
    let count = echo::messages_for_target(address, "/getCaseCount").expect("an answer");
    assert_eq!(count.first(), Some(&Message::Text(CASES.to_string().into())));
    for case in 1..=CASES {
        // Some cases end without a close frame, or with a reset; the suite judges that.
        let _ = echo::call(address, &format!("/runCase?case={case}&agent={AGENT}"));
    }
    echo::messages_for_target(address, &format!("/updateReports?agent={AGENT}"))
        .expect("an answer");
    let finished = server.finish();
    judge(finished.stdout.split_once('\n').expect("verdicts").1);
}

/// The command that runs the suite, without its arguments; the test is skipped without it.
fn suite() -> Option<Command> {
    let mut command = Command::new(installation("agents/autobahn")?.join("bin/python"));
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/agents/autobahn/suite.py"));
    Some(command)
}

/// Every case passes; those the suite calls non-strict are the known ones.
fn judge(printed: &str) {
    let verdicts: BTreeMap<String, [String; 2]> = serde_json::from_str(printed).expect("verdicts");
    let passes = |verdict: &String| matches!(verdict.as_str(), "OK" | "INFORMATIONAL");
    let found: Vec<_> =
        verdicts.iter().filter(|(_, verdict)| !verdict.iter().all(passes)).collect();
    let non_strict = ["NON-STRICT", "OK"].map(str::to_owned);
    let expected = NON_STRICT.map(|(case, _)| (case.to_owned(), non_strict.clone()));
    assert_eq!(found, expected.iter().map(|(case, verdict)| (case, verdict)).collect::<Vec<_>>());
    assert_eq!(verdicts.len(), CASES, "every case was run");
}
