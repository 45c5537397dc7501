//! Writes received data to the disk: in steps while more is received, and once it is complete.
//! Without the steps, a machine with much memory holds most of it until the end, and the disk can
//! then take longer than the sender waits for the receipt.

use crate::client::archive::PathNotes;
use crate::client::commands::Failure;
use crate::ops::threads;
use nix::unistd::{AccessFlags, eaccess};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

/// Bytes received from one step to the next. Receiving waits while one step is written and the next
/// is due, so at most three are unwritten: 192 MiB (more if compressed), 10 s at 20 MiB/s.
const STEP_BYTES: u64 = 64 << 20;

/// Maximum number of entries of an archive that are synced one by one. Measured on ext4: syncing
/// 2,000 files of 4 KiB takes 8.5 s, and their file system 0.1 s; but the latter also writes what
/// others have left in memory, which took 4 s for 3 GiB on a fast disk.
const ENTRIES_MAX: usize = 1000;

/// The steps of one download.
#[derive(Debug, Default)]
pub(super) struct WriteBehind {
    file: Option<File>,
    /// Bytes received since the last step.
    pending_bytes: u64,
    thread: Option<(SyncSender<()>, JoinHandle<io::Result<()>>)>,
}

impl WriteBehind {
    /// Prepares the steps of this file, or of a directory that an archive is extracted into; the
    /// first one starts a thread.
    pub(super) fn of(file: &File) -> Self {
        Self { file: file.try_clone().ok(), ..Self::default() }
    }

    /// Counts received bytes, and takes a step if one is due.
    pub(super) fn moved(&mut self, bytes: u64) {
        self.pending_bytes += bytes;
        if self.pending_bytes < STEP_BYTES {
            return;
        }
        self.pending_bytes = 0;
        if let Some(file) = self.file.take() {
            self.thread = start(file);
        }
        if let Some((due, _)) = &self.thread {
            // Fails only after an error, which `finish` returns.
            let _ = due.send(());
        }
    }

    /// Ends the steps.
    ///
    /// # Errors
    /// The system reports that the data may be lost. It does so once: a later sync succeeds.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        let Some((due, thread)) = self.thread.take() else { return Ok(()) };
        drop(due);
        thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed"))).map_err(lost)
    }
}

/// Starts the thread that takes the steps. Without one, everything is written at the end.
fn start(file: File) -> Option<(SyncSender<()>, JoinHandle<io::Result<()>>)> {
    let (due, steps) = sync_channel(1);
    let is_directory = file.metadata().is_ok_and(|metadata| metadata.is_dir());
    let sync = if is_directory { sync_file_system } else { File::sync_data };
    let write = move || steps.into_iter().try_for_each(|()| if_possible(sync(&file)));
    threads::spawn("write-behind", write).ok().map(|thread| (due, thread))
}

/// Writes an open file to the disk.
///
/// # Errors
/// The system reports that the data may be lost.
pub(super) fn sync_file(file: &File) -> Result<(), Failure> {
    if_possible(file.sync_all()).map_err(lost)
}

/// Writes a saved file and its name to the disk.
///
/// # Errors
/// The system reports that the data may be lost.
pub(super) fn sync(path: &Path) -> Result<(), Failure> {
    sync_path(path).and_then(|()| sync_directory(parent_of(path))).map_err(lost)
}

/// Writes an extracted archive to the disk, one by one if it has few entries.
///
/// # Errors
/// The system reports that the data may be lost.
pub(super) fn sync_archive(place: &Path, made: &PathNotes) -> Result<(), Failure> {
    let is_known = made.total == made.first.len() as u64;
    let synced = match entries(&made.first).filter(|_| is_known) {
        Some(entries) => entries.iter().try_for_each(|entry| sync_path(entry)),
        None => sync_file_system_of(place),
    };
    let directories = || {
        // A single entry with another name can be a file or a link.
        if fs::symlink_metadata(place)?.is_dir() {
            sync_directory(place)?;
        }
        sync_directory(parent_of(place))
    };
    synced.and_then(|()| directories()).map_err(lost)
}

/// Returns the files and directories here and below, if they are few and readable.
fn entries(tops: &[PathBuf]) -> Option<Vec<PathBuf>> {
    let (mut found, mut unread) = (Vec::new(), tops.to_vec());
    while let Some(path) = unread.pop() {
        let kind = fs::symlink_metadata(&path).ok()?.file_type();
        // A link is written with its directory.
        if kind.is_symlink() {
            continue;
        }
        eaccess(&path, AccessFlags::R_OK).ok()?;
        if kind.is_dir() {
            let below = fs::read_dir(&path).ok()?.take(ENTRIES_MAX + 1);
            unread.extend(below.map(|entry| Some(entry.ok()?.path())).collect::<Option<Vec<_>>>()?);
        }
        found.push(path);
        if found.len() + unread.len() > ENTRIES_MAX {
            return None;
        }
    }
    Some(found)
}

fn sync_path(path: &Path) -> io::Result<()> {
    if_possible(File::open(path)?.sync_all())
}

/// Syncs a directory that holds new names; one that cannot be read cannot be synced.
fn sync_directory(directory: &Path) -> io::Result<()> {
    match File::open(directory) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => if_possible(opened?.sync_all()),
    }
}

/// Syncs the file system of an extracted archive, by a new file if its directory cannot be read.
fn sync_file_system_of(place: &Path) -> io::Result<()> {
    let opened = File::open(place).or_else(|_| tempfile::tempfile_in(place));
    let opened = opened.or_else(|_| tempfile::tempfile_in(parent_of(place)));
    if_possible(sync_file_system(&opened?))
}

/// Returns the directory that holds this file.
fn parent_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn sync_file_system(place: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(place)?)
}

/// Not every file system can be synced.
fn if_possible(synced: io::Result<()>) -> io::Result<()> {
    match synced {
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

fn lost(error: io::Error) -> Failure {
    Failure::local("cannot write the received data to the disk", error)
}
