//! Unpacking: extracts a stream into a private directory, and moves the files to their destination
//! once the archive is complete.

use super::super::output::{exists, move_to, partial_name, shown, told};
use super::super::unfinished::{Partial, Unfinished};
use super::entries::Entries;
use super::names::{TopLevelNames, inside};
use super::tree::Tree;
use super::{BUFFER_BYTES, PathNotes};
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// The magic number of a Zstandard frame (RFC 8878, section 3.1.1).
const ZSTANDARD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Maximum window size of a sender, as a power of two: 128 MiB, the most that the command `zstd`
/// uses without `--long`, at its highest level.
const WINDOW_LOG_MAX: u32 = 27;

/// Maximum number of unfinished directories of one name.
const PARTIAL_MAX: u32 = 100;

/// The result of unpacking an archive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// The top-level entries created in the directory, as full paths.
    pub made: PathNotes,
    /// The skipped entries, by their paths in the archive: devices, fifos, unknown types.
    pub skipped: PathNotes,
}

/// Extracts a tar archive, optionally compressed with Zstandard, into an existing directory. During
/// extraction it is in `.NAME.partial` there, `NAME` being its first top-level name; once complete,
/// its top-level entries are moved. With `overwrite`, a file or an empty directory of the same name
/// is replaced; without, the name must be free. A non-empty directory is never replaced or merged
/// into: the sender chooses the names, and does not know what else it contains.
///
/// Top-level names are made safe as file names are. Permissions are kept as far as the umask
/// allows, without set-user-ID and the like, and modification times are kept; owners are not.
/// Symbolic links are created as they are, wherever they point, but nothing is written through
/// them.
///
/// # Errors
/// One line. If the input failed or ended early, is not a valid archive, or has a path or link that
/// leads outside, nothing of it is kept. If a name is taken and must not be replaced, nothing is
/// moved; if the name was free at first, the received data is kept, and the error names its path.
pub fn unpack(input: impl Read, into: &Path, overwrite: bool) -> io::Result<Unpacked> {
    unpack_noted(input, into, overwrite, &Unfinished::new())
}

/// Does the same for a command that can be interrupted: the staging path is recorded in
/// `unfinished` until everything has been moved, and its lock stops the extraction before the next
/// step.
pub(in crate::client) fn unpack_noted(
    input: impl Read,
    into: &Path,
    overwrite: bool,
    unfinished: &Unfinished,
) -> io::Result<Unpacked> {
    let mut entries = Entries::new(decompressed(input)?);
    let mut unpacked = Unpacked::default();
    let mut staging: Option<Staging> = None;
    let mut tops = TopLevelNames::default();
    while let Some(entry) = entries.next()? {
        let Some(path) = inside(&entry.path)? else { continue };
        let top = path.iter().next().unwrap_or_default();
        let is_there = || staging.as_ref().is_some_and(|staging| staging.has(top));
        if tops.is_next(&entry.path, top, is_there)? {
            check_free(&into.join(top), overwrite)?;
        }
        let staging = match &mut staging {
            Some(staging) => staging,
            none @ None => none.insert(Staging::create(into, top, unfinished)?),
        };
        if !staging.tree.put(&path, &entry, &mut entries)? {
            unpacked.skipped.note(&path);
        }
    }
    if let Some(staging) = staging {
        staging.finish(into, overwrite, &mut unpacked)?;
    }
    Ok(unpacked)
}

/// Returns the plain archive, whether it is compressed or not.
fn decompressed<'i>(mut input: impl Read + 'i) -> io::Result<Box<dyn Read + 'i>> {
    let mut magic = Vec::new();
    input.by_ref().take(ZSTANDARD_MAGIC.len() as u64).read_to_end(&mut magic)?;
    let compressed = magic == ZSTANDARD_MAGIC;
    let whole = io::Cursor::new(magic).chain(input);
    let buffered = BufReader::with_capacity(BUFFER_BYTES, whole);
    if !compressed {
        return Ok(Box::new(buffered));
    }
    let mut decoder = zstd::Decoder::with_buffer(buffered)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(Box::new(decoder))
}

/// Checks that an entry can be moved here: the path is free, or its file can be replaced.
fn check_free(place: &Path, overwrite: bool) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(place) else { return Ok(()) };
    if found.is_dir() && !is_empty(place) {
        let text = format!(
            "{} is a directory that is not empty, and is not replaced; extract elsewhere, or \
             remove it first",
            shown(place)
        );
        return Err(told(ErrorKind::AlreadyExists, text));
    }
    if overwrite { Ok(()) } else { Err(exists(place)) }
}

