//! Uploads files to a server as `multipart/form-data` (RFC 7578), streamed: only a few hundred KiB
//! are in memory, whatever their size.

use super::connection::Sent;
use super::outgoing::{Outgoing, Request};
use super::part::Part;
use super::url::Url;
use super::{Error, Options, Response};
use crate::http::fields::is_token;
use crate::http::framing::Framing;
use crate::http::multipart::{self, Boundary, FormWriter};
use crate::ops::random;
use std::sync::{Arc, Mutex};

/// An upload to one URL; one after the other if need be.
///
/// ```
/// use rdv::client::{Part, Upload};
/// use std::io::Read as _;
/// # use std::io::{BufRead as _, Write as _};
/// # let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
/// # let url = format!("http://{}/files", listener.local_addr()?);
/// # let server = std::thread::spawn(move || -> std::io::Result<String> {
/// #     let (mut socket, _) = listener.accept()?;
/// #     let mut reader = std::io::BufReader::new(socket.try_clone()?);
/// #     let mut text = String::new();
/// #     while !text.ends_with("--\r\n\r\n0\r\n\r\n") {
/// #         reader.read_line(&mut text)?;
/// #     }
/// #     socket.write_all(b"HTTP/1.1 201 Created\r\nContent-Length: 5\r\n\r\nthere")?;
/// #     Ok(text)
/// # });
/// let mut upload = Upload::new("POST", &url)?;
/// upload.options().add_field("X-Batch", "7")?;
/// upload.send_unclose(Part::from("a,b\n1,2\n".as_bytes()).file_name("a.csv"))?;
/// upload.send_unclose(Part::path("Cargo.toml")?.field_name("manifest"))?;
/// let mut response = upload.close()?;
/// assert_eq!(response.status(), 201);
/// let mut text = String::new();
/// response.body().read_to_string(&mut text)?;
/// assert_eq!(text, "there");
/// # let sent = server.join().unwrap()?;
/// # assert!(sent.contains("filename=\"a.csv\"") && sent.contains("name=\"manifest\""));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Upload {
    method: String,
    url: Url,
    options: Options,
    field_name: String,
    file_name: String,
    content_type: Option<String>,
    size_bytes: Option<u64>,
    progress: Shared,
    request: UploadState,
}

type Shared = Arc<Mutex<Box<dyn FnMut(u64) + Send>>>;

/// The state of the request.
enum UploadState {
    /// No request was begun.
    None,
    /// The head was sent, and any number of files.
    Open(Box<Outgoing>, FormWriter),
    /// The request was answered, or aborted.
    Over,
}

impl Upload {
    /// Creates an upload with this method, such as `POST`, to this URL.
    ///
    /// # Errors
    /// [`Error::Input`] if the method is not a token or the URL not one of `http` or `https`.
    pub fn new(method: &str, url: &str) -> Result<Self, Error> {
        // Responses to HEAD and CONNECT have framing rules of their own.
        if !is_token(method.as_bytes()) || matches!(method, "HEAD" | "CONNECT" | "TRACE") {
            let shown = method.escape_debug();
            return Err(Error::Input(format!("'{shown}' sends no form; use POST, PUT or PATCH")));
        }
        Ok(Self {
            method: method.to_owned(),
            url: url.parse()?,
            options: Options::default(),
            field_name: "file".into(),
            file_name: "data".into(),
            content_type: None,
            size_bytes: None,
            progress: Arc::new(Mutex::new(Box::new(|_| ()))),
            request: UploadState::None,
        })
    }

    /// Returns the header fields, timeouts, authorities and proxies, for requests not yet begun.
    pub fn options(&mut self) -> &mut Options {
        &mut self.options
    }

    /// Sets all options at once.
    #[must_use]
    pub fn with_options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Sets the form field for files without one [default: `file`].
    #[must_use]
    pub fn field_name(mut self, name: impl Into<String>) -> Self {
        self.field_name = name.into();
        self
    }

    /// Sets the file name for files without one [default: `data`].
    #[must_use]
    pub fn file_name(mut self, name: impl Into<String>) -> Self {
        self.file_name = name.into();
        self
    }

    /// Sets the media type for files without one [default: `application/octet-stream`].
    #[must_use]
    pub fn content_type(mut self, content_type: impl Into<String>) -> Self {
        self.content_type = Some(content_type.into());
        self
    }

    /// Sets the size for files without a known one, in bytes.
    #[must_use]
    pub fn expected_size(mut self, bytes: u64) -> Self {
        self.size_bytes = Some(bytes);
        self
    }

    /// Sets the callback for the byte count of each step, including the form's own bytes.
    #[must_use]
    pub fn on_progress(mut self, progress: impl FnMut(u64) + Send + 'static) -> Self {
        self.progress = Arc::new(Mutex::new(Box::new(progress)));
        self
    }

