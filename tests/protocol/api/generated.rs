//! Clients generated from the document: each makes a transfer and compares the bytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{file, run, write_documents};
use crate::support::{Relay, installation};

#[test]
fn a_client_generated_in_python_transfers_data() {
    let Some(installed) = installation("agents/openapi") else { return };
    let scene = tempfile::tempdir().expect("a directory");
    let [document, _] = write_documents(scene.path());
    let mut command = Command::new(installed.join("bin/openapi-python-client"));
    command.args(["generate", "--meta", "none", "--path"]).arg(document);
    command.arg("--output-path").arg(scene.path().join("relay_client"));
    // It finds its formatter there.
    run(command.env("PATH", installed.join("bin")));
    let relay = Relay::start(&[]);
    let mut command = Command::new(installed.join("bin/python"));
    command.arg("-B").arg(file("transfer.py")).arg(scene.path()).arg(relay.url(""));
    assert_eq!(run(&mut command), "transferred\n");
}

#[test]
fn a_client_generated_in_typescript_transfers_data() {
    let Some(installed) = installation("protocol/api") else { return };
    let scene = tempfile::tempdir().expect("a directory");
    let [document, _] = write_documents(scene.path());
    let modules = fs::canonicalize(installed.join("node_modules")).expect("a directory");
    std::os::unix::fs::symlink(&modules, scene.path().join("node_modules")).expect("a link");
    for name in ["package.json", "tsconfig.json", "transfer.ts"] {
        fs::copy(file(name), scene.path().join(name)).expect("a copy");
    }
    let program = |name: &str| {
        let mut command = Command::new(Path::new(&modules).join(".bin").join(name));
        command.current_dir(scene.path());
        command
    };
    run(program("openapi-typescript").arg(document).args(["--output", "api.d.ts"]));
    run(program("tsc").args(["--project", "."]));
    let relay = Relay::start(&[]);
    let mut node = Command::new("node");
    node.arg("transfer.js").arg(relay.url("")).current_dir(scene.path());
    assert_eq!(run(&mut node), "transferred\n");
}
