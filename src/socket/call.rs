//! `rdv call`: sends one request to the API at the other end of a socket and prints the response.

use super::relay::Relay;
use super::{Body, Error, SocketClient, SocketConnection};
use crate::client::commands::common::{AtRelay, Connecting};
use crate::client::commands::interrupt::UNFINISHED;
use crate::client::commands::reporter::{OutputArgs, Reporter};
use crate::client::commands::settings::Preferences;
use crate::client::commands::{Exit, Failure, watching};
use crate::client::known_length::known_length;
use crate::client::output::Output;
use crate::http::response::reason;
use crate::ops::cause;
use crate::ops::stdio::Waiting;
use clap::Args;
use http::{Request, Response};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read as _, Write};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// Size of the buffer the response is copied through.
const READ_BYTES: usize = 64 << 10;

/// The arguments of `rdv call`.
#[derive(Args, Clone, Debug)]
pub struct Call {
    /// Request method, such as GET
    #[arg(value_name = "METHOD")]
    pub method: String,

    /// Path with its query, such as /invoices?open
    #[arg(value_name = "PATH")]
    pub path: String,

    /// Request body: text, @FILE, or @- for standard input
    #[arg(long, short, value_name = "DATA|@FILE|@-")]
    pub data: Option<String>,

    /// Output file for the response body; replaced once complete
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Print the response head
    #[arg(long, short)]
    pub include: bool,

    /// Metadata for the relay: any JSON
    #[arg(long, value_name = "JSON", value_parser = parse_json)]
    pub metadata: Option<Value>,

    #[command(flatten)]
    at: AtRelay,
    #[command(flatten)]
    connecting: Connecting,
    #[command(flatten)]
    reporting: OutputArgs,
}

fn parse_json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("not valid JSON: {error}"))
}

impl Call {
    /// Sends the request, prints the response, and returns the exit code.
    pub fn run(&self) -> Exit {
        let reporter = Reporter::new(self.reporting);
        watching(&reporter, || self.call(&reporter))
    }

    fn call(&self, reporter: &Reporter) -> Result<(), Failure> {
        let preferences = Preferences::read()?;
        let mut options = self.connecting.options(&preferences)?;
        options.set_connect_retries(self.connecting.retries);
        // They are for the API; the relay receives the token only.
        let fields = std::mem::take(&mut options.fields);
        let request = self.request(&fields)?;
        let mut client = SocketClient::of_url(Relay::parse(self.at.named(&preferences))?.socket);
        client =
            client.with_options(options).with_metadata(self.metadata.clone().unwrap_or_default());
        if let Some(token) = self.at.token(&preferences)? {
            client = client.with_token(&token)?;
        }
        let connection = client.connect()?;
        let answer = self.answer(&connection, request);
        connection.close();
        connection.wait_parted();
        judge(answer?, reporter)
    }

    fn request(&self, fields: &[(String, String)]) -> Result<Request<Body>, Failure> {
        let wrong = |why: String| Failure::new(Exit::Usage, why);
        if !self.path.starts_with('/') {
            return Err(wrong(format!("the path '{}' must begin with a slash", self.path)));
        }
        let mut request = Request::builder().method(self.method.as_str()).uri(&self.path);
        for (name, value) in fields {
            request = request.header(name, value);
        }
        let body = self.data.as_deref().map_or_else(|| Ok(Body::empty()), body)?;
        request.body(body).map_err(|error| wrong(format!("'{}': {error}", self.path)))
    }

    /// Writes the complete response to its destination and returns its status.
    fn answer(
        &self,
        connection: &SocketConnection,
        request: Request<Body>,
    ) -> Result<u16, Failure> {
        let answer = connection.round_trip(request)?;
        let status = answer.status().as_u16();
        let stdout = io::stdout().as_fd().try_clone_to_owned().map(File::from).map(Waiting);
        let mut stdout = stdout.map_err(|error| Failure::local("standard output", error))?;
        if self.include {
            let written = stdout.write_all(&head(&answer));
            written.map_err(|error| Failure::local("cannot write to standard output", error))?;
        }
        match &self.output {
            None => copy(answer.into_body(), &mut stdout, "standard output")?,
            Some(path) => keep(answer.into_body(), path)?,
        }
        Ok(status)
    }
}

fn body(data: &str) -> Result<Body, Failure> {
    match data.strip_prefix('@') {
        None => Ok(data.into()),
        Some("-") => Ok(Body::from_reader(Waiting(io::stdin()))),
        Some(name) => {
            let failed = |error| Failure::local(format!("cannot read {name}"), error);
            let file = File::open(name).map_err(failed)?;
            Ok(match known_length(&file).map_err(failed)? {
                Some(length) => Body::sized(file, length),
                None => Body::from_reader(file),
            })
        }
    }
}

/// Formats the response head as HTTP/1.1.
fn head(answer: &Response<Body>) -> Vec<u8> {
    let status = answer.status().as_u16();
    let mut bytes = format!("HTTP/1.1 {status} {}\r\n", reason(status)).into_bytes();
    for (name, value) in answer.headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

/// Copies the body, writing each piece as soon as it is received.
fn copy(mut body: Body, to: &mut impl Write, name: &str) -> Result<(), Failure> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        let count = match body.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(error) => {
                let why = format!("the response was interrupted: {error}");
                return Err(Failure::new(Exit::OtherSide, why));
            }
        };
        let written = to.write_all(&buffer[..count]);
        written.map_err(|error| Failure::local(format!("cannot write to {name}"), error))?;
    }
}

fn keep(body: Body, path: &Path) -> Result<(), Failure> {
    let failed = |error: io::Error| Failure::new(Exit::Local, cause(&error));
    let output = Output::create_noted(path, true, &UNFINISHED).map_err(failed)?;
    if let Err(failure) = copy(body, &mut output.file(), &path.display().to_string()) {
        output.abandon_noted(&UNFINISHED);
        return Err(failure);
    }
    output.complete_noted(true, &UNFINISHED).map(drop).map_err(failed)
}

fn judge(status: u16, reporter: &Reporter) -> Result<(), Failure> {
    let said = match reason(status) {
        "" => format!("the API answered {status}"),
        reason => format!("the API answered {status} ({reason})"),
    };
    if status >= 400 {
        return Err(Failure::new(Exit::Refused, said));
    }
    reporter.note(&said, &json!({ "event": "complete", "status": status }));
    Ok(())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match &error {
            Error::Input(_) | Error::NotText | Error::TooLarge => Exit::Usage,
            Error::Body(_) => Exit::Local,
            Error::Refused { .. } | Error::Draining => Exit::Refused,
            Error::Closed { .. } if !error.is_passing() => Exit::Refused,
            Error::Cancelled(_)
            | Error::Protocol(_)
            | Error::Response(_)
            | Error::Timeout(_)
            | Error::TurnTimeout(_)
            | Error::TooManyWaiting => Exit::OtherSide,
            Error::Network { .. } | Error::Handshake(_) | Error::Closed { .. } | Error::Stopped => {
                Exit::Network
            }
        };
        Self::new(exit, format!("{error}{}", error.token_hint()))
    }
}
