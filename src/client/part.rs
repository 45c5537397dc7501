//! One file of a form: the source of its bytes, and its metadata.

use super::Error;
use super::connection::Sent;
use super::known_length::known_length;
use super::outgoing::{COPY_BYTES, Outgoing};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// One file of a form. Any reader can be one: `upload.send(reader)`.
///
/// Unset values default to those of the [`Upload`](super::Upload).
pub struct Part<'r> {
    pub(super) source: Source<'r>,
    pub(super) field_name: Option<String>,
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) size_bytes: Option<u64>,
}

/// The source of the bytes.
pub(super) enum Source<'r> {
    /// A regular file, sent by the kernel, and the number of bytes left.
    File(File, u64),
    /// A pipe, a device or a terminal, opened here.
    Stream(File),
    /// A borrowed pipe, socket or terminal.
    Descriptor(BorrowedFd<'r>),
    /// Any reader.
    Reader(Box<dyn Read + 'r>),
}

impl<'r> Part<'r> {
    /// Opens a file: the name is the last component of the path, and a regular file has its current
    /// length. The kernel sends regular files without copying.
    ///
    /// # Errors
    /// [`Error::Local`] if it cannot be opened.
    pub fn path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let named =
            |error: io::Error| Error::local(format!("cannot open {}", path.display()), error);
        let file = File::open(path).map_err(named)?;
        if file.metadata().map_err(named)?.is_dir() {
            return Err(named(io::ErrorKind::IsADirectory.into()));
        }
        let mut part = Self::open_file(file).map_err(named)?;
        part.file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(part)
    }

    /// Uses an open file, from its current position to its current end. Anything but a regular file
    /// is sent to its end, as by [`Part::descriptor`].
    ///
    /// # Errors
    /// The error of fstat(2), lseek(2) or read(2).
    pub fn open_file(file: File) -> io::Result<Self> {
        if let Some(left) = known_length(&file)? {
            return Ok(Self::of(Source::File(file, left)));
        }
        // A file that is really empty has a known length, too.
        let is_empty = file.metadata()?.is_file() && file.read_at(&mut [0], position(&file)?)? == 0;
        Ok(Self::of(if is_empty { Source::File(file, 0) } else { Source::Stream(file) }))
    }

    /// Sends the data of a pipe, a socket or a terminal until its end. A response is noticed even
    /// while there is no data, which a blocking reader cannot do.
    pub fn descriptor(input: BorrowedFd<'r>) -> Self {
        Self::of(Source::Descriptor(input))
    }

    /// Sets the name of the form field.
    #[must_use]
    pub fn field_name(mut self, name: impl Into<String>) -> Self {
        self.field_name = Some(name.into());
        self
    }

    /// Sets the file name.
    #[must_use]
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// Sets the media type, such as `text/csv`.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Sets the number of bytes. If it is known for all files of a form, the request has a
    /// `Content-Length`. Fewer or more are an [`Error::Size`], and the request is aborted.
    #[must_use]
    pub fn size_bytes(mut self, bytes: u64) -> Self {
        self.size_bytes = Some(bytes);
        self
    }

    /// Returns the number of bytes, if known.
    ///
    /// # Errors
    /// [`Error::Size`] if a regular file has fewer or more than announced.
    pub(super) fn known_bytes(&self) -> Result<Option<u64>, Error> {
        match (&self.source, self.size_bytes) {
            (&Source::File(_, found_bytes), Some(expected_bytes))
                if expected_bytes != found_bytes =>
            {
                Err(Error::Size { expected_bytes, found_bytes })
            }
            (&Source::File(_, bytes), _) => Ok(Some(bytes)),
            (Source::Stream(_) | Source::Descriptor(_) | Source::Reader(_), announced) => {
                Ok(announced)
            }
        }
    }

    /// Sets this size, unless one was set or is known.
    pub(super) fn size_bytes_if_unknown(mut self, bytes: u64) -> Self {
        match self.source {
            Source::File(..) => {}
            Source::Stream(_) | Source::Descriptor(_) | Source::Reader(_) => {
                self.size_bytes.get_or_insert(bytes);
            }
        }
        self
    }

    /// Sends the content.
    ///
    /// # Errors
    /// [`Error::Size`] if it is shorter or longer than announced.
    pub(super) fn send(self, outgoing: &mut Outgoing) -> Result<Sent, Error> {
        let content = |outgoing: &mut Outgoing| match self.source {
            Source::File(mut file, bytes) => outgoing.file(&mut file, bytes),
            Source::Stream(file) => outgoing.descriptor(file.as_fd()),
            Source::Descriptor(input) => outgoing.descriptor(input),
            Source::Reader(reader) => read_all(reader, outgoing),
        };
        match self.size_bytes {
            Some(bytes) => outgoing.exactly(bytes, content),
            None => content(outgoing),
        }
    }

    fn of(source: Source<'r>) -> Self {
        Self { source, field_name: None, file_name: None, content_type: None, size_bytes: None }
    }
}

impl<'r, R: Read + 'r> From<R> for Part<'r> {
    fn from(reader: R) -> Self {
        Self::of(Source::Reader(Box::new(reader)))
    }
}

impl fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match &self.source {
            Source::File(..) => "a file",
            Source::Stream(_) => "a stream",
            Source::Descriptor(_) => "a descriptor",
            Source::Reader(_) => "a reader",
        };
        f.debug_struct("Part")
            .field("source", &source)
            .field("field_name", &self.field_name)
            .field("file_name", &self.file_name)
            .field("content_type", &self.content_type)
            .field("size_bytes", &self.size_bytes)
            .finish()
    }
}

fn position(mut file: &File) -> io::Result<u64> {
    file.stream_position()
}

fn read_all(mut reader: impl Read, outgoing: &mut Outgoing) -> Result<Sent, Error> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(Sent::All),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::local("cannot read what is to be sent", error)),
        };
        if outgoing.bytes(&buffer[..count])? == Sent::Stopped {
            return Ok(Sent::Stopped);
        }
    }
}
