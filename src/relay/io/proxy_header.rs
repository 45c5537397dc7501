//! Reading a PROXY header: the first bytes of a connection, before TLS or HTTP.

use super::conn::Conn;
use crate::http::proxy_protocol::{MAX_BYTES, ProxyHeader, parse};
use crate::splice::copy::{self, Read};

/// The result of reading a header as far as possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyRead {
    /// It is incomplete: wait for more.
    Incomplete,
    /// It is complete; what was read after it is in the carry.
    Complete,
    /// It is invalid.
    Invalid,
    /// The peer ended the connection.
    Ended,
}

impl Conn {
    /// Reads the PROXY header, and takes the address of its client for the peer's.
    pub fn read_proxy_header(&mut self) -> ProxyRead {
        loop {
            match parse(&self.carry) {
                Ok(Some(header)) => {
                    self.take_proxy_header(header);
                    return ProxyRead::Complete;
                }
                Ok(None) if !self.readable => return ProxyRead::Incomplete,
                Ok(None) => {}
                Err(_) => return ProxyRead::Invalid,
            }
            let filled = self.carry.len();
            debug_assert!(filled < MAX_BYTES, "a header of that length has a verdict");
            self.carry.resize(MAX_BYTES, 0);
            let result = copy::read(&self.socket, &mut self.carry[filled..]);
            let count = if let Ok(Read::Moved(count)) = result { count } else { 0 };
            self.carry.truncate(filled + count);
            match result {
                Ok(Read::Moved(_)) => {}
                Ok(Read::Blocked) => self.readable = false,
                Ok(Read::Eof) | Err(_) => return ProxyRead::Ended,
            }
        }
    }

    fn take_proxy_header(&mut self, header: ProxyHeader) {
        self.carry = self.carry[header.len..].to_vec();
        if let Some(client) = header.client {
            self.peer = client.address;
            self.proxied = Some(Box::new(client));
        }
    }
}