/// Whether a directory is empty; one that cannot be read may hold anything.
fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// The directory that holds an archive until it is complete. Removed on drop.
struct Staging<'u> {
    place: PathBuf,
    tree: Tree<'u>,
    unfinished: &'u Unfinished,
    keep: bool,
}

impl<'u> Staging<'u> {
    /// Creates `.NAME.partial`, or `.NAME.2.partial` and so on, readable only by its owner.
    fn create(into: &Path, name: &OsStr, unfinished: &'u Unfinished) -> io::Result<Self> {
        let mut noted = unfinished.lock();
        let mut number = 1;
        let place = loop {
            let mut hidden = OsString::from(".");
            hidden.push(partial_name(name, number));
            let place = into.join(hidden);
            match DirBuilder::new().mode(0o700).create(&place) {
                Ok(()) => break place,
                Err(error) if error.kind() == ErrorKind::AlreadyExists && number < PARTIAL_MAX => {
                    number += 1;
                }
                Err(error) => {
                    let text = format!("cannot create {}: {error}", shown(&place));
                    return Err(told(error.kind(), text));
                }
            }
        };
        let tree = Tree::create(place.join("new"), unfinished).inspect_err(|_| {
            // The error before this one is what matters.
            let _ = fs::remove_dir_all(&place);
        })?;
        *noted = Some(Partial::Directory(place.clone()));
        Ok(Self { place, tree, unfinished, keep: false })
    }

    /// Whether this name exists at the top level.
    fn has(&self, name: &OsStr) -> bool {
        fs::symlink_metadata(self.place.join("new").join(name)).is_ok()
    }

    /// Moves all top-level entries to their destination, and removes itself. An interrupt takes
    /// effect before or after all of this.
    fn finish(mut self, into: &Path, overwrite: bool, unpacked: &mut Unpacked) -> io::Result<()> {
        let mut noted = self.unfinished.lock();
        self.tree.settle_inside()?;
        let new = self.place.join("new");
        // The archive is complete: whatever fails from here on, nothing of it is removed.
        self.keep = true;
        let empty_once_moved = noted.take();
        self.move_all(&new, into, overwrite, unpacked).map_err(|error| {
            let text = format!("{error}; everything was received into {}", shown(&new));
            told(error.kind(), text)
        })?;
        self.keep = false;
        *noted = empty_once_moved;
        Ok(())
    }

    fn move_all(
        &self,
        new: &Path,
        into: &Path,
        overwrite: bool,
        unpacked: &mut Unpacked,
    ) -> io::Result<()> {
        // Check again, and all names before the first move: the destination may have changed since.
        for entry in fs::read_dir(new)? {
            check_free(&into.join(entry?.file_name()), overwrite)?;
        }
        // Repeat until nothing is left: reading a directory can miss entries when others are moved
        // out of it.
        loop {
            let before = unpacked.made.total;
            for entry in fs::read_dir(new)? {
                let name = entry?.file_name();
                let target = into.join(&name);
                move_one(&new.join(&name), &target, overwrite)?;
                self.tree.settle_top(Path::new(&name), &target)?;
                unpacked.made.note(&target);
            }
            if unpacked.made.total == before {
                return Ok(());
            }
        }
    }
}

/// Moves a file or a directory, replacing an existing one if requested. None of these calls
/// replaces a non-empty directory, even one that is being filled right now (rename(2), rmdir(2)).
fn move_one(from: &Path, to: &Path, overwrite: bool) -> io::Result<()> {
    let is_directory = |path| fs::symlink_metadata(path).map(|found| found.is_dir());
    let Ok(old_is_directory) = is_directory(to) else { return move_to(from, to, false) };
    if !overwrite || old_is_directory == is_directory(from)? {
        return move_to(from, to, overwrite);
    }
    // Only one of the two is a directory, so rename(2) cannot replace it.
    let removed = if old_is_directory { fs::remove_dir(to) } else { fs::remove_file(to) };
    removed
        .map_err(|error| told(error.kind(), format!("cannot replace {}: {error}", shown(to))))?;
    move_to(from, to, false)
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        let mut noted = self.unfinished.lock();
        *noted = None;
        if !self.keep {
            // The directory's name explains itself; the earlier error is what the user must see.
            let _ = fs::remove_dir_all(&self.place);
        }
    }
}

#[cfg(test)]
mod tests;
