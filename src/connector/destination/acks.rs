//! Writes acknowledgements, one line each, without buffering.

use super::outgoing_request::position_text;
use crate::client::commands::{Exit, Failure};
use crate::connector::record::Record;
use crate::ops::cause;
use crate::ops::stdio::Waiting;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

/// The output for acknowledgements.
pub(super) struct Acks {
    out: Mutex<Box<dyn Write + Send>>,
    /// Whether a failed write ends the command.
    is_vital: bool,
}

impl Acks {
    pub(super) fn new(out: impl Write + Send + 'static, is_vital: bool) -> Arc<Self> {
        Arc::new(Self { out: Mutex::new(Box::new(out)), is_vital })
    }

    /// Writes one line at once.
    pub(super) fn acknowledge(&self, record: &Record) -> Result<(), Failure> {
        let line = format!("{{\"ack\":\"{}\"}}\n", position_text(&record.position));
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if self.is_vital => {
                let why = format!("cannot write acknowledgements: {}", cause(&error));
                Err(Failure::new(Exit::OtherSide, why))
            }
            // A source that disconnected resends what was not acknowledged. A line may have been
            // cut, so nothing more is written.
            Err(_) => {
                *out = Box::new(io::sink());
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Standard output, without the shared buffer of [`io::stdout`].
pub(super) fn standard_output() -> io::Result<Arc<Acks>> {
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Acks::new(Waiting(File::from(out)), true))
}
