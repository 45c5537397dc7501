//! `rdv manual` and `rdv completions`: what packages ship is made from the flags.

mod support;

use std::fs;

use support::Process;

fn run(arguments: &[&str]) -> String {
    let finished = Process::rdv(arguments).finish();
    assert_eq!(finished.status.code(), Some(0), "{arguments:?}: {}", finished.stderr);
    finished.stdout
}

/// The long flags that a help text begins lines with.
fn flags(help: &str) -> Vec<&str> {
    help.lines()
        .filter_map(|line| line.trim_start().strip_prefix("--"))
        .map(|flag| flag.split([' ', '[', '=']).next().unwrap_or_default())
        .collect()
}

#[test]
fn every_flag_is_in_the_manual_and_in_the_completions() {
    let help = run(&["serve", "--help"]);
    let flags = flags(&help);
    assert!(flags.len() > 15, "{flags:?}");
    // The language of manual pages writes a dash with a backslash.
    let manual = run(&["man"]).replace("\\-", "-");
    let scripts = ["bash", "zsh", "fish"].map(|shell| run(&["completions", shell]));
    for flag in flags {
        assert!(manual.contains(&format!("--{flag}")), "{flag} in the manual");
        for script in &scripts {
            assert!(script.contains(flag), "{flag} in {}", script.lines().next().unwrap_or(""));
        }
    }
}

#[test]
fn every_subcommand_has_a_page() {
    let directory = tempfile::tempdir().expect("a directory");
    run(&["manual", directory.path().to_str().expect("a path")]);
    let pages = ["rdv", "rdv-serve", "rdv-doctor", "rdv-manual", "rdv-completions", "rdv-send"];
    for page in pages.into_iter().chain(["rdv-pipe-send", "rdv-ctl-list"]) {
        let text = fs::read_to_string(directory.path().join(format!("{page}.1"))).expect(page);
        assert!(text.contains(".SH NAME") && text.contains(".SH FILES"), "{page}: {text}");
    }
}

#[test]
fn an_unknown_shell_is_named_with_those_there_are() {
    let finished = Process::rdv(&["completions", "tcsh"]).finish();
    assert_eq!(finished.status.code(), Some(2));
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("tcsh") && finished.stderr.contains("fish"));
}
