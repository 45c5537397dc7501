//! The file of undeliverable records. Each is complete and synced to disk before it is
//! acknowledged; a partial write is truncated.

use super::delivery::NotDelivered;
use super::outgoing_request::whole;
use crate::client::commands::{Exit, Failure};
use crate::connector::record::Incoming;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Metadata: the reason why the record was given up.
pub const ERROR: &str = "rdv.destination.error";
/// Metadata: the status of the last response; absent without a response.
pub const STATUS: &str = "rdv.destination.status";
/// Metadata: the number of attempts.
pub const ATTEMPTS: &str = "rdv.destination.attempts";

/// The file, locked against other processes.
#[derive(Debug)]
pub(super) struct DeadLetters {
    path: PathBuf,
    file: Mutex<File>,
}

impl DeadLetters {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, another process has locked it, or its last
    /// line is incomplete.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let failed =
            |error: io::Error| Failure::local(format!("cannot open {}", path.display()), error);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = "another process writes it; give each a file of its own";
                return Err(Failure::new(Exit::Local, format!("{}: {why}", path.display())));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        if !ends_with_a_line(&mut file).map_err(failed)? {
            let why = "the last line is incomplete; remove it";
            return Err(Failure::new(Exit::Local, format!("{}: {why}", path.display())));
        }
        Ok(Self { path: path.to_owned(), file: Mutex::new(file) })
    }

    /// Appends a record and the reason for its failure.
    ///
    /// # Errors
    /// Returns an error if the record could not be written.
    pub(super) fn add(&self, incoming: &Incoming, end: &NotDelivered) -> Result<(), Failure> {
        let mut record = incoming.record.clone();
        record.metadata.insert(ERROR.into(), end.failure.why.clone());
        record.metadata.insert(ATTEMPTS.into(), end.attempts.to_string());
        match end.status {
            Some(status) => record.metadata.insert(STATUS.into(), status.to_string()),
            // A record that was given up before may still have a status.
            None => record.metadata.remove(STATUS),
        };
        let content = whole(&record, incoming.spilled.as_ref());
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let added = file.seek(SeekFrom::End(0)).and_then(|start| {
            let mut line = content.reader().chain(&b"\n"[..]);
            let written = io::copy(&mut line, &mut *file).and_then(|_| file.sync_data());
            if written.is_err() {
                let _ = file.set_len(start);
            }
            written
        });
        added.map_err(|error| {
            let why = format!("{error}; the record that was to be in it: {end}");
            Failure::new(Exit::Local, format!("writing {}: {why}", self.path.display()))
        })
    }
}

fn ends_with_a_line(file: &mut File) -> io::Result<bool> {
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
