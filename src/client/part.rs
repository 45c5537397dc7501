//! One file of a form: where its bytes come from, and what the form says of it.

use super::Error;
use super::connection::Sent;
use super::outgoing::{COPY_BYTES, Outgoing};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;

/// One file of a form. Any reader is one: `upload.send(reader)`.
///
/// What is not set here is as the [`Upload`](super::Upload) says.
pub struct Part<'r> {
    pub(super) source: Source<'r>,
    pub(super) field_name: Option<String>,
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) size_bytes: Option<u64>,
}

/// Where bytes come from.
pub(super) enum Source<'r> {
    /// A regular file, which the kernel sends by itself, and how many bytes it has left.
    File(File, u64),
    /// A pipe, a device or a terminal that was opened for this.
    Stream(File),
    /// A pipe, a socket or a terminal of somebody else.
    Descriptor(BorrowedFd<'r>),
    /// Anything that can be read.
    Reader(Box<dyn Read + 'r>),
}

impl<'r> Part<'r> {
    /// The file of this path: its name is the path's last component, and a regular file's length
    /// is what it has now. Regular files are sent by the kernel, without being copied.
    ///
    /// # Errors
    /// [`Error::Local`] if it cannot be opened.
    pub fn path(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let named = |error: io::Error| Error::local(format!("opening {}", path.display()), error);
        let file = File::open(path).map_err(named)?;
        if file.metadata().map_err(named)?.is_dir() {
            return Err(named(io::ErrorKind::IsADirectory.into()));
        }
        let mut part = Self::open_file(file).map_err(named)?;
        part.file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(part)
    }

    /// An open file, from where it stands to where it ends now. What is not a regular file is sent to
    /// its end, as by [`Part::descriptor`].
    ///
    /// # Errors
    /// What fstat(2), lseek(2) or read(2) say.
    pub fn open_file(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Ok(Self::of(Source::Stream(file)));
        }
        let start = file.stream_position()?;
        let left = metadata.len().saturating_sub(start);
        // Files of /proc are regular, say that they are empty, and are not.
        if left == 0 && file.read(&mut [0])? > 0 {
            file.seek(io::SeekFrom::Start(start))?;
            return Ok(Self::of(Source::Stream(file)));
        }
        Ok(Self::of(Source::File(file, left)))
    }

    /// What a pipe, a socket or a terminal gives until its end. While it gives nothing, an answer
    /// of the server is still noticed, which a blocking reader cannot do.
    pub fn descriptor(input: BorrowedFd<'r>) -> Self {
        Self::of(Source::Descriptor(input))
    }

    /// The name of the form's field.
    #[must_use]
    pub fn field_name(mut self, name: impl Into<String>) -> Self {
        self.field_name = Some(name.into());
        self
    }

    /// The name of the file.
    #[must_use]
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = Some(name.into());
        self
    }

    /// The media type, such as `text/csv`.
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// How many bytes there will be. Where it is known of all files of a form, the request has a
    /// `Content-Length`. Fewer or more are an [`Error::Size`], and the request is broken off.
    #[must_use]
    pub fn size_bytes(mut self, bytes: u64) -> Self {
        self.size_bytes = Some(bytes);
        self
    }

    /// How many bytes there will be, as far as that is known.
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

    /// The same with this size, unless it has one or knows its own.
    pub(super) fn size_bytes_if_unknown(mut self, bytes: u64) -> Self {
        match self.source {
            Source::File(..) => {}
            Source::Stream(_) | Source::Descriptor(_) | Source::Reader(_) => {
                self.size_bytes.get_or_insert(bytes);
            }
        }
        self
    }

    /// Sends its content.
    ///
    /// # Errors
    /// [`Error::Size`] if there is more or less of it than announced.
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

fn read_all(mut reader: impl Read, outgoing: &mut Outgoing) -> Result<Sent, Error> {
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let count = match reader.read(&mut buffer) {
            Ok(0) => return Ok(Sent::All),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::local("reading what is to be sent", error)),
        };
        if outgoing.bytes(&buffer[..count])? == Sent::Stopped {
            return Ok(Sent::Stopped);
        }
    }
}
