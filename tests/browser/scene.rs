//! Users in front of the pages: what they choose, see and run in a terminal.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use tempfile::TempDir;

use crate::page::Page;
use crate::support::{Finished, Process, Relay, eventually};

/// The state of the stream as the page has it.
pub(crate) const STATE: &str = "document.querySelector('[data-state]').dataset.state";

/// A directory of a user, and the terminal in it.
pub(crate) struct Desk(Rc<TempDir>);

impl Desk {
    pub(crate) fn new() -> Desk {
        Desk(Rc::new(tempfile::tempdir().expect("a directory")))
    }

    /// The directory, which exists as long as one of its owners.
    pub(crate) fn shared(&self) -> Rc<TempDir> {
        Rc::clone(&self.0)
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and returns its path.
    pub(crate) fn put(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        fs::write(&path, content).expect("a file");
        path
    }

    /// Creates a file of this size without content, and returns its path.
    pub(crate) fn put_sparse(&self, name: &str, bytes: u64) -> PathBuf {
        let path = self.put(name, b"");
        let file = fs::OpenOptions::new().write(true).open(&path).expect("a file");
        file.set_len(bytes).expect("a sparse file");
        path
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.0.path().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The names of all files and directories in it, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a directory").flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Waits until no file is left: a browser reports the end of a download before it removes what it
    /// has of it.
    pub(crate) fn await_empty(&self) {
        eventually("an empty directory", || self.names().is_empty().then_some(()));
    }

    /// Starts a command line; `rdv` is the program under test.
    pub(crate) fn start(&self, line: &str) -> Process {
        let program = Path::new(env!("CARGO_BIN_EXE_rdv")).parent().expect("a directory");
        let path = std::env::var("PATH").expect("a path");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("exec {line}")]).current_dir(self.directory());
        command.env("PATH", format!("{}:{path}", program.display()));
        command.env("RDV_CLIENT_CONFIG", "/dev/null").env("no_proxy", "*").env("NO_PROXY", "*");
        Process::start(command)
    }

    /// Runs a command line, which must succeed.
    pub(crate) fn run(&self, line: &str) -> Finished {
        let finished = self.start(line).finish();
        assert!(finished.status.success(), "{line}: {}", finished.stderr);
        finished
    }
}

impl Page<'_> {
    /// Waits until the page has the stream in this state.
    pub(crate) fn await_state(&self, state: &str) {
        self.until(&format!("{STATE} === '{state}'"));
    }

    /// The stream that the sender's page offers, once it does.
    pub(crate) fn offered(&self, relay: &Relay) -> String {
        // The state first: the link of an earlier stream can still be in its field.
        self.await_state("SRC_CONNECTED");
        let link = self.get("document.querySelector('#link').value");
        let link = link.as_str().expect("a link");
        let id = link.strip_prefix(&relay.url("/s/")).unwrap_or_else(|| panic!("{link}"));
        assert_eq!(relay.status(id)["state"], "SRC_CONNECTED");
        id.to_owned()
    }

    /// The text of an element.
    pub(crate) fn words(&self, selector: &str) -> String {
        self.text(&format!("document.querySelector('{selector}').textContent"))
    }

    /// Checks that a page fits, is readable and accessible in its common forms, and saves them.
    pub(crate) fn assert_presentable(&self, name: &str) {
        let shown = self.text("document.body.innerText");
        for unset in ["undefined", "null", "NaN", "[object", "{{"] {
            assert!(!shown.contains(unset), "{name} has {unset:?}: {shown}");
        }
        for scheme in ["light", "dark"] {
            self.prefer("prefers-color-scheme", scheme);
            for (form, width) in [("wide", 1280), ("narrow", 360)] {
                self.resize(width, 800);
                let what = format!("{name}-{form}-{scheme}");
                self.screenshot(&what);
                let needed = self.get("document.documentElement.scrollWidth");
                assert!(needed.as_u64() <= Some(width.into()), "{what}: {needed} pixels");
            }
            self.assert_accessible(&format!("{name}-{scheme}"));
        }
        self.prefer("prefers-color-scheme", "light");
        self.resize(1280, 800);
    }
}
