//! Help, manual pages and completions, which are generated from the flags, and errors for wrong
//! arguments.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::process::Command;

use crate::support::Process;

const COMMANDS: [&str; 18] = [
    "call",
    "cancel",
    "check-config",
    "completions",
    "ctl",
    "destination",
    "doctor",
    "expose",
    "man",
    "openapi",
    "pipe",
    "post",
    "print-config",
    "receive",
    "send",
    "serve",
    "source",
    "status",
];

fn run(arguments: &[&str]) -> String {
    let finished = Process::rdv(arguments).finish();
    assert_eq!(finished.status.code(), Some(0), "{arguments:?}: {}", finished.stderr);
    finished.stdout
}

/// The long flags at the start of lines of a help text.
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
    // Manual pages escape a dash with a backslash.
    let pages = tempfile::tempdir().expect("a directory");
    run(&["man", pages.path().to_str().expect("a path")]);
    let manual = fs::read_to_string(pages.path().join("rdv-serve.1")).expect("a page");
    let manual = manual.replace("\\-", "-");
    let scripts = ["bash", "zsh", "fish"].map(|shell| run(&["completions", shell]));
    for flag in flags {
        assert!(manual.contains(&format!("--{flag}")), "{flag} in the manual");
        for script in &scripts {
            assert!(script.contains(flag), "{flag} in {}", script.lines().next().unwrap_or(""));
        }
    }
}

#[test]
fn the_help_fits_a_screen_and_lists_every_command() {
    for flag in ["--help", "-h"] {
        let help = run(&[flag]);
        assert!(help.lines().count() <= 40, "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        assert!(!help.contains("--ttl") && !help.contains("--listen"), "{help}");
        // Completions include all commands.
        let script = run(&["completions", "fish"]);
        let known = script.lines().filter(|line| line.contains("__fish_rdv_needs_command"));
        let commands: Vec<_> =
            known.filter_map(|line| line.split("-a \"").nth(1)?.split('"').next()).collect();
        assert!(commands.len() > 15, "{commands:?}");
        for command in commands.into_iter().filter(|command| !["help", "man"].contains(command)) {
            let lines = help.lines().filter(|line| line.starts_with(&format!("  {command} ")));
            let named = lines.filter(|line| !line.contains('#')).count();
            assert_eq!(named, 1, "{command} in {help}");
        }
    }
}

#[test]
fn short_help_of_each_command_fits_a_screen_with_one_line_for_each_setting() {
    for command in COMMANDS.iter().copied().chain(["pipe send", "pipe receive", "token new"]) {
        let words: Vec<_> = command.split(' ').collect();
        let help = run(&[&words[..], &["-h"]].concat());
        assert!(help.lines().count() <= 24, "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        let described = |line: &str| line.trim_start().split("  ").nth(1).is_some();
        let settings = help.lines().filter(|line| line.trim_start().starts_with('-'));
        assert!(settings.clone().count() > 0 && settings.clone().all(described), "{help}");
        let long = run(&[&words[..], &["--help"]].concat());
        assert!(long.len() > help.len(), "{command}: --help has more");
    }
}

#[test]
fn the_version_names_the_revision_and_the_features() {
    let long = run(&["--version"]);
    let (version, features) = long.split_once('\n').expect("two lines");
    assert_eq!(features, "features: client, connector, socket, tls\n");
    assert_eq!(run(&["-V"]).trim_end(), version);
    let number = concat!("rdv ", env!("CARGO_PKG_VERSION"));
    let revision = version.trim_end().strip_prefix(number).expect("the version");
    let hex = |text: &str| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let inner = revision.strip_prefix(" (").and_then(|rest| rest.strip_suffix(')'));
    // Outside of a repository there is none.
    assert!(revision.is_empty() || inner.is_some_and(hex), "{version}");
}

#[test]
fn without_a_command_the_help_is_printed() {
    let finished = Process::rdv(&[]).finish();
    assert_eq!(finished.status.code(), Some(2));
    assert_eq!(finished.stderr, run(&["--help"]));
}

#[test]
fn invalid_arguments_get_a_suggestion_and_the_help_command() {
    for (arguments, answer) in [
        (
            &["serv"][..],
            "rdv: unrecognized subcommand 'serv' (did you mean 'serve'?); try 'rdv --help'",
        ),
        (
            &["serve", "--listn", ":0"],
            "rdv: unexpected argument '--listn' found (did you mean '--listen'?); try 'rdv serve --help'",
        ),
        (
            &["token", "new"],
            "rdv: the following required arguments were not provided: --scope <SCOPE> <NAME>; try \
             'rdv token new --help'",
        ),
        (&["send", "--zzz"], "rdv: unexpected argument '--zzz' found; try 'rdv send --help'"),
        (&["--listen", ":0"], "rdv: unexpected argument '--listen' found; try 'rdv --help'"),
        (
            &["serve", "--listen", "http://x:80"],
            "rdv: invalid value 'http://x:80' for '--listen <ADDR:PORT>': expected an address and a \
             port, such as 127.0.0.1:8080, [::1]:8080, localhost:8080, :8080 (all IPv4 addresses) or \
             8080 (127.0.0.1); try 'rdv serve --help'",
        ),
    ] {
        let finished = Process::rdv(arguments).finish();
        assert_eq!(finished.status.code(), Some(2), "{arguments:?}");
        assert_eq!(finished.stderr.trim_end(), answer, "{arguments:?}");
    }
}

#[test]
fn every_subcommand_has_a_page() {
    let directory = tempfile::tempdir().expect("a directory");
    run(&["man", directory.path().to_str().expect("a path")]);
    let pages = ["rdv", "rdv-serve", "rdv-doctor", "rdv-man", "rdv-completions", "rdv-send"];
    for page in pages.into_iter().chain(["rdv-pipe-send", "rdv-ctl-list"]) {
        let text = fs::read_to_string(directory.path().join(format!("{page}.1"))).expect(page);
        assert!(text.contains(".SH NAME") && text.contains(".SH FILES"), "{page}: {text}");
    }
}

#[test]
fn an_unknown_shell_is_rejected_with_the_supported_ones() {
    let finished = Process::rdv(&["completions", "tcsh"]).finish();
    assert_eq!(finished.status.code(), Some(2));
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    assert!(finished.stderr.contains("tcsh") && finished.stderr.contains("fish"));
}

#[test]
fn arguments_that_are_not_utf_8_are_reported_like_others() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["send", "--zzz"]).arg(OsStr::from_bytes(b"a\xff"));
    let finished = Process::start(command).finish();
    assert_eq!(finished.status.code(), Some(2));
    let answer = "rdv: unexpected argument '--zzz' found; try 'rdv send --help'\n";
    assert_eq!(finished.stderr, answer);
}
