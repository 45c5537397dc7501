//! Conduit, with the configuration of docs/connector.md.

use std::path::Path;
use std::process::Command;

use crate::engines::documented::{adapted, blocks};
use crate::source::process::{SourceProcess, body, record};
use crate::support::{Process, eventually, skip};

const RECORDS: usize = 1_000;

fn conduit(here: &Path) -> Option<Process> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|folder| folder.join("conduit").exists()) {
        skip("conduit", "it is not installed");
        return None;
    }
    let place = format!("{}/", here.display());
    let configuration = adapted(&blocks("Conduit")[0], &[("/var/lib/rdv/", &place)]);
    std::fs::write(here.join("hooks.yaml"), configuration).unwrap();
    let mut command = Command::new("conduit");
    command.args(["run", "--pipelines.path", "hooks.yaml", "--db.type", "inmemory"]);
    command.args(["--api.enabled=false"]).current_dir(here);
    Some(Process::start(command))
}

#[test]
fn records_pass_through_conduit_in_their_order() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("in.jsonl");
    let source = SourceProcess::start(&["--output", input.to_str().unwrap(), "--key", "path"]);
    let Some(_conduit) = conduit(directory.path()) else { return };
    for number in 0..RECORDS {
        assert_eq!(source.post(number.to_string()).status(), 201);
    }
    let output = directory.path().join("out.jsonl");
    let received = eventually("all records are in the output", || {
        let text = std::fs::read_to_string(&output).unwrap_or_default();
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let lines: Vec<_> = complete.lines().map(record).collect();
        (lines.len() >= RECORDS).then_some(lines)
    });
    let sent: Vec<_> = std::fs::read_to_string(&input).unwrap().lines().map(record).collect();
    let content = |record| (body(record), record.key.clone());
    assert!(received.iter().map(content).eq(sent.iter().map(content)));
}
