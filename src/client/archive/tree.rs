//! The directory that an archive is extracted into: new, private, and never left through a link.
//! Only directories created here are used on the path to an entry, and files are only ever created,
//! so nothing is written through links from the archive itself. Names are created and removed under
//! the lock of [`Unfinished`]; content is read without it.

use super::super::output::told;
use super::super::unfinished::Unfinished;
use super::entries::{Entries, Entry, Kind};
use super::named;
use super::names::inside;
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

    /// Extracts one entry, reading its content from `entries`. Returns whether its type is
    /// supported.
    ///
    /// # Errors
    /// One line: the archive is hostile or truncated, or something cannot be created.
    pub fn put<R: Read>(
        &mut self,
        path: &Path,
        entry: &Entry,
        entries: &mut Entries<R>,
    ) -> io::Result<bool> {
        if entry.kind == Kind::Other {
            return Ok(false);
        }
        let step = self.unfinished.lock();
        self.make_parents(path)?;
        let place = self.root.join(path);
        if entry.kind == Kind::File {
            // Reading waits for the sender; an interrupt must not wait for that.
            drop(step);
        }
        let made = match entry.kind {
            Kind::Directory => self.put_directory(path, entry),
            Kind::File => self.put_file(&place, entry, entries),
            Kind::Symlink => replace(&place)
                .and_then(|()| symlink(std::ffi::OsStr::from_bytes(&entry.link), &place)),
            Kind::HardLink => self.put_hard_link(&place, entry),
            Kind::Other => Ok(()),
        };
        made.map(|()| true).map_err(|error| match error.raw_os_error() {
            Some(_) => told(error.kind(), format!("cannot extract {}: {error}", named(path))),
            None => error,
        })
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

    fn settle(&self, place: &Path, attributes: Attributes) -> io::Result<()> {
        let directory = File::open(place)?;
        if let Some(seconds) = attributes.mtime_seconds {
            set_mtime(&directory, seconds)?;
        }
        directory.set_permissions(Permissions::from_mode(attributes.mode & self.allowed))
    }

    /// Creates missing parent directories. Recorded directories were created here and are never
    /// removed, so nothing can have replaced them.
    fn make_parents(&mut self, path: &Path) -> io::Result<()> {
        if self.holds_parent(path) {
            return Ok(());
        }
        let mut parent = PathBuf::new();
        for component in path.parent().into_iter().flatten() {
            parent.push(component);
            if self.directories.contains_key(&parent) {
                continue;
            }
            if !is_directory(&self.root.join(&parent))? {
                self.make_directory(&parent)?;
            }
            self.note(&parent, Attributes { mode: 0o777, mtime_seconds: None })?;
        }
        Ok(())
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
            return Err(told(ErrorKind::InvalidData, text.to_owned()));
        }
        Ok(())
    }

    fn put_directory(&mut self, path: &Path, entry: &Entry) -> io::Result<()> {
        let place = self.root.join(path);
        if !fs::symlink_metadata(&place).is_ok_and(|found| found.is_dir()) {
            replace(&place)?;
            self.make_directory(path)?;
        }
        let mtime_seconds = Some(entry.mtime_seconds);
        self.note(path, Attributes { mode: entry.mode & 0o777, mtime_seconds })
    }

    fn put_file<R: Read>(
        &self,
        place: &Path,
        entry: &Entry,
        entries: &mut Entries<R>,
    ) -> io::Result<()> {
        let mut file = self.create_file(place)?;
        io::copy(entries, &mut file)?;
        file.set_permissions(Permissions::from_mode(entry.mode & self.allowed))?;
        set_mtime(&file, entry.mtime_seconds)
    }

    fn create_file(&self, place: &Path) -> io::Result<File> {
        let _step = self.unfinished.lock();
        replace(place)?;
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(place)
    }

    /// Creates a hard link to an entry extracted earlier.
    fn put_hard_link(&self, place: &Path, entry: &Entry) -> io::Result<()> {
        let target = inside(&entry.link)?.unwrap_or_default();
        let source = self.root.join(&target);
        let linkable = |path: &Path| fs::symlink_metadata(path).is_ok_and(|found| !found.is_dir());
        if !(self.holds_parent(&target) && linkable(&source)) {
            let text = format!("the archive links to {}, which it does not hold", named(&target));
            return Err(told(ErrorKind::InvalidData, text));
        }
        if source == place {
            return Ok(());
        }
        replace(place)?;
        // Does not follow: a hard link to a symbolic link is a symbolic link (link(2)).
        fs::hard_link(source, place)
    }
}

/// Returns true for a directory, false if nothing exists at this path.
///
/// # Errors
/// Something else exists there, such as a link to another place.
fn is_directory(place: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(place) {
        Ok(found) if found.is_dir() => Ok(true),
        Ok(_) => {
            let text = "the archive uses something as a directory that is none, such as a link";
            Err(told(ErrorKind::InvalidData, text.to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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
