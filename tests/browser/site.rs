//! A site of another origin: the files of a directory, served by Python.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use crate::support::{Process, eventually};

/// A listening server.
pub(crate) struct Site {
    _process: Process,
    _directory: TempDir,
    /// Its origin.
    pub(crate) origin: String,
}

impl Site {
    /// Serves these files, by name and content.
    pub(crate) fn of(files: &[(&str, &str)]) -> Site {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, content) in files {
            fs::write(directory.path().join(name), content).expect("a file");
        }
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]);
        let process = Process::start({
            command.current_dir(directory.path());
            command
        });
        let port = eventually("the site listens", || {
            let stdout = process.stdout();
            Some(stdout.split_once(" port ")?.1.split_once(' ')?.0.to_owned())
        });
        let origin = format!("http://127.0.0.1:{port}");
        Site { _process: process, _directory: directory, origin }
    }
}
