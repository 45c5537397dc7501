//! How to start this program again: by the path it was started with, not by the file that path
//! named then. After an upgrade the path names the new file, which is the one to start.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    /// The path it is started by.
    pub path: PathBuf,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
}

impl Program {
    /// Returns this program, as it was started. To be called at the start, while the path still
    /// names this file.
    pub fn of_this_process() -> Option<Self> {
        let running = env::current_exe().ok()?;
        let mut arguments = env::args_os();
        let by_name = arguments.next().and_then(|name| named(&name, &env::var_os("PATH")?));
        // A program may be started under any name; a name of another file is useless.
        let path = by_name.filter(|path| is_same(path, &running)).unwrap_or(running);
        Some(Self { path, arguments: arguments.collect() })
    }
}

/// Returns the path a shell would find for this name, symbolic links left unresolved.
fn named(name: &OsStr, search: &OsStr) -> Option<PathBuf> {
    if name.as_encoded_bytes().contains(&b'/') {
        return std::path::absolute(name).ok();
    }
    let mut places = env::split_paths(search).map(|folder| folder.join(name));
    places.find(|path| path.is_file()).and_then(|path| std::path::absolute(path).ok())
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_program_is_found_like_in_a_shell_without_resolving_links() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("rdv-1"), folder.path().join("rdv"));
        fs::write(&file, "").unwrap();
        symlink(&file, &link).unwrap();
        let search = env::join_paths([Path::new("/nowhere"), folder.path()]).unwrap();
        for (name, given, found) in [
            ("in the search path", OsStr::new("rdv"), Some(link.clone())),
            ("by its path", link.as_os_str(), Some(link.clone())),
            ("nowhere", OsStr::new("rdv-2"), None),
        ] {
            assert_eq!(named(given, &search), found, "{name}");
        }
        assert!(is_same(&link, &file) && !is_same(&link, Path::new("/")));
        assert!(!is_same(Path::new("/nowhere/rdv"), &file));
    }

    #[test]
    fn this_process_can_be_restarted() {
        let program = Program::of_this_process().unwrap();
        assert!(program.path.is_absolute());
        assert!(is_same(&program.path, &env::current_exe().unwrap()), "{program:?}");
    }
}
