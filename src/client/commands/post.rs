//! `rdv post`: uploads files to any server as a form, in one request.

use super::common::{Connecting, media_type};
use super::reporter::{OutputArgs, Reporter};
use super::settings::Preferences;
use super::{Exit, Failure, watching};
use crate::client::{Part, Response, Upload, copy_to_file};
use crate::http::response::reason;
use clap::Args;
use serde_json::json;
use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

/// The arguments of `rdv post`.
#[derive(Args, Clone, Debug)]
pub struct Post {
    /// URL that accepts the form
    #[arg(value_name = "URL")]
    pub url: String,

    /// Files to upload, or - for standard input
    #[arg(value_name = "FILE|-", required = true)]
    pub files: Vec<PathBuf>,

    /// Form field of the files
    #[arg(long, value_name = "NAME", default_value = "file")]
    pub field: String,

    /// File name in the form [default: that of the file, or data]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,

    /// Media type of the files [default: by their names]
    #[arg(long = "type", value_name = "TYPE")]
    pub content_type: Option<String>,

    /// Request method
    #[arg(long, value_name = "METHOD", default_value = "POST")]
    pub method: String,

    #[command(flatten)]
    connecting: Connecting,
    #[command(flatten)]
    reporting: OutputArgs,
}

impl Post {
    /// Sends the files, prints the response of the server, and returns the exit status.
    pub fn run(&self) -> Exit {
        let reporter = Reporter::new(self.reporting);
        watching(&reporter, || self.post(&reporter))
    }

    fn post(&self, reporter: &Reporter) -> Result<(), Failure> {
        let preferences = Preferences::read()?;
        let mut options = self.connecting.options(&preferences)?;
        options.set_connect_retries(self.connecting.retries);
        let upload = Upload::new(&self.method, &self.url)?;
        let counting = reporter.clone();
        let mut upload = upload
            .with_options(options)
            .field_name(&self.field)
            .on_progress(move |bytes| counting.moved(bytes));
        self.check()?;
        // Open all files before contacting the server.
        let parts: Result<Vec<_>, _> = self.files.iter().map(|file| self.part(file)).collect();
        let parts = parts?;
        reporter.begins(upload.length_bytes(&parts)?);
        let mut response = upload.send_all(parts)?;
        let printed =
            copy_to_file::into_descriptor(response.body(), io::stdout().as_fd(), &mut |_| Ok(()));
        judge(&response)?;
        printed?;
        let event = json!({ "event": "complete", "status": response.status() });
        reporter.done(&format!("sent (HTTP status {})", response.status()), &event);
        Ok(())
    }

    /// Checks the combination of arguments.
    fn check(&self) -> Result<(), Failure> {
        if self.name.is_some() && self.files.len() > 1 {
            let why = "--name is for one file; send them one by one, or remove it";
            return Err(Failure::new(Exit::Usage, why));
        }
        if self.files.iter().filter(|file| is_standard_input(file)).count() > 1 {
            let why = "standard input can be sent once; name - once";
            return Err(Failure::new(Exit::Usage, why));
        }
        Ok(())
    }

    fn part(&self, file: &Path) -> Result<Part<'static>, Failure> {
        let (part, own_name) = if is_standard_input(file) {
            let opened = io::stdin().as_fd().try_clone_to_owned().map(File::from);
            let part = opened.and_then(Part::open_file);
            (part.map_err(|error| Failure::local("cannot read standard input", error))?, None)
        } else {
            (Part::path(file)?, file.file_name().map(|name| name.to_string_lossy().into_owned()))
        };
        let name = self.name.clone().or(own_name);
        let guessed = || media_type(name.as_deref());
        let part = part.content_type(self.content_type.clone().unwrap_or_else(guessed));
        Ok(match name {
            Some(name) => part.file_name(name),
            None => part,
        })
    }
}

fn is_standard_input(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// Checks whether the server accepted everything.
fn judge(response: &Response) -> Result<(), Failure> {
    let status = response.status();
    let said = match reason(status) {
        "" => format!("the server answered {status}"),
        reason => format!("the server answered {status} ({reason})"),
    };
    let elsewhere = response.text("Location").filter(|_| matches!(status, 300..=399));
    let hint = match (elsewhere, response.is_early()) {
        (Some(place), _) => format!("; it names another URL, {place}, to be used instead"),
        (None, true) => ", and not everything was sent".into(),
        (None, false) if response.is_success() => return Ok(()),
        (None, false) => String::new(),
    };
    Err(Failure::new(Exit::Refused, said + &hint))
}
