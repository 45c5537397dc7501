//! Packing: writes a directory to a stream.

use super::super::output::{shown, told};
use super::links::Links;
use super::walk::{Walk, unreadable};
use super::{BUFFER_BYTES, SkipNotes, SkipReason};
use rustix::fs::OFlags;
use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tar::{Builder, EntryType, Header};

/// The default level of Zstandard, a balance of speed and ratio.
const LEVEL: i32 = zstd::DEFAULT_COMPRESSION_LEVEL;

/// Maximum length of a name within a header, in bytes; longer names precede the header in an entry
/// of their own.
pub(super) const SHORT_NAME_BYTES: usize = 100;

/// Writes a directory as a tar archive whose names begin with the name of the directory: `site/`
/// gives `site/index.html`. The root directory is named `root`. Symbolic and hard links are
/// preserved, as are permissions and modification times (in seconds); owners are not. Holes are
/// sent as zeros.
///
/// Returns the skipped paths: sockets, fifos and devices, and files that vanished.
///
/// # Errors
/// One line. Something cannot be read, or a file shrank while it was read; or `out` failed. The
/// archive then has no end marker, so no reader takes it for a complete one.
pub fn pack(directory: &Path, out: impl Write) -> io::Result<SkipNotes> {
    let mut builder = Builder::new(ShutOffWriter {
        out: BufWriter::with_capacity(BUFFER_BYTES, out),
        shut: false,
    });
    let packed = PackState::default().all(directory, &mut builder);
    // Dropping the builder writes the end marker, which a broken archive must not get.
    builder.get_mut().shut = packed.is_err();
    let skipped = packed?;
    builder.into_inner()?.out.flush()?;
    Ok(skipped)
}

/// Does the same, compressed with Zstandard and with a checksum.
///
/// # Errors
/// As [`pack`].
pub fn pack_compressed(directory: &Path, out: impl Write) -> io::Result<SkipNotes> {
    let mut encoder = zstd::Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    let skipped = pack(directory, &mut encoder)?;
    encoder.finish()?.flush()?;
    Ok(skipped)
}

/// Returns the name of a directory, even if its path does not end in it (`.`).
pub(super) fn top_name(directory: &Path) -> io::Result<OsString> {
    if let Some(name) = directory.file_name() {
        return Ok(name.to_owned());
    }
    let whole = directory.canonicalize().map_err(|error| unreadable(directory, &error))?;
    Ok(whole.file_name().map_or_else(|| "root".into(), ToOwned::to_owned))
}

/// The state while a directory is being packed.
#[derive(Default)]
struct PackState {
    links: Links,
    skipped: SkipNotes,
}

impl PackState {
    fn all<W: Write>(
        mut self,
        directory: &Path,
        builder: &mut Builder<W>,
    ) -> io::Result<SkipNotes> {
        let top = PathBuf::from(top_name(directory)?);
        let metadata = fs::metadata(directory).map_err(|error| unreadable(directory, &error))?;
        let walk = Walk::new(directory)?;
        add_empty(builder, header(&metadata, EntryType::Directory), &top.join(""))?;
        for found in walk {
            let (path, metadata) = found?;
            let name = top.join(path.strip_prefix(directory).unwrap_or(&path));
            self.add(builder, (&path, &name), &metadata)?;
        }
        Ok(self.skipped)
    }

    /// Adds one entry, by its path and its name in the archive.
    fn add<W: Write>(
        &mut self,
        builder: &mut Builder<W>,
        (path, name): (&Path, &Path),
        metadata: &Metadata,
    ) -> io::Result<()> {
        if metadata.is_dir() {
            add_empty(builder, header(metadata, EntryType::Directory), &name.join(""))
        } else if metadata.is_symlink() {
            let target = fs::read_link(path).map_err(|error| unreadable(path, &error))?;
            add_link(builder, header(metadata, EntryType::Symlink), name, &target)
        } else if !metadata.is_file() {
            self.skipped.skip(path, SkipReason::NotRegular);
            Ok(())
        } else if let Some(first) = self.links.first(metadata, name) {
            add_link(builder, header(metadata, EntryType::Link), name, &first)
        } else {
            self.add_file(builder, path, name)
        }
    }

    fn add_file<W: Write>(
        &mut self,
        builder: &mut Builder<W>,
        path: &Path,
        name: &Path,
    ) -> io::Result<()> {
        // The file may since have been replaced: do not follow a link or wait on a fifo.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.links.forget(name);
                self.skipped.skip(path, SkipReason::Vanished);
                return Ok(());
            }
            Err(error) => return Err(unreadable(path, &error)),
        };
        let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
        if !metadata.is_file() {
            self.links.forget(name);
            self.skipped.skip(path, SkipReason::NotRegular);
            return Ok(());
        }
        let mut header = header(&metadata, EntryType::Regular);
        header.set_size(metadata.len());
        builder.append_data(&mut header, name, ExactSize { file, path, left_bytes: metadata.len() })
    }
}

/// Returns a header without a size. Owners are omitted: they mean nothing on another machine.
fn header(metadata: &Metadata, kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_mtime(metadata.mtime().try_into().unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    header
}

fn add_empty<W: Write>(
    builder: &mut Builder<W>,
    mut header: Header,
    name: &Path,
) -> io::Result<()> {
    builder.append_data(&mut header, name, io::empty())
}

/// Adds a symbolic or hard link. The library normalizes targets; those that fit are written as they
/// are.
fn add_link<W: Write>(
    builder: &mut Builder<W>,
    mut header: Header,
    name: &Path,
    target: &Path,
) -> io::Result<()> {
    if target.as_os_str().len() <= SHORT_NAME_BYTES {
        header.set_link_name_literal(target.as_os_str().as_bytes())?;
        return add_empty(builder, header, name);
    }
    builder.append_link(&mut header, name, target)
}

/// Reads exactly as many bytes of a file as its header declares: no more if the file grows, and an
/// error if it shrinks.
struct ExactSize<'p> {
    file: File,
    path: &'p Path,
    left_bytes: u64,
}

impl Read for ExactSize<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match (&self.file).take(self.left_bytes).read(buffer) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                return Err(unreadable(self.path, &error));
            }
            read => read?,
        };
        if count == 0 && self.left_bytes > 0 && !buffer.is_empty() {
            let text = format!("{} became shorter while it was read", shown(self.path));
            return Err(told(ErrorKind::UnexpectedEof, text));
        }
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

/// Passes bytes through until it is shut.
struct ShutOffWriter<W> {
    out: W,
    shut: bool,
}

impl<W: Write> Write for ShutOffWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shut {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
