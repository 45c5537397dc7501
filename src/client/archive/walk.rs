//! Walks everything below a directory, parents before children. Links are not followed.

use super::super::output::{io_error, shown};
use crate::ops::cause;
use std::fs::{self, Metadata, ReadDir};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A walk with one open directory per level, so its memory is bounded by the depth, not the number
/// of files. Files that vanish during the walk are skipped.
pub(super) struct Walk {
    open: Vec<(PathBuf, ReadDir)>,
}

impl Walk {
    /// # Errors
    /// One line: the directory cannot be read.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
        Ok(Self { open: vec![(directory.to_owned(), entries)] })
    }

    /// Reads the next entry, and descends into it if it is a directory. `None` if it has vanished.
    fn visit(&mut self, entry: io::Result<fs::DirEntry>) -> io::Result<Option<Found>> {
        let place = self.open.last().map(|(path, _)| path.clone()).unwrap_or_default();
        let entry = entry.map_err(|error| unreadable(&place, &error))?;
        let path = entry.path();
        let Some(metadata) = present(&path, entry.metadata())? else { return Ok(None) };
        if metadata.is_dir() {
            let Some(entries) = present(&path, fs::read_dir(&path))? else { return Ok(None) };
            self.open.push((path.clone(), entries));
        }
        Ok(Some((path, metadata)))
    }
}

/// A path and its metadata.
type Found = (PathBuf, Metadata);

impl Iterator for Walk {
    /// An error is one line.
    type Item = io::Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (_, entries) = self.open.last_mut()?;
            match entries.next() {
                None => drop(self.open.pop()),
                Some(entry) => match self.visit(entry).transpose() {
                    None => {}
                    found => return found,
                },
            }
        }
    }
}

/// Maps an error for a file that has vanished to `None`.
fn present<T>(path: &Path, result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(path, &error)),
    }
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> io::Error {
    io_error(error.kind(), format!("cannot read {}: {}", shown(path), cause(error)))
}
