//! Whether a relay can put its files where the settings want them.

use super::Finding;
use nix::unistd::{AccessFlags, access};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// How the place of the admin socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A socket can be put there, in place of an older one too.
    Fits,
    /// Its directory is missing.
    NoDirectory,
    /// This user may not write into its directory.
    Forbidden,
    /// There is a file that is no socket.
    Occupied,
}

/// Looks at the place of a Unix socket, and makes nothing.
pub fn look(path: &Path) -> Place {
    let directory = path.parent().unwrap_or(Path::new("/"));
    if !directory.is_dir() {
        Place::NoDirectory
    } else if fs::symlink_metadata(path).is_ok_and(|file| !file.file_type().is_socket()) {
        Place::Occupied
    } else if access(directory, AccessFlags::W_OK | AccessFlags::X_OK).is_err() {
        Place::Forbidden
    } else {
        Place::Fits
    }
}

/// Whether operators can be served on a Unix socket at `path`.
pub fn admin(path: &Path, place: Place) -> Finding {
    const NAME: &str = "admin-listen";
    let shown = path.display();
    match place {
        Place::Fits => Finding::ok(NAME, format!("a socket can be made at {shown}")),
        Place::NoDirectory => Finding::bad(
            NAME,
            format!("the directory of {shown} is missing"),
            "make it (RuntimeDirectory= of systemd does), or choose another --admin-listen",
        ),
        Place::Forbidden => Finding::bad(
            NAME,
            format!("this user may not make {shown}"),
            "give the directory to the user the relay runs as, or choose another --admin-listen",
        ),
        Place::Occupied => Finding::bad(
            NAME,
            format!("{shown} is a file, and no socket"),
            "move it away, or choose another --admin-listen",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict::{Bad, Ok};
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_takes_the_place_of_an_older_one_only() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "").unwrap();
        let _older = UnixListener::bind(at("socket")).unwrap();
        for (name, place, verdict) in [
            ("new", Place::Fits, Ok),
            ("socket", Place::Fits, Ok),
            ("file", Place::Occupied, Bad),
            ("missing/socket", Place::NoDirectory, Bad),
        ] {
            let path = at(name);
            assert_eq!(look(&path), place, "{name}");
            assert_eq!(admin(&path, place).verdict, verdict, "{name}");
        }
    }
}
