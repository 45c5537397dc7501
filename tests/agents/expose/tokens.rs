//! Tokens: a relay that requires them, and the commands that send them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::expose::command::{echo, end, url};
use crate::expose::server::Server;
use crate::support::{Process, Relay, TokenFile, ask, eventually};

const BILLING: &str = "billing-0123456789abcdef";
const ANY: &str = "any-0123456789abcdef-any";

/// A relay that requires tokens of agents, with an API for them, and the directory of the token
/// files.
struct Guarded {
    api: Server,
    relay: Relay,
    directory: tempfile::TempDir,
}

impl Guarded {
    fn new() -> Guarded {
        let directory = tempfile::tempdir().expect("a directory");
        let tokens =
            TokenFile::new(&[("billing", "agent:billing", BILLING), ("any", "agent", ANY)]);
        let api = echo();
        let address = api.address().to_string();
        let relay = Relay::start(&["--tokens", tokens.path(), "--socket-api", &address]);
        Guarded { api, relay, directory }
    }

    fn file(&self, token: &str) -> PathBuf {
        let path = self.directory.path().join("token");
        fs::write(&path, format!("{token}\n")).expect("a file");
        path
    }

    /// The command with these arguments, at this relay.
    fn command(&self, arguments: &[&str], file: Option<&Path>, variable: &str) -> Process {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        command.args(arguments).args(["--relay", &self.relay.url("")]);
        if let Some(file) = file {
            command.arg("--token-file").arg(file);
        }
        command.env("RDV_CLIENT_CONFIG", "/dev/null").env("RDV_TOKEN", variable);
        // The name is reserved for a while for the owner of its secret.
        command.env("RDV_SOCKET_SECRET", "the same each time");
        Process::start(command)
    }
}

#[test]
fn an_api_is_exposed_with_the_token_for_its_name() {
    let guarded = Guarded::new();
    let file = guarded.file(BILLING);
    for (name, file, variable) in [
        ("in a file", Some(file.as_path()), ""),
        ("in the environment", None, BILLING),
        ("for any name", None, ANY),
        ("the file counts", Some(file.as_path()), "another-0123456789abcdef"),
    ] {
        let api = url(&guarded.api);
        let process = guarded.command(&["expose", "billing", &api], file, variable);
        let shown = format!("{}\n", guarded.relay.url("/api/billing"));
        eventually(name, || (process.stdout() == shown).then_some(()));
        let answer = guarded.relay.exchange(&ask("POST", "/api/billing/").body("hello"));
        assert_eq!((answer.status(), answer.text()), (200, "hello"), "{name}");
        let printed = end(process).stderr;
        assert!(!printed.contains(BILLING) && !printed.contains(ANY), "{name}: {printed}");
    }
}

#[test]
fn an_invalid_token_is_refused_permanently_with_the_reason() {
    let guarded = Guarded::new();
    let wrong = guarded.file("another-0123456789abcdef");
    let api = url(&guarded.api);
    for (name, arguments, file, variable, hint) in [
        ("none", &["expose", "billing", &api][..], None, "", "A token with the scope agent"),
        ("a wrong one", &["expose", "billing", &api], Some(&*wrong), "", "--token-file"),
        (
            "for another name",
            &["expose", "mail", &api],
            None,
            BILLING,
            "not valid for the requested",
        ),
        ("none to call", &["call", "GET", "/"], None, "", "A token with the scope agent"),
        ("a wrong one to call", &["call", "GET", "/"], Some(&*wrong), "", "not valid here"),
    ] {
        let finished = guarded.command(arguments, file, variable).finish();
        assert_eq!(finished.status.code(), Some(5), "{name}: {}", finished.stderr);
        assert_eq!(
            finished.stderr.lines().last().map(|line| line.starts_with("rdv: ")),
            Some(true)
        );
        assert!(finished.stderr.contains(hint), "{name}: {}", finished.stderr);
        assert!(!finished.stderr.contains("0123456789"), "{name}: {}", finished.stderr);
    }
}

#[test]
fn the_socket_api_of_the_relay_is_called_with_a_token() {
    let guarded = Guarded::new();
    let file = guarded.file(BILLING);
    for (name, file, variable) in
        [("in a file", Some(file.as_path()), ""), ("in the environment", None, BILLING)]
    {
        let finished =
            guarded.command(&["call", "POST", "/a", "-d", "hi"], file, variable).finish();
        assert_eq!(finished.status.code(), Some(0), "{name}: {}", finished.stderr);
        assert_eq!(finished.stdout, "hi", "{name}");
    }
}
