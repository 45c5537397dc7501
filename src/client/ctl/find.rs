//! Finds the admin socket of a relay that runs on this machine.

use crate::ops::AdminAddress;
use crate::ops::admin::port_of;
use crate::ops::cause;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Returns the only socket in these directories that a relay serves, or that of the relay on this
/// port.
///
/// # Errors
/// One line: there is no such socket, or there are several, with their list.
pub(super) fn find(directories: &[PathBuf], port: Option<u16>) -> Result<AdminAddress, String> {
    let mut found = Vec::new();
    let mut closed = Vec::new();
    for directory in directories {
        match sockets(directory, port) {
            Ok(sockets) => found.extend(sockets),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => closed.push(format!("{}: {}", directory.display(), cause(&error))),
        }
    }
    found.sort();
    match &found[..] {
        [path] => Ok(AdminAddress::Unix(path.clone())),
        [] => Err(none(directories, port, &closed)),
        several => Err(format!(
            "several relays are running: {}; name one by --port or --admin",
            listed(several)
        )),
    }
}

fn none(directories: &[PathBuf], port: Option<u16>, closed: &[String]) -> String {
    if !closed.is_empty() {
        return format!(
            "no relay found: {}; run this as the relay's user, or name its address by --admin",
            closed.join(", ")
        );
    }
    let which = port.map(|port| format!(" on port {port}")).unwrap_or_default();
    format!(
        "no relay{which} with an admin socket in {}; is it running? (rdv serve) Name another \
         address by --admin",
        listed(directories)
    )
}

fn listed(paths: &[PathBuf]) -> String {
    let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    shown.join(", ")
}

/// Returns the sockets with names in the format of a relay that a process serves.
fn sockets(directory: &Path, port: Option<u16>) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let wanted = match (port_of(Path::new(&entry.file_name())), port) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(its), Some(port)) => its == Some(port),
        };
        if wanted && entry.file_type()?.is_socket() && is_served(&entry.path()) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// Whether a process serves this socket. A stale socket refuses connections; one without permission
/// counts as served.
fn is_served(path: &Path) -> bool {
    match UnixStream::connect(path) {
        Ok(_) => true,
        Err(error) => ![ErrorKind::ConnectionRefused, ErrorKind::NotFound].contains(&error.kind()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_single_socket_is_found_and_several_are_listed() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let missing = one.path().join("missing");
        let directories = [missing, one.path().to_owned(), other.path().to_owned()];
        let found = |port| find(&directories, port);
        let at = |path: PathBuf| Ok(AdminAddress::Unix(path));
        let why = found(None).unwrap_err();
        assert!(why.starts_with("no relay with an admin socket in "), "{why}");

        let first = one.path().join("8080.sock");
        let _first = UnixListener::bind(&first).unwrap();
        fs::write(one.path().join("81.sock"), "no socket").unwrap();
        let _records = UnixListener::bind(one.path().join("records.sock")).unwrap();
        drop(UnixListener::bind(one.path().join("82.sock")).unwrap());
        assert_eq!(found(None), at(first.clone()));
        assert_eq!(found(Some(8080)), at(first.clone()));
        let why = found(Some(82)).unwrap_err();
        assert!(why.starts_with("no relay on port 82 with an admin socket"), "{why}");

        let second = other.path().join("admin.sock");
        let _second = UnixListener::bind(&second).unwrap();
        let why = found(None).unwrap_err();
        let mut both = [first.clone(), second];
        both.sort();
        assert!(why.contains(&listed(&both)), "{why}");
        assert!(why.contains("--port"), "{why}");
        assert_eq!(found(Some(8080)), at(first));
    }
}
