//! Random bytes of the kernel: getrandom(2).

use super::cause;
use rustix::io::retry_on_intr;
use rustix::rand::{GetRandomFlags, getrandom};
use std::io;
use uuid::{Builder, Uuid};

/// Returns random bytes.
///
/// # Errors
/// If the kernel provides none; the message includes what to check.
pub fn bytes<const N: usize>() -> io::Result<[u8; N]> {
    let (mut bytes, mut done) = ([0; N], 0);
    while done < N {
        let read = retry_on_intr(|| getrandom(&mut bytes[done..], GetRandomFlags::empty()));
        done += read.map_err(|error| {
            let why = cause(&error.into());
            let what = "is the system call getrandom permitted?";
            io::Error::new(error.kind(), format!("cannot read random bytes: {why}; {what}"))
        })?;
    }
    Ok(bytes)
}

/// Returns a random UUID (version 4; RFC 9562, section 5.4).
///
/// # Errors
/// As for [`bytes`].
pub fn uuid() -> io::Result<Uuid> {
    Ok(Builder::from_random_bytes(bytes()?).into_uuid())
}
