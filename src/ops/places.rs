//! Checks whether files and sockets can be created at the configured paths, without creating any.

use nix::unistd::{AccessFlags, access};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

/// Maximum length of a Unix socket path in bytes, including its terminator (`sun_path`, unix(7)).
const SOCKET_PATH_MAX: usize = 108;

/// Maximum length of the suffix: a socket is bound next to its path, under a name with a process
/// id, and then renamed.
const SUFFIX_MAX: usize = ".4194304".len() + 1;

/// Parses a path, and refuses a word that means a standard stream elsewhere.
///
/// # Errors
/// What to write instead.
pub fn no_stream_word(text: &str) -> Result<String, String> {
    let stream = ["stdin", "stdout", "stderr"].iter().find(|word| text.eq_ignore_ascii_case(word));
    match stream {
        None => Ok(text.into()),
        Some(&"stderr") => Err(format!("expected a path; ./{text} is a file of that name")),
        Some(_) => Err(format!("expected a path; - is the stream, ./{text} a file of that name")),
    }
}

/// Checks whether this user can create a file at this path.
///
/// # Errors
/// The error that the kernel would return.
pub fn creatable(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| *parent != Path::new(""));
    let directory = parent.unwrap_or(Path::new("."));
    if !fs::metadata(directory)?.is_dir() {
        return Err(ErrorKind::NotADirectory.into());
    }
    access(directory, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from)
}

/// Checks whether this user can create a Unix socket at this path, or replace an older one.
///
/// # Errors
/// Why not.
pub fn socket(path: &Path) -> io::Result<()> {
    if path.as_os_str().as_bytes().len() + SUFFIX_MAX > SOCKET_PATH_MAX {
        return Err(io::Error::other("the path is too long for a socket"));
    }
    if fs::symlink_metadata(path).is_ok_and(|file| !file.file_type().is_socket()) {
        return Err(io::Error::other("a file that is not a socket exists"));
    }
    creatable(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_socket_may_replace_only_a_socket() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "").unwrap();
        let _older = UnixListener::bind(at("socket")).unwrap();
        for (name, why) in [
            ("new", None),
            ("socket", None),
            ("file", Some("not a socket")),
            ("missing/socket", Some("No such file")),
            ("file/socket", Some("not a directory")),
            (&"long".repeat(30), Some("too long")),
        ] {
            let result = socket(&at(name)).map_err(|error| error.to_string());
            match why {
                None => assert_eq!(result, Ok(()), "{name}"),
                Some(why) => {
                    assert!(
                        result.as_ref().is_err_and(|result| result.contains(why)),
                        "{result:?}"
                    );
                }
            }
        }
        assert!(!at("new").exists(), "nothing is made");
    }

    #[test]
    fn a_bare_name_is_in_the_current_directory() {
        let current = creatable(Path::new("."));
        assert_eq!(creatable(Path::new("name")).is_ok(), current.is_ok());
        assert!(
            creatable(Path::new("/proc/self/name")).is_err() || nix::unistd::geteuid().is_root()
        );
    }
}
