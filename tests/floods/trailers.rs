//! Uploads with the maximum number of digests in their trailers.

use std::io::{ErrorKind, Read, Write};

use crate::flood::{FLAGS, Rounds, assert_served};
use crate::peer::{connect, read_head, send_request};
use crate::support::{Relay, ask};

/// Concurrent uploads.
const THREADS: usize = 4;

#[test]
fn digests_at_once() {
    flood("digests in trailers", 8 << 10);
}

#[test]
fn digests_one_byte_at_a_time() {
    flood("digests in trailers, one byte at a time", 1);
}

fn flood(name: &str, at_once: usize) {
    let relay = Relay::start(&FLAGS);
    let address = relay.address();
    let line = "Repr-Digest: sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\r\n";
    let body = format!("1\r\nx\r\n0\r\n{}\r\n", line.repeat(50)).into_bytes();
    let create = ask("POST", "/stream").closing().bytes();
    let round = || -> Rounds<'_> {
        let (body, create) = (&body, &create);
        Box::new(move || {
            let mut made = String::new();
            let mut creation = connect(address)?;
            creation.write_all(create)?;
            creation.read_to_string(&mut made)?;
            let Some((_, after)) = made.split_once("\"stream\":\"") else {
                return Err(ErrorKind::InvalidData.into());
            };
            let path = format!("/stream/{}", &after[..36]);
            let mut reader = connect(address)?;
            reader.write_all(&ask("GET", &path).bytes())?;
            let mut sender = connect(address)?;
            sender.write_all(&ask("PUT", &path).chunked().bytes())?;
            for part in body.chunks(at_once) {
                sender.write_all(part)?;
            }
            let answer = read_head(&mut sender)?;
            drop(send_request(address, &ask("GET", &format!("{path}/status")).bytes())?);
            // A relay that shuts down responds differently; such rounds do not count.
            if answer.starts_with("HTTP/1.1 200 ") { Ok(()) } else { Err(ErrorKind::Other.into()) }
        })
    };
    assert_served(name, relay, (0..THREADS).map(|_| round()).collect());
}
