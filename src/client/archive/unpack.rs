//! Unpacking: a stream to files, in a directory of its own first. Only what was complete is moved
//! to where it is wanted.

use super::super::output::{exists, move_to, partial_name, shown, told};
use super::entries::Entries;
use super::names::{Tops, inside};
use super::tree::Tree;
use super::{BUFFER_BYTES, Noted};
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
    pub made: Noted,
    /// What was left out, by its path in the archive: devices, fifos, kinds nobody knows.
    pub skipped: Noted,
    /// The directory that could not be removed, with what was replaced in it.
    pub left_over: Option<PathBuf>,
}

/// Extracts a tar archive, compressed with Zstandard or not, into a directory that exists. While it
/// comes, it is in `.NAME.partial` there, `NAME` being its first name; when it is complete, what is
/// at its top is moved. With `overwrite`, what has the same name is replaced as a whole, and not
/// merged; without, it must not exist.
///
/// Names at the top are made safe as those of files are. Permissions are kept as far as the umask
/// allows, without set-user-ID and its like, and modification times; owners are not. Symbolic links
/// are made as they are, wherever they point, but nothing goes through them.
///
/// # Errors
/// One line. The input failed or stopped early, is no archive, or has a path or link that leads
/// elsewhere: nothing is left of it then. Or a name is taken; if it was free at first, what was
/// received is kept, and the error says where.
pub fn unpack(input: impl Read, into: &Path, overwrite: bool) -> io::Result<Unpacked> {
    unpack_watched(input, into, overwrite, &mut |_| ())
}

/// The same for somebody who may be interrupted: `partial` is told where everything is until it is
/// complete, and `None` before it is moved from there.
pub(in crate::client) fn unpack_watched(
    input: impl Read,
    into: &Path,
    overwrite: bool,
    partial: &mut dyn FnMut(Option<&Path>),
) -> io::Result<Unpacked> {
    let mut entries = Entries::new(decompressed(input)?);
    let mut unpacked = Unpacked::default();
    let mut staging: Option<Staging> = None;
    let mut tops = Tops::default();
    while let Some(entry) = entries.next()? {
        let Some(path) = inside(&entry.path)? else { continue };
        let top = path.iter().next().unwrap_or_default();
        let is_there = || staging.as_ref().is_some_and(|staging| staging.has(top));
        if tops.is_next(&entry.path, top, is_there)? {
            check_free(&into.join(top), overwrite)?;
        }
        let staging = match &mut staging {
            Some(staging) => staging,
            none @ None => {
                let created = Staging::create(into, top)?;
                partial(Some(&created.place));
                none.insert(created)
            }
        };
        if !staging.tree.put(&path, &entry, &mut entries)? {
            unpacked.skipped.note(&path);
        }
    }
    partial(None);
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

fn check_free(place: &Path, overwrite: bool) -> io::Result<()> {
    let taken = fs::symlink_metadata(place).is_ok();
    if taken && !overwrite { Err(exists(place)) } else { Ok(()) }
}

/// Where the archive is until it is complete. Removed when it is dropped.
struct Staging {
    place: PathBuf,
    tree: Tree,
    keep: bool,
}

impl Staging {
    /// Makes `.NAME.partial`, or `.NAME.2.partial` and so on, for nobody else to look into.
    fn create(into: &Path, name: &OsStr) -> io::Result<Self> {
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
        let tree = Tree::create(place.join("new")).inspect_err(|_| {
            // The error before this one is what matters.
            let _ = fs::remove_dir_all(&place);
        })?;
        Ok(Self { place, tree, keep: false })
    }

    /// Whether something of this name is at the top.
    fn has(&self, name: &OsStr) -> bool {
        fs::symlink_metadata(self.place.join("new").join(name)).is_ok()
    }

    /// Moves everything at the top to where it is wanted, and removes itself.
    fn finish(mut self, into: &Path, overwrite: bool, unpacked: &mut Unpacked) -> io::Result<()> {
        self.tree.settle_inside()?;
        let new = self.place.join("new");
        // Again, until nothing is found: a directory may be read past what is moved out of it.
        loop {
            let before = unpacked.made.total;
            for entry in fs::read_dir(&new)? {
                let name = entry?.file_name();
                let target = into.join(&name);
                self.move_one(&new.join(&name), &target, overwrite).map_err(|error| {
                    self.keep = true;
                    let text = format!("{error}; everything was received into {}", shown(&new));
                    told(error.kind(), text)
                })?;
                self.tree.settle_top(Path::new(&name), &target)?;
                unpacked.made.note(&target);
            }
            if unpacked.made.total == before {
                break;
            }
        }
        self.keep = true;
        if fs::remove_dir_all(&self.place).is_err() {
            unpacked.left_over = Some(self.place.clone());
        }
        Ok(())
    }

    /// What is replaced and cannot be renamed over, because one of both is a directory, is put aside
    /// first, and back if the other does not get there.
    fn move_one(&self, from: &Path, to: &Path, overwrite: bool) -> io::Result<()> {
        let is_directory = |path| fs::symlink_metadata(path).map(|found| found.is_dir());
        let Ok(old_is_directory) = is_directory(to) else { return move_to(from, to, false) };
        if !(overwrite && (old_is_directory || is_directory(from)?)) {
            return move_to(from, to, overwrite);
        }
        let aside = self.place.join("old");
        fs::create_dir_all(&aside)?;
        let aside = aside.join(to.file_name().unwrap_or_default());
        fs::rename(to, &aside).map_err(|error| {
            told(error.kind(), format!("cannot replace {}: {error}", shown(to)))
        })?;
        move_to(from, to, false).inspect_err(|_| {
            // If even that fails, it is still beside what was received.
            let _ = fs::rename(&aside, to);
        })
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.keep {
            // It has a telling name; what went wrong before is what the user must know.
            let _ = fs::remove_dir_all(&self.place);
        }
    }
}

#[cfg(test)]
mod tests;
