//! Tests are skipped only through `skip` of `tests/support/skip.rs`, which fails in `.ci/run`.

use std::fs;

use crate::support::MAY_SKIP;
use crate::wording::{root, sources};

/// Where `skip` is, and where these rules are.
const EXCEPT: [&str; 2] = ["tests/support/skip.rs", "tests/sources/skips.rs"];

/// What a skip of another kind would print or ask.
const SKIPS: [&str; 4] = ["skipped: ", "not checked", "nothing is checked", "bind(\"[::1]"];

/// What returns `None` only after a call of `skip`, or of another one of these.
const SKIPPING: [&str; 14] = [
    "SmallDisk::mount(",
    "SmallDisk::mount_with(",
    "installed(",
    "on_terminal(",
    "on_terminal_of(",
    "suite(",
    "browser(",
    "installation(",
    "Repository::new(",
    "Haproxy::tcp(",
    "Haproxy::http(",
    "Nginx::start(",
    "balanced(",
    "conduit(",
];

/// The reason of a test that is not run by itself.
const PART_OF_ANOTHER: &str = "#[ignore = \"the process that ";

/// The reason of a test that prints a document, and of which a sample runs with all tests.
const PRINTS: &str = "#[ignore = \"prints ";

fn tests() -> impl Iterator<Item = (String, String)> {
    sources("tests").into_iter().filter(|(name, _)| !EXCEPT.contains(&name.as_str()))
}

#[test]
fn a_test_is_skipped_in_one_way_only() {
    for (name, source) in tests() {
        for (number, line) in (1..).zip(source.lines()) {
            let place = format!("{name}:{number}");
            for other in SKIPS {
                assert!(!line.contains(other), "{place}: {other:?}; call skip");
            }
            let is_other = line.contains(PART_OF_ANOTHER) || line.contains(PRINTS);
            assert!(!line.contains("#[ignore") || is_other, "{place}");
            let maybe = line.split_once("let Some(").filter(|_| line.ends_with("else { return };"));
            let from = maybe.and_then(|(_, rest)| rest.split_once(" = "));
            if let Some((_, from)) = from {
                // Tests are functions, never methods.
                let skips = from.starts_with("self.")
                    || SKIPPING.iter().any(|known| from.starts_with(known));
                assert!(skips, "{place}: does {from:?} call skip?");
            }
        }
    }
}

#[test]
fn what_may_be_skipped_exists_and_has_a_reason() {
    let calls: String = sources("tests").into_iter().map(|(_, source)| source).collect();
    for (what, reason) in MAY_SKIP {
        let skipped = calls.contains(&format!("skip(\"{what}\", "));
        let installed = calls.contains(&format!("installation(\"operation/{what}\")"));
        assert!(skipped || installed, "{what} is never skipped");
        assert!(!reason.is_empty(), "{what}");
    }
}

#[test]
fn the_checks_for_main_forbid_skips() {
    let run = fs::read_to_string(root().join(".ci/run")).expect("the checks");
    assert!(run.contains("export RDV_NO_SKIPS=1\n"), "they would pass without a test");
}
