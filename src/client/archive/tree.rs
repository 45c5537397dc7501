//! The directory that an archive is extracted into: new, private, and never left through a link.
//! Only directories created here are used on the path to an entry, and files are only ever created,
//! so nothing is written through links from the archive itself. Names are created and removed under
//! the lock of [`Unfinished`]; content is read without it.

use super::super::output::io_error;
use super::super::unfinished::Unfinished;
use super::entries::{Entries, Entry, Kind};
use super::names::inside;
use super::{SkipReason, named};
use crate::ops::cause;
use nix::errno::Errno;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, FileTimes, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Maximum memory for directory paths until their permissions are set, in bytes: a compressed
/// archive of directories alone costs its sender next to nothing.
const DIRECTORIES_MAX_BYTES: usize = 64 << 20;

/// Approximate memory per directory besides its path, in bytes.
const DIRECTORY_BYTES: usize = 128;

/// Permissions of directories during extraction.
const PRIVATE: u32 = 0o700;

/// The reason if an entry was skipped.
type Put = io::Result<Option<SkipReason>>;

/// The attributes a directory gets once it is filled.
#[derive(Clone, Copy)]
struct Attributes {
    mode: u32,
    mtime_seconds: Option<u64>,
}

/// A directory being filled. Paths are relative to it and have plain components only.
pub(super) struct Tree<'u> {
    root: PathBuf,
    unfinished: &'u Unfinished,
    /// The permissions that the umask allows.
    allowed: u32,
    directories: BTreeMap<PathBuf, Attributes>,
    directories_bytes: usize,
}

impl<'u> Tree<'u> {
    /// Creates the directory, which must not exist. The caller holds the lock.
    pub fn create(root: PathBuf, unfinished: &'u Unfinished) -> io::Result<Self> {
        fs::create_dir(&root)?;
        // The kernel applied the umask to 0777; the umask itself cannot be read without setting it.
        let allowed = fs::symlink_metadata(&root)?.permissions().mode() & 0o777;
        fs::set_permissions(&root, Permissions::from_mode(PRIVATE))?;
        Ok(Self { root, unfinished, allowed, directories: BTreeMap::new(), directories_bytes: 0 })
    }

    /// Extracts one entry, reading its content from `entries`. Returns the reason if it was skipped.
    ///
    /// # Errors
    /// One line: the archive is truncated, or something cannot be created.
    pub fn put<R: Read>(&mut self, path: &Path, entry: &Entry, entries: &mut Entries<R>) -> Put {
        if entry.kind == Kind::Other {
            return Ok(Some(SkipReason::NotRegular));
        }
        let step = self.unfinished.lock();
        let refused = self.make_parents(path).or_else(|error| unsupported(error, path, entry))?;
        if refused.is_some() {
            return Ok(refused);
        }
        let place = self.root.join(path);
        if entry.kind == Kind::File {
            // Reading waits for the sender; an interrupt must not wait for that.
            drop(step);
        }
        let made = match entry.kind {
            Kind::Directory => self.put_directory(path, entry),
            Kind::File => self.put_file(&place, entry, entries),
            Kind::Symlink => put_symlink(&place, entry),
            Kind::HardLink => self.put_hard_link(&place, entry),
            Kind::Other => Ok(Some(SkipReason::NotRegular)),
        };
        made.or_else(|error| unsupported(error, path, entry))
    }

    /// Sets permissions and times of all directories except those at the top: moving those requires
    /// write permission on them.
    pub fn settle_inside(&self) -> io::Result<()> {
        // In reverse order, so that no parent becomes read-only before its contents are done.
        for (path, attributes) in self.directories.iter().rev() {
            if path.components().nth(1).is_some() {
                self.settle(&self.root.join(path), *attributes)?;
            }
        }
        Ok(())
    }

    /// Sets permissions and times of a moved top-level directory; does nothing for other entries.
    pub fn settle_top(&self, name: &Path, place: &Path) -> io::Result<()> {
        let attributes = self.directories.get(name);
        attributes.map_or(Ok(()), |attributes| self.settle(place, *attributes))
    }

    /// Sets the permissions of the tree itself, once it was moved as a directory of its own.
    pub fn settle_root(&self, place: &Path) -> io::Result<()> {
        fs::set_permissions(place, Permissions::from_mode(self.allowed))
    }

    fn settle(&self, place: &Path, attributes: Attributes) -> io::Result<()> {
        let directory = File::open(place)?;
        if let Some(seconds) = attributes.mtime_seconds {
            set_mtime(&directory, seconds)?;
        }
        directory.set_permissions(Permissions::from_mode(attributes.mode & self.allowed))
    }

