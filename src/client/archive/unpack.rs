//! Unpacking: a stream to files, in a directory of its own first. Only what was complete is moved
//! to where it is wanted.

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

/// What every Zstandard frame begins with (RFC 8878, section 3.1.1).
const ZSTANDARD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The largest window a sender can make us hold, as a power of two: 128 MiB, the most that the
/// command `zstd` writes without `--long`, at its highest level.
const WINDOW_LOG_MAX: u32 = 27;

/// How many directories of one name may be unfinished at once.
const PARTIAL_MAX: u32 = 100;

/// What came of an archive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// What is in the directory now that was not before: the top of the archive, as full paths.
    pub made: PathNotes,
    /// What was left out, by its path in the archive: devices, fifos, kinds nobody knows.
    pub skipped: PathNotes,
}

/// Extracts a tar archive, compressed with Zstandard or not, into a directory that exists. While it
/// comes, it is in `.NAME.partial` there, `NAME` being its first name; when it is complete, what is
/// at its top is moved. With `overwrite`, a file or an empty directory of the same name is replaced;
/// without, it must not exist. A directory that is not empty is never replaced, and nothing is merged
/// into it: the sender chooses the names, and knows nothing of what else is in there.
///
/// Names at the top are made safe as those of files are. Permissions are kept as far as the umask
/// allows, without set-user-ID and its like, and modification times; owners are not. Symbolic links
/// are made as they are, wherever they point, but nothing goes through them.
///
/// # Errors
/// One line. The input failed or stopped early, is no archive, or has a path or link that leads
/// elsewhere: nothing is left of it then. Or a name is taken by what may not be replaced: nothing is
/// moved then; if it was free at first, what was received is kept, and the error says where.
pub fn unpack(input: impl Read, into: &Path, overwrite: bool) -> io::Result<Unpacked> {
    unpack_noted(input, into, overwrite, &Unfinished::new())
}

/// The same for a command that may be interrupted: where everything is until it has been moved is
/// noted in `unfinished`, whose lock stops the extraction before its next step.
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

/// The archive itself, whether it is compressed or not.
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

/// Whether something may be moved here: nothing is there, or what may be replaced.
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

/// What cannot be looked into may hold anything.
fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
}

/// Where the archive is until it is complete. Removed when it is dropped.
struct Staging<'u> {
    place: PathBuf,
    tree: Tree<'u>,
    unfinished: &'u Unfinished,
    keep: bool,
}

impl<'u> Staging<'u> {
    /// Makes `.NAME.partial`, or `.NAME.2.partial` and so on, for nobody else to look into.
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

    /// Whether something of this name is at the top.
    fn has(&self, name: &OsStr) -> bool {
        fs::symlink_metadata(self.place.join("new").join(name)).is_ok()
    }

    /// Moves everything at the top to where it is wanted, and removes itself. An interruption comes
    /// before all of it or after.
    fn finish(mut self, into: &Path, overwrite: bool, unpacked: &mut Unpacked) -> io::Result<()> {
        let mut noted = self.unfinished.lock();
        self.tree.settle_inside()?;
        let new = self.place.join("new");
        // It is complete: whatever fails from here on, nothing of it is removed.
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
        // Once more, and all of them before the first is moved: much may have happened meanwhile.
        for entry in fs::read_dir(new)? {
            check_free(&into.join(entry?.file_name()), overwrite)?;
        }
        // Again, until nothing is found: a directory may be read past what is moved out of it.
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

/// Moves a file or a directory, over what is there if that is wanted. None of these calls replaces a
/// directory with something in it, not even one that is filled at this moment (rename(2), rmdir(2)).
fn move_one(from: &Path, to: &Path, overwrite: bool) -> io::Result<()> {
    let is_directory = |path| fs::symlink_metadata(path).map(|found| found.is_dir());
    let Ok(old_is_directory) = is_directory(to) else { return move_to(from, to, false) };
    if !overwrite || old_is_directory == is_directory(from)? {
        return move_to(from, to, overwrite);
    }
    // Of both, only one is a directory: there is no rename over the other.
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
            // It has a telling name; what went wrong before is what the user must know.
            let _ = fs::remove_dir_all(&self.place);
        }
    }
}

#[cfg(test)]
mod tests;
