//! Access for senders, by a token.

use std::process::Command;

use crate::source::process::{SourceProcess, post, source_command};
use crate::support::{Process, ask, assert_error};

/// Values of `Authorization`, and whether they contain the token `secret`.
const BROUGHT: [(&str, &[&str], bool); 10] = [
    ("right", &["Bearer secret"], true),
    ("a scheme in another case", &["bEARER secret"], true),
    ("none", &[], false),
    ("wrong", &["Bearer secreT"], false),
    ("longer", &["Bearer secret2"], false),
    ("shorter", &["Bearer secre"], false),
    ("empty", &["Bearer "], false),
    ("of another scheme", &["Basic secret"], false),
    ("twice", &["Bearer secret", "Bearer secret"], false),
    ("right and wrong", &["Bearer secret", "Bearer no"], false),
];

fn assert_guarded(what: &str, source: SourceProcess) {
    for (name, values, good) in BROUGHT {
        let mut request = post("x");
        for value in values {
            request = request.field("Authorization", value);
        }
        let answer = source.exchange(&request);
        if good {
            assert_eq!(answer.status(), 201, "{what}: {name}");
        } else {
            assert_error(&format!("{what}: {name}"), &answer, (401, "UnauthorizedError", None));
            assert_eq!(answer.head.get("WWW-Authenticate"), Some("Bearer"), "{what}: {name}");
        }
    }
    let finished = source.end();
    assert_eq!(finished.stdout.lines().count(), 2, "{what}");
    assert!(!finished.stdout.contains("secret") && !finished.stderr.contains("secret"), "{what}");
}

#[test]
fn a_token_from_any_setting_is_required() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "secret\nanother line\n").expect("a file");
    let path = file.path().to_str().expect("text");
    assert_guarded("a flag", SourceProcess::start(&["--auth-token", "secret"]));
    assert_guarded("a file", SourceProcess::start(&["--auth-token-file", path]));
    let mut command: Command = source_command(&[]);
    command.env("RDV_SOURCE_TOKEN", "secret");
    assert_guarded("the environment", SourceProcess::of(Process::start(command)));
}

#[test]
fn a_sender_without_a_token_is_refused_before_its_body() {
    let source = SourceProcess::start(&["--auth-token", "secret"]);
    let answer = source.exchange(&ask("POST", "/").length(1 << 20));
    assert_eq!(answer.status(), 401, "before the body is sent");
}