    /// Creates missing parent directories. Recorded directories were created here and are never
    /// removed, so nothing can have replaced them.
    fn make_parents(&mut self, path: &Path) -> Put {
        if self.holds_parent(path) {
            return Ok(None);
        }
        let mut parent = PathBuf::new();
        for component in path.parent().into_iter().flatten() {
            parent.push(component);
            if self.directories.contains_key(&parent) {
                continue;
            }
            match fs::symlink_metadata(self.root.join(&parent)) {
                Ok(found) if found.is_dir() => {}
                // A link would lead to another place.
                Ok(_) => return Ok(Some(SkipReason::ThroughLink)),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.make_directory(&parent)?;
                }
                Err(error) => return Err(error),
            }
            self.note(&parent, Attributes { mode: 0o777, mtime_seconds: None })?;
        }
        Ok(None)
    }

    /// Whether the parent of a path is a directory created here, or the tree itself.
    fn holds_parent(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| {
            parent.as_os_str().is_empty() || self.directories.contains_key(parent)
        })
    }

    fn make_directory(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(PRIVATE).create(self.root.join(path))
    }

    fn note(&mut self, path: &Path, attributes: Attributes) -> io::Result<()> {
        if self.directories.insert(path.to_owned(), attributes).is_none() {
            self.directories_bytes += path.as_os_str().len() + DIRECTORY_BYTES;
        }
        if self.directories_bytes > DIRECTORIES_MAX_BYTES {
            let text = "the archive has too many directories; send it in parts";
            return Err(io_error(ErrorKind::InvalidData, text.to_owned()));
        }
        Ok(())
    }

    fn put_directory(&mut self, path: &Path, entry: &Entry) -> Put {
        let place = self.root.join(path);
        if !is_directory(&place) {
            replace(&place)?;
            self.make_directory(path)?;
        }
        let mtime_seconds = Some(entry.mtime_seconds);
        self.note(path, Attributes { mode: entry.mode & 0o777, mtime_seconds })?;
        Ok(None)
    }

    fn put_file<R: Read>(&self, place: &Path, entry: &Entry, entries: &mut Entries<R>) -> Put {
        let mut file = match self.create_file(place) {
            Err(error) if error.kind() == ErrorKind::IsADirectory => {
                return Ok(Some(SkipReason::IsDirectory));
            }
            created => created?,
        };
        io::copy(entries, &mut file)?;
        file.set_permissions(Permissions::from_mode(entry.mode & self.allowed))?;
        set_mtime(&file, entry.mtime_seconds)?;
        Ok(None)
    }

    fn create_file(&self, place: &Path) -> io::Result<File> {
        let _step = self.unfinished.lock();
        replace(place)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)
    }

    /// Creates a hard link to an entry extracted earlier.
    fn put_hard_link(&self, place: &Path, entry: &Entry) -> Put {
        let target = match inside(&entry.link) {
            Ok(target) => target.unwrap_or_default(),
            Err(why) => return Ok(Some(why)),
        };
        let source = self.root.join(&target);
        let linkable = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| !found.is_dir());
        if !(self.holds_parent(&target) && linkable(&source)) {
            return Ok(Some(SkipReason::MissingTarget));
        }
        if source == place {
            return Ok(None);
        }
        if is_directory(place) {
            return Ok(Some(SkipReason::IsDirectory));
        }
        replace(place)?;
        // Does not follow: a hard link to a symbolic link is a symbolic link (link(2)).
        fs::hard_link(source, place)?;
        Ok(None)
    }
}

fn put_symlink(place: &Path, entry: &Entry) -> Put {
    if entry.link.is_empty() {
        return Ok(Some(SkipReason::MissingTarget));
    }
    if is_directory(place) {
        return Ok(Some(SkipReason::IsDirectory));
    }
    replace(place)?;
    symlink(std::ffi::OsStr::from_bytes(&entry.link), place)?;
    Ok(None)
}

fn is_directory(place: &Path) -> bool {
    fs::symlink_metadata(place).is_ok_and(|found| found.is_dir())
}

/// Skips an entry that cannot be on this file system: for its name, or as FAT has no links
/// (symlink(2), link(2)). Any other error names the entry.
fn unsupported(error: io::Error, path: &Path, entry: &Entry) -> Put {
    let is_link = matches!(entry.kind, Kind::Symlink | Kind::HardLink);
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENAMETOOLONG) => Ok(Some(SkipReason::NameTooLong)),
        Some(Errno::EINVAL) => Ok(Some(SkipReason::Unsupported)),
        Some(Errno::EPERM) if is_link => Ok(Some(SkipReason::Unsupported)),
        Some(_) => {
            let text = format!("cannot extract {}: {}", named(path), cause(&error));
            Err(io_error(error.kind(), text))
        }
        None => Err(error),
    }
}

/// Removes what an earlier entry of the same name created; the later one counts.
fn replace(place: &Path) -> io::Result<()> {
    match fs::remove_file(place) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Sets the modification time; skips a time that no file can have.
fn set_mtime(file: &File, seconds: u64) -> io::Result<()> {
    // Beyond 2^40 seconds, some file systems wrap around.
    if seconds >> 40 > 0 {
        return Ok(());
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    file.set_times(FileTimes::new().set_modified(time))
}
