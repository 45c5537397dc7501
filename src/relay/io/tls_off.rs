//! Without the feature `tls` a connection has no session: this type has no value.

use crate::ops::tls::Acceptor;
use crate::splice::copy::{Read, Write};
use nix::errno::Errno;
use socket2::Socket;

/// How far a handshake is.
#[derive(Debug)]
#[allow(dead_code, reason = "there is none without TLS")]
pub enum Handshake {
    /// It waits for the client.
    Blocked,
    /// It is complete.
    Done,
    /// The client does not speak TLS: the bytes it sent.
    Plain(Vec<u8>),
    /// It failed, or the client left.
    Failed,
}

/// A TLS session.
#[derive(Debug)]
pub enum TlsSession {}

#[allow(clippy::unused_self, missing_docs, clippy::missing_errors_doc, reason = "never called")]
impl TlsSession {
    pub fn new(acceptor: &Acceptor) -> Option<Self> {
        match *acceptor {}
    }

    pub fn client_subject(&self) -> Option<&str> {
        match *self {}
    }

    pub fn version(&self) -> &'static str {
        match *self {}
    }

    pub fn held_input(&self) -> usize {
        match *self {}
    }

    pub fn is_drained(&self) -> bool {
        match *self {}
    }

    pub fn unsent(&self) -> usize {
        match *self {}
    }

    pub fn feed(&mut self, _: Vec<u8>) {
        match *self {}
    }

    pub fn handshake(&mut self, _: &Socket) -> Handshake {
        match *self {}
    }

    pub fn read(&mut self, _: &Socket, _: &mut [u8]) -> Result<Read, Errno> {
        match *self {}
    }

    pub fn write(&mut self, _: &Socket, _: &[u8]) -> Result<Write, Errno> {
        match *self {}
    }

    pub fn write_output(&mut self, _: &Socket, _: &[u8]) -> Result<Write, Errno> {
        match *self {}
    }

    pub fn flush(&mut self, _: &Socket) -> Result<bool, Errno> {
        match *self {}
    }

    pub fn end(&mut self, _: &Socket) {
        match *self {}
    }
}
