//! The commands in README and documentation, run by `pages.py`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{Process, Relay};

#[test]
fn commands_in_the_documentation_print_the_output_shown() {
    let root = env!("CARGO_MANIFEST_DIR");
    let docs = fs::read_dir(format!("{root}/docs")).expect("the documents");
    let mut pages: Vec<_> = docs.map(|entry| entry.expect("an entry").path()).collect();
    // Pictures have no commands.
    pages.retain(|page: &PathBuf| page.extension().is_some_and(|kind| kind == "md"));
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "benches/README.md"]
            .map(|page| format!("{root}/{page}").into()),
    );
    pages.sort();
    let relay = Relay::start(&["--paths"]);
    let mut command = Command::new("python3");
    command.arg("-B").arg(format!("{root}/tests/clients/pages.py"));
    command.arg(relay.address().to_string()).arg(env!("CARGO_BIN_EXE_rdv")).args(&pages);
    let finished = Process::start(command).finish();
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
    let (count, _) = finished.stdout.split_once(" blocks").expect("a count");
    assert!(count.parse::<usize>().expect("a number") >= 9, "{}", finished.stdout);
}
