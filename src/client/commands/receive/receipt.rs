//! The receipt of a receiver: after the data is complete and on the disk, or why it is not.

use super::download::Saved;
use crate::client::commands::{Exit, Failure};
use crate::client::relay::Stream;
use std::fs::File;
use std::io;
use std::path::Path;
use std::thread;
use std::time::Duration;

/// Attempts to confirm: the download can end before the relay has recorded the end of the stream.
const ATTEMPTS_MAX: u32 = 5;
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Writes what was saved to the disk.
///
/// # Errors
/// The error of fsync(2) or syncfs(2): the data may be lost.
pub(super) fn sync(path: &Path) -> Result<(), Failure> {
    let synced = File::open(path).and_then(|file| {
        if file.metadata()?.is_dir() {
            return Ok(rustix::fs::syncfs(&file)?);
        }
        file.sync_all()?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    });
    match synced {
        // Not every file system can.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        Err(error) => Err(Failure::local("cannot write the received data to the disk", error)),
        Ok(()) => Ok(()),
    }
}

/// Sends the receipt. Best effort: a sender without one reports that it is missing.
pub(super) fn send(stream: &Stream, received_bytes: u64, saved: &Result<Saved, Failure>) {
    let failed = match saved {
        Ok(saved) => saved.complaint(),
        Err(failure) => Some(reason(failure)),
    };
    if let Some(reason) = failed {
        let _ = stream.receipt_failed(&reason);
        return;
    }
    for _ in 0..ATTEMPTS_MAX {
        match stream.receipt_confirmed(received_bytes) {
            Ok(Ok(())) => return,
            Ok(Err(refusal)) if refusal.status != 409 && !refusal.is_passing() => return,
            // Too early, too busy, or a failed connection: it may pass.
            Ok(Err(_)) | Err(_) => thread::sleep(AGAIN_AFTER),
        }
    }
}

/// Returns the cause for the other side, without a path of this machine.
fn reason(failure: &Failure) -> String {
    let why = failure.why.split(';').next().unwrap_or_default();
    if failure.exit != Exit::Local || !why.contains('/') {
        return why.to_owned();
    }
    let cause = why.rsplit(": ").next().filter(|cause| !cause.contains('/'));
    cause.unwrap_or("the file could not be written").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_on_this_machine() {
        for (why, sent) in [
            (
                "cannot write: no space left on device; partial data is in /home/me/a",
                "cannot write: no space left on device",
            ),
            ("cannot create /home/me/a: permission denied", "permission denied"),
            ("/home/me/a exists", "the file could not be written"),
        ] {
            assert_eq!(reason(&Failure::new(Exit::Local, why)), sent);
        }
    }
}
