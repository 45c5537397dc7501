//! The API document: served as a file, valid for other tools, true to what the relay does
//! (Schemathesis), and enough to generate clients from.
//!
//! What Python and Node run is installed by `tests/agents/openapi/install` and
//! `tests/protocol/api/install`.

mod checked;
mod generated;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Relay, ask, parse};

/// A file next to this one.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocol/api").join(name)
}

/// Runs a command to completion, without proxies; it must succeed. Returns what it printed.
fn run(command: &mut Command) -> String {
    command.env("no_proxy", "*").env("NO_PROXY", "*").env("NODE_DISABLE_COMPILE_CACHE", "1");
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let printed = [&output.stdout[..], &output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed).into_owned();
    assert!(output.status.success(), "{command:?}: {printed}");
    printed
}

/// Writes the complete documents of the public and the admin listener into a directory.
fn write_documents(directory: &Path) -> [PathBuf; 2] {
    [("public.json", &[][..]), ("admin.json", &["--admin"])].map(|(name, flags)| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
        let printed = run(command.arg("openapi").args(flags));
        let path = directory.join(name);
        fs::write(&path, printed).expect("a file");
        path
    })
}

fn document(relay: &Relay) -> Value {
    parse(relay.get("/openapi.json").body.as_slice())
}

#[test]
fn the_document_describes_what_is_served() {
    let plain = Relay::start(&["--no-pages"]);
    let paths = Relay::start(&["--paths"]);
    for (name, relay, path, described) in [
        ("paths", &plain, "/p/{path}", false),
        ("paths", &paths, "/p/{path}", true),
        ("pages", &plain, "/s/{id}", false),
        ("pages", &paths, "/s/{id}", true),
        ("the admin listener", &plain, "/control", false),
    ] {
        assert_eq!(document(relay)["paths"].get(path).is_some(), described, "{name}");
    }
    let operators = plain.admin_get("/openapi.json").json();
    assert!(operators["paths"]["/control/stop"]["post"].is_object());
    assert!(operators["paths"].get("/socket/spare").is_none());
}

#[test]
fn the_document_is_sent_as_the_files_of_pages_are() {
    let relay = Relay::start(&["--cors-origin", "*"]);
    let sent = relay.exchange(&ask("GET", "/openapi.json").field("Origin", "https://a.example"));
    assert_eq!((sent.status(), sent.head.get("Content-Type")), (200, Some("application/json")));
    assert_eq!(sent.head.get("Access-Control-Allow-Origin"), Some("*"));
    assert_eq!(sent.head.get("Cache-Control"), Some("no-cache"));
    let etag = sent.head.get("ETag").expect("an ETag");
    let again = relay.exchange(&ask("GET", "/openapi.json").field("If-None-Match", etag));
    assert_eq!((again.status(), again.body.len()), (304, 0));
    let gzip = relay.exchange(&ask("GET", "/openapi.json").field("Accept-Encoding", "gzip"));
    assert_eq!(gzip.head.get("Content-Encoding"), Some("gzip"));
    assert!(gzip.body.len() * 4 < sent.body.len(), "{} bytes", gzip.body.len());
}

#[test]
fn a_reload_changes_the_document() {
    let scene = tempfile::tempdir().expect("a directory");
    let file = scene.path().join("rdv.toml");
    fs::write(&file, "paths = false\n").expect("a file");
    let relay = Relay::start(&["--config", file.to_str().expect("UTF-8")]);
    assert!(document(&relay)["paths"].get("/p").is_none());
    fs::write(&file, "paths = true\n").expect("a file");
    relay.signal(nix::sys::signal::Signal::SIGHUP);
    crate::support::eventually("paths are described", || {
        document(&relay)["paths"].get("/p").is_some().then_some(())
    });
}
