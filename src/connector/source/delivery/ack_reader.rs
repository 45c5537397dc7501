//! Reads acknowledgements, from standard input or through the output itself.

use super::{AckInput, Delivery, RecordFeed};
use crate::connector::source::acks::AckLine;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsFd as _;

impl<F: RecordFeed> Delivery<F> {
    /// Whether data from the consumer is read from the output.
    pub(super) fn reads_output(&self) -> bool {
        match self.acknowledging {
            AckInput::Output => self.output.is_socket(),
            // A consumer that sends acknowledgements without need would block after about 300 lines
            // if they were not read. Standard output is left alone: others may read from the same
            // socket.
            AckInput::No => self.output.is_socket() && self.output.returns() && !self.is_silent,
            AckInput::Stdin => false,
        }
    }

    pub(super) fn read_stdin(&mut self) {
        let mut buffer = [0; 16 << 10];
        match io::stdin().lock().read(&mut buffer) {
            Ok(0) => {
                self.consumer_lost(&io::Error::other("acknowledgements ended"), true);
            }
            Ok(count) => self.take_acks(&buffer[..count]),
            // Another process that shares standard input may have read first.
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(error) => self.consumer_lost(&error, true),
        }
    }

    /// Reads the acknowledgements that a lost consumer sent before it disconnected: without them
    /// the record would be delivered twice, or its sender would be answered 503.
    pub(super) fn apply_acks(&mut self) {
        let mut buffer = [0; 16 << 10];
        loop {
            let heard = match self.acknowledging {
                AckInput::No => return,
                AckInput::Output => self.output.read_acks(&mut buffer).ok().flatten(),
                AckInput::Stdin if !stdin_is_readable() => return,
                AckInput::Stdin => io::stdin().lock().read(&mut buffer).ok(),
            };
            match heard {
                None | Some(0) => return,
                Some(count) => self.take_acks(&buffer[..count]),
            }
        }
    }

    pub(super) fn read_output(&mut self) {
        let mut buffer = [0; 16 << 10];
        let is_asked = matches!(self.acknowledging, AckInput::Output);
        match self.output.read_acks(&mut buffer) {
            // The consumer may go on reading.
            Ok(Some(0)) if !is_asked => self.is_silent = true,
            Ok(Some(_)) if !is_asked => {}
            Ok(Some(0)) => self.drop_consumer(&ErrorKind::UnexpectedEof.into()),
            Ok(Some(count)) => self.take_acks(&buffer[..count]),
            Ok(None) => {}
            Err(error) => self.drop_consumer(&error),
        }
    }

    pub(super) fn take_acks(&mut self, bytes: &[u8]) {
        let mut done = Vec::new();
        for said in self.acks.take(bytes) {
            match said {
                AckLine::Acknowledged(position) => match self.unacknowledged.remove(&position) {
                    Some((line, _)) => done.push(line),
                    None => log::warn!("{position} waits for no acknowledgement"),
                },
                AckLine::Nonsense(text) => log::warn!("no acknowledgement: {text}"),
            }
        }
        if !done.is_empty() {
            self.feed.created(done);
        }
    }
}

fn stdin_is_readable() -> bool {
    let stdin = io::stdin();
    let mut question = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut question, PollTimeout::ZERO).is_ok_and(|answers| answers > 0)
}