    /// Sends a file as the last one of the request, ends the request, and returns the response as
    /// soon as it is received, even if not everything was sent.
    ///
    /// # Errors
    /// All but [`Error::Answered`]. [`Error::Size`] if the file does not have the announced length;
    /// the server then sees an incomplete request.
    pub fn send<'r>(&mut self, file: impl Into<Part<'r>>) -> Result<Response, Error> {
        self.send_all(vec![file.into()])
    }

    /// Sends files in one request, ends it, and returns the response. If all lengths are known, it
    /// has a `Content-Length`.
    ///
    /// # Errors
    /// All but [`Error::Answered`].
    pub fn send_all(&mut self, files: Vec<Part<'_>>) -> Result<Response, Error> {
        let files: Vec<_> = files.into_iter().map(|file| self.sized(file)).collect();
        match self.send_each(files) {
            Ok(()) => self.close(),
            Err(Error::Answered(response)) => Ok(*response),
            Err(error) => Err(error),
        }
    }

    /// Sends a file and leaves the request open for others, on the same connection.
    ///
    /// # Errors
    /// [`Error::Answered`] with the response if it was already received. After any error but
    /// [`Error::Input`] the request is over, and the next file begins another.
    pub fn send_unclose<'r>(&mut self, file: impl Into<Part<'r>>) -> Result<(), Error> {
        let file = self.sized(file.into());
        let head = self.head_of(&file)?;
        file.known_bytes()?;
        if !matches!(self.request, UploadState::Open(..)) {
            self.open(Framing::Chunked)?;
        }
        self.add(&head, file)
    }

    /// Ends the request and returns the response. If nothing was sent, it is an empty form.
    ///
    /// # Errors
    /// [`Error::Input`] if the request is already over: answered or aborted.
    pub fn close(&mut self) -> Result<Response, Error> {
        if matches!(self.request, UploadState::None) {
            self.open(Framing::Chunked)?;
        }
        match std::mem::replace(&mut self.request, UploadState::Over) {
            UploadState::Open(mut outgoing, form) => match outgoing.bytes(&form.close())? {
                Sent::All => outgoing.finish(None),
                Sent::Stopped => outgoing.answer(),
            },
            UploadState::None | UploadState::Over => {
                Err(Error::Input("the request is over; send a file to begin another".into()))
            }
        }
    }

    fn send_each(&mut self, files: Vec<Part<'_>>) -> Result<(), Error> {
        let heads: Result<Vec<_>, _> = files.iter().map(|file| self.head_of(file)).collect();
        let heads = heads?;
        let length = form_bytes(&heads, &files)?;
        if !matches!(self.request, UploadState::Open(..)) {
            self.open(length.map_or(Framing::Chunked, Framing::Length))?;
        }
        heads.iter().zip(files).try_for_each(|(head, file)| self.add(head, file))
    }

    /// Returns the length of a form of these files in bytes, if known: the total that
    /// [`on_progress`](Self::on_progress) will report.
    ///
    /// # Errors
    /// [`Error::Input`] and [`Error::Size`], as for sending them.
    pub fn length_bytes(&self, files: &[Part<'_>]) -> Result<Option<u64>, Error> {
        let heads: Result<Vec<_>, _> = files.iter().map(|file| self.head_of(file)).collect();
        form_bytes(&heads?, files)
    }

    /// Returns the file with the default size, if it has none.
    fn sized<'r>(&self, file: Part<'r>) -> Part<'r> {
        match self.size_bytes {
            Some(bytes) => file.size_bytes_if_unknown(bytes),
            None => file,
        }
    }

    fn head_of(&self, file: &Part<'_>) -> Result<multipart::Part, Error> {
        let field_name = file.field_name.as_ref().unwrap_or(&self.field_name);
        let file_name = file.file_name.as_ref().unwrap_or(&self.file_name);
        let content_type = file.content_type.as_deref().or(self.content_type.as_deref());
        multipart::Part::file(field_name, file_name, content_type).map_err(|error| {
            Error::Input(format!("{:?} is {error}", content_type.unwrap_or_default()))
        })
    }

    fn open(&mut self, framing: Framing) -> Result<(), Error> {
        let random = random::bytes();
        let random = random.map_err(|error| Error::local("cannot create a boundary", error))?;
        let boundary = Boundary::from_random(random);
        if self.options.has_field("Content-Type") {
            let why = "the form's own Content-Type names its boundary; give the type of a file";
            return Err(Error::Input(why.into()));
        }
        let request = Request {
            method: &self.method,
            url: &self.url,
            framing,
            fields: vec![("Content-Type", boundary.content_type())],
            expect_continue: false,
        };
        let mut outgoing = Box::new(Outgoing::open(&request, &self.options)?);
        let progress = Arc::clone(&self.progress);
        outgoing.report_to(Box::new(move |bytes| {
            if let Ok(mut progress) = progress.lock() {
                progress(bytes);
            }
        }));
        self.request = UploadState::Open(outgoing, FormWriter::new(boundary));
        Ok(())
    }

    /// Sends one file; any error ends the request.
    fn add(&mut self, head: &multipart::Part, file: Part<'_>) -> Result<(), Error> {
        let UploadState::Open(mut outgoing, mut form) =
            std::mem::replace(&mut self.request, UploadState::Over)
        else {
            return Err(Error::Input("the request is over; send a file to begin another".into()));
        };
        let mut sent = outgoing.bytes(&form.part(head))?;
        if sent == Sent::All {
            sent = file.send(&mut outgoing)?;
        }
        match sent {
            Sent::All => {
                self.request = UploadState::Open(outgoing, form);
                Ok(())
            }
            Sent::Stopped => Err(Error::Answered(Box::new(outgoing.answer()?))),
        }
    }
}

impl std::fmt::Debug for Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let request = match self.request {
            UploadState::None => "none",
            UploadState::Open(..) => "open",
            UploadState::Over => "over",
        };
        f.debug_struct("Upload")
            .field("method", &self.method)
            .field("url", &self.url.to_string())
            .field("request", &request)
            .finish_non_exhaustive()
    }
}

/// Returns the length of a form of these files, if known; every boundary has the same length.
fn form_bytes(heads: &[multipart::Part], files: &[Part<'_>]) -> Result<Option<u64>, Error> {
    let sizes: Result<Vec<_>, _> = files.iter().map(Part::known_bytes).collect();
    let contents = heads.iter().cloned().zip(sizes?);
    let known: Option<Vec<_>> = contents.map(|(head, size)| Some((head, size?))).collect();
    let boundary = Boundary::from_random([0; 16]);
    Ok(known.and_then(|known| FormWriter::length_bytes(&boundary, &known)))
}
