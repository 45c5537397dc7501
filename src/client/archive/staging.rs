//! The private directory that an archive is extracted into, and the move to the destination.

use super::notes::PathNotes;
use super::tree::Tree;
use super::unpack::Unpacked;
use crate::client::output::{first_free, io_error, move_to, partial_name, shown};
use crate::client::unfinished::{Partial, Unfinished};
use crate::ops::cause;
use std::ffi::OsString;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// Maximum number of unfinished directories of one name.
const PARTIAL_MAX: u32 = 100;

/// The directory that holds an archive until it is complete. Removed on drop.
pub(super) struct Staging<'u> {
    place: PathBuf,
    /// The first top-level name.
    name: OsString,
    pub(super) tree: Tree<'u>,
    unfinished: &'u Unfinished,
    keep: bool,
}

impl<'u> Staging<'u> {
    /// Creates `.NAME.partial`, or `.NAME.2.partial` and so on, readable only by its owner. `NAME` is
    /// the first component of the path of the first entry.
    pub(super) fn create(
        into: &Path,
        first: &Path,
        unfinished: &'u Unfinished,
    ) -> io::Result<Self> {
        let mut noted = unfinished.lock();
        let name = first.iter().next().unwrap_or_default();
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
                    let text = format!("cannot create {}: {}", shown(&place), cause(&error));
                    return Err(io_error(error.kind(), text));
                }
            }
        };
        let tree = Tree::create(place.join("new"), unfinished).inspect_err(|_| {
            // The error before this one is what matters.
            let _ = fs::remove_dir_all(&place);
        })?;
        *noted = Some(Partial::Directory(place.clone()));
        Ok(Self { place, name: name.to_owned(), tree, unfinished, keep: false })
    }

    /// Moves all top-level entries to their destination, and removes itself. An interrupt takes
    /// effect before or after all of this.
    pub(super) fn finish(
        mut self,
        into: &Path,
        overwrite: bool,
        unpacked: &mut Unpacked,
    ) -> io::Result<()> {
        let mut noted = self.unfinished.lock();
        self.tree.settle_inside()?;
        let new = self.place.join("new");
        // The archive is complete: whatever fails from here on, nothing of it is removed.
        self.keep = true;
        let empty_once_moved = noted.take();
        self.move_all(&new, into, overwrite, unpacked).map_err(|error| {
            let text = format!("{error}; everything was received into {}", shown(&new));
            io_error(error.kind(), text)
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
        // All names before the first move: nothing is moved in part.
        let (mut count, mut only, mut taken) = (0_u64, OsString::new(), None);
        for entry in fs::read_dir(new)? {
            only = entry?.file_name();
            count += 1;
            taken = taken.or(Some(into.join(&only)).filter(|to| !can_be_moved(to, overwrite)));
        }
        if taken.is_none() {
            return self.move_each(new, into, overwrite, &mut unpacked.made);
        }
        let is_single = count == 1;
        let (from, name) =
            if is_single { (new.join(&only), &only) } else { (new.to_owned(), &self.name) };
        unpacked.taken = taken;
        let target = first_free(&into.join(name), 1, |target| {
            move_to(&from, target, false).map(|()| target.to_owned())
        })?;
        if is_single {
            self.tree.settle_top(Path::new(name), &target)?;
            unpacked.made.note(&target);
        } else {
            self.settle_all(&target, &mut unpacked.made)?;
        }
        unpacked.renamed = Some(target);
        Ok(())
    }

    /// Settles top-level entries that were moved together.
    fn settle_all(&self, place: &Path, made: &mut PathNotes) -> io::Result<()> {
        for entry in fs::read_dir(place)? {
            let name = entry?.file_name();
            self.tree.settle_top(Path::new(&name), &place.join(&name))?;
            made.note(&place.join(&name));
        }
        self.tree.settle_root(place)
    }

    fn move_each(
        &self,
        new: &Path,
        into: &Path,
        overwrite: bool,
        made: &mut PathNotes,
    ) -> io::Result<()> {
        // Repeat until nothing is left: reading a directory can miss entries when others are moved
        // out of it.
        loop {
            let before = made.total;
            for entry in fs::read_dir(new)? {
                let name = entry?.file_name();
                let target = into.join(&name);
                move_one(&new.join(&name), &target, overwrite)?;
                self.tree.settle_top(Path::new(&name), &target)?;
                made.note(&target);
            }
            if made.total == before {
                return Ok(());
            }
        }
    }
}

/// Whether an entry can be moved here: nothing has its name, or something that can be replaced.
fn can_be_moved(place: &Path, overwrite: bool) -> bool {
    let Ok(found) = fs::symlink_metadata(place) else { return true };
    overwrite && (!found.is_dir() || is_empty(place))
}

/// Whether a directory is empty; one that cannot be read may hold anything.
fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none())
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
    removed.map_err(|error| {
        io_error(error.kind(), format!("cannot replace {}: {}", shown(to), cause(&error)))
    })?;
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
