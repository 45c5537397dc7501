//! Where acknowledgements go: one line each, written at once.

use super::outgoing_request::position_text;
use crate::client::commands::{Exit, Failure};
use crate::connector::record::Record;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};

/// Where acknowledgements go.
pub(super) struct Acks {
    out: Mutex<Box<dyn Write + Send>>,
    /// Whether it is the end of the command that nobody takes them.
    is_vital: bool,
}

impl Acks {
    pub(super) fn new(out: impl Write + Send + 'static, is_vital: bool) -> Arc<Self> {
        Arc::new(Self { out: Mutex::new(Box::new(out)), is_vital })
    }

    /// Writes one line, at once.
    pub(super) fn acknowledge(&self, record: &Record) -> Result<(), Failure> {
        let line = format!("{{\"ack\":\"{}\"}}\n", position_text(&record.position));
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        match out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
            Err(error) if self.is_vital => {
                let why = format!("cannot write acknowledgements: {error}");
                Err(Failure::new(Exit::OtherSide, why))
            }
            // A source that went away sends again what was not acknowledged. Nothing follows half a line.
            Err(_) => {
                *out = Box::new(io::sink());
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }
}

/// Standard output, without the buffer that would be shared with others.
pub(super) fn standard_output() -> io::Result<Arc<Acks>> {
    let out = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Acks::new(File::from(out), true))
}
