//! Arguments: an error is reported in one line, before any port is opened.

use crate::source::process::{SourceProcess, source_command};
use crate::support::Process;

/// Starts it and expects this exit status, and one line with these words.
fn assert_refused(name: &str, flags: &[&str], exit: i32, words: &str) {
    let finished = Process::start(source_command(flags)).finish();
    let printed = &finished.stderr;
    assert_eq!(finished.status.code(), Some(exit), "{name}: {printed}");
    assert!(printed.starts_with("rdv: ") && printed.contains(words), "{name}: {printed:?}");
    assert_eq!(printed.lines().count(), 1, "{name}: {printed}");
    assert_eq!(finished.stdout, "", "{name}");
}

#[test]
fn invalid_arguments_are_a_one_line_error() {
    let rows: [(&str, &[&str], &str); 23] = [
        ("an unknown flag", &["--quick"], "--quick"),
        ("a path without a slash", &["--path", "hooks"], "/hooks/github"),
        ("a header with a space", &["--header", "a b"], "X-GitHub-Event"),
        ("a queue that is not a number", &["--queue", "1x"], "'--queue <N>': expected a number"),
        ("a queue of nothing", &["--queue", ""], "--queue"),
        ("an unknown key", &["--key", "body"], "header:NAME, path or json:/POINTER"),
        ("a size that is none", &["--max-body", "much"], "--max-body"),
        ("a time that is none", &["--consumer-timeout", "soon"], "--consumer-timeout"),
        ("a queue of none", &["--queue", "0"], "--queue"),
        ("no connections", &["--max-connections", "0"], "--max-connections"),
        ("an address that is none", &["--listen", "here"], "--listen"),
        ("a token of nothing", &["--auth-token", " "], "anyone could send it"),
        ("a file that is not there", &["--auth-token-file", "/does/not/exist"], "/does/not/exist"),
        ("a file without a token", &["--auth-token-file", "/dev/null"], "anyone could send it"),
        ("two tokens", &["--auth-token", "a", "--auth-token-file", "/b"], "--auth-token-file"),
        ("a signature without a secret", &["--signature", "github"], "--signature-secret-file"),
        ("an unknown signature", &["--signature", "md5"], "github, stripe, standard"),
        (
            "a secret that is not base64",
            &["--signature", "standard", "--signature-secret", "!"],
            "whsec_",
        ),
        ("a secret without a signature", &["--signature-secret-file", "/x"], "--signature"),
        ("the same as a flag", &["--signature-secret", "x"], "set --signature"),
        ("a word for a stream", &["--output", "stdout"], "- is the stream, ./stdout a file"),
        ("in upper case", &["--output", "STDERR"], "./STDERR is a file of that name"),
        ("a position without a spool", &["--from", "start"], "--spool"),
    ];
    for (name, flags, words) in rows {
        assert_refused(name, flags, 2, words);
    }
}

#[test]
fn startup_failures_are_a_one_line_error() {
    let taken = SourceProcess::start(&[]);
    let address = taken.address().to_string();
    let long = format!("unix:/{}", "x".repeat(108));
    let rows: [(&str, &[&str], &str); 5] = [
        ("an address in use", &["--listen", &address], &address),
        ("an output in no directory", &["--output", "/does/not/exist"], "--output /does/not/exist"),
        ("an output that is a directory", &["--output", "/"], "--output /"),
        ("a socket without a path", &["--output", "unix:"], "use unix:/path/to/socket"),
        ("a socket whose path is too long", &["--output", &long], "SUN_LEN"),
    ];
    for (name, flags, words) in rows {
        assert_refused(name, flags, 1, words);
    }
}

#[test]
fn its_help_has_the_defaults_of_a_source() {
    let finished = Process::start(source_command(&["--help"])).finish();
    let help = finished.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in [
        "operators can reach [default: none] --admin-hosts",
        "Origin whose pages may use the admin listener, besides its own",
        "and the source waits for it",
        "Name of this source, for JSON fields",
    ] {
        assert!(help.contains(words), "{words:?} is not in {help}");
    }
    for words in ["XDG_RUNTIME_DIR", "WebSocket", "/run/rdv", "this relay"] {
        assert!(!help.contains(words), "{words:?} is in {help}");
    }
}

#[test]
fn the_source_listens_on_the_given_address() {
    let source = SourceProcess::start(&["--listen", "127.0.0.2:0"]);
    assert_eq!(source.address().ip().to_string(), "127.0.0.2");
    assert_eq!(source.post("x").status(), 201);
}
