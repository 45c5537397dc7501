//! Packing: writes a directory to a stream.

use super::super::known_length::known_length;
use super::super::output::{io_error, shown};
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

/// Maximum number of entries of one file that shrinks while it is read.
const ATTEMPTS_MAX: u32 = 4;

/// Maximum size of a file that does not declare it, in bytes: it is read into memory.
const UNSIZED_MAX_BYTES: u64 = 16 << 20;

/// Writes a directory as a tar archive whose names begin with the name of the directory: `site/`
/// gives `site/index.html`. The root directory is named `root`. Symbolic and hard links are
/// preserved, as are permissions and modification times (in seconds); owners are not. Holes are
/// sent as zeros.
///
/// Returns the skipped paths: sockets, fifos and devices, files that vanished, and files of `/proc`
/// and `/sys` that cannot be read.
///
/// # Errors
/// One line. Something cannot be read, or a file shrank again and again; or `out` failed. The
/// archive then has no end marker, so no reader takes it for a complete one.
pub fn pack(directory: &Path, out: impl Write) -> io::Result<SkipNotes> {
    pack_all(&[directory.to_owned()], out)
}

/// Does the same, compressed with Zstandard and with a checksum.
///
/// # Errors
/// As [`pack`].
pub fn pack_compressed(directory: &Path, out: impl Write) -> io::Result<SkipNotes> {
    pack_all_compressed(&[directory.to_owned()], out)
}

/// Does the same as [`pack`] for several files and directories, of different names.
///
/// # Errors
/// As [`pack`].
pub fn pack_all(paths: &[PathBuf], out: impl Write) -> io::Result<SkipNotes> {
    let mut builder = Builder::new(ShutOffWriter {
        out: BufWriter::with_capacity(BUFFER_BYTES, out),
        shut: false,
    });
    let mut state = PackState::default();
    let packed = paths.iter().try_for_each(|path| state.all(path, &mut builder));
    // Dropping the builder writes the end marker, which a broken archive must not get.
    builder.get_mut().shut = packed.is_err();
    packed?;
    builder.into_inner()?.out.flush()?;
    Ok(state.skipped)
}

/// Does the same, compressed with Zstandard and with a checksum.
///
/// # Errors
/// As [`pack`].
pub fn pack_all_compressed(paths: &[PathBuf], out: impl Write) -> io::Result<SkipNotes> {
    let mut encoder = zstd::Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    let skipped = pack_all(paths, &mut encoder)?;
    encoder.finish()?.flush()?;
    Ok(skipped)
}

/// Returns the name of a file or directory, even if its path does not end in it (`.`).
pub(super) fn top_name(path: &Path) -> io::Result<OsString> {
    if let Some(name) = path.file_name() {
        return Ok(name.to_owned());
    }
    let whole = path.canonicalize().map_err(|error| unreadable(path, &error))?;
    Ok(whole.file_name().map_or_else(|| "root".into(), ToOwned::to_owned))
}

/// The state while a directory is being packed.
#[derive(Default)]
struct PackState {
    links: Links,
    skipped: SkipNotes,
}

impl PackState {
    /// Adds a file, or a directory and everything below it.
    fn all<W: Write>(&mut self, directory: &Path, builder: &mut Builder<W>) -> io::Result<()> {
        let top = PathBuf::from(top_name(directory)?);
        let metadata = fs::metadata(directory).map_err(|error| unreadable(directory, &error))?;
        if !metadata.is_dir() {
            // A link that was named is followed; those in a directory are not.
            let real = directory.canonicalize().map_err(|error| unreadable(directory, &error))?;
            return self.add(builder, (&real, &top), &metadata);
        }
        let walk = Walk::new(directory)?;
        add_empty(builder, header(&metadata, EntryType::Directory), &top.join(""))?;
        for found in walk {
            let (path, metadata) = found?;
            let name = top.join(path.strip_prefix(directory).unwrap_or(&path));
            self.add(builder, (&path, &name), &metadata)?;
        }
        Ok(())
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

    /// Adds a file with what can be read of it. A file that shrinks while it is read is padded, and
    /// added again: readers of the archive replace the first entry.
    fn add_file<W: Write>(
        &mut self,
        builder: &mut Builder<W>,
        path: &Path,
        name: &Path,
    ) -> io::Result<()> {
        for _ in 0..ATTEMPTS_MAX {
            let file = match open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    self.skip((path, name), SkipReason::Vanished);
                    return Ok(());
                }
                Err(error) => return Err(unreadable(path, &error)),
            };
            let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
            if !metadata.is_file() {
                self.skip((path, name), SkipReason::NotRegular);
                return Ok(());
            }
            let mut header = header(&metadata, EntryType::Regular);
            let known = known_length(&file).map_err(|error| unreadable(path, &error))?;
            let Some(left_bytes) = known else {
                let Some(content) = unsized_content(&file) else {
                    self.skip((path, name), SkipReason::Unreadable);
                    return Ok(());
                };
                header.set_size(content.len() as u64);
                return builder.append_data(&mut header, name, content.as_slice());
            };
            header.set_size(left_bytes);
            let mut content = ExactSize { file, path, left_bytes, has_shrunk: false };
            builder.append_data(&mut header, name, &mut content)?;
            if !content.has_shrunk {
                return Ok(());
            }
        }
        let text = format!("{} keeps becoming shorter while it is read", shown(path));
        Err(io_error(ErrorKind::UnexpectedEof, text))
    }

    fn skip(&mut self, (path, name): (&Path, &Path), why: SkipReason) {
        self.links.forget(name);
        self.skipped.skip(path, why);
    }
}

/// Opens a file that may since have been replaced: does not follow a link or wait on a fifo.
fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}

/// Reads a file that does not declare its size, as in `/proc`; `None` if it cannot be read, or is
/// too large for memory.
fn unsized_content(file: &File) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    file.take(UNSIZED_MAX_BYTES + 1).read_to_end(&mut content).ok()?;
    (content.len() as u64 <= UNSIZED_MAX_BYTES).then_some(content)
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

/// Reads exactly as many bytes of a file as its header declares: no more if the file grows, and
/// zeros if it shrinks.
struct ExactSize<'p> {
    file: File,
    path: &'p Path,
    left_bytes: u64,
    has_shrunk: bool,
}

impl Read for ExactSize<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = &mut buffer[..most];
        let mut count = if self.has_shrunk { 0 } else { self.read_file(buffer)? };
        if count == 0 {
            self.has_shrunk |= !buffer.is_empty();
            buffer.fill(0);
            count = buffer.len();
        }
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

impl ExactSize<'_> {
    fn read_file(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.file.read(buffer) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                Err(unreadable(self.path, &error))
            }
            read => read,
        }
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
