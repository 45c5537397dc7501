use super::*;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// Lists a directory: names with contents, sorted.
fn listing(directory: &Path) -> Vec<(String, String)> {
    let entry = |entry: io::Result<fs::DirEntry>| {
        let entry = entry.unwrap();
        let text = fs::read_to_string(entry.path()).unwrap_or_default();
        (entry.file_name().into_string().unwrap(), text)
    };
    let mut found: Vec<_> = fs::read_dir(directory).unwrap().map(entry).collect();
    found.sort();
    found
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

fn started(target: &Path, overwrite: bool) -> Output {
    let output = Output::create(target, overwrite).unwrap();
    output.file().write_all(b"new").unwrap();
    output
}

#[test]
fn a_file_gets_its_final_name_once_complete() {
    let directory = directory();
    let output = started(&directory.path().join("a"), false);
    assert_eq!(output.partial_path(), directory.path().join("a.partial"));
    assert_eq!(listing(directory.path()), pairs(&[("a.partial", "new")]));
    assert_eq!(output.complete(false).unwrap(), directory.path().join("a"));
    assert_eq!(listing(directory.path()), pairs(&[("a", "new")]));
}

#[test]
fn written_data_can_be_read_back() {
    let directory = directory();
    let output = started(&directory.path().join("a"), false);
    let mut text = String::new();
    output.file().rewind().unwrap();
    output.file().read_to_string(&mut text).unwrap();
    assert_eq!(text, "new");
}

#[test]
fn a_new_file_has_the_default_permissions() {
    let directory = directory();
    fs::write(directory.path().join("other"), "").unwrap();
    let target = started(&directory.path().join("a"), false).complete(false).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&target), mode(&directory.path().join("other")));
}

#[test]
fn an_existing_file_is_refused_at_once_without_force() {
    let directory = directory();
    let target = directory.path().join("a");
    fs::write(&target, "old").unwrap();
    let error = Output::create(&target, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("--force"), "{error}");
    assert_eq!(listing(directory.path()), pairs(&[("a", "old")]), "nothing was begun");
    started(&target, true).complete(true).unwrap();
    assert_eq!(listing(directory.path()), pairs(&[("a", "new")]));
}

#[test]
fn a_path_created_meanwhile_is_not_replaced_and_nothing_is_lost() {
    for (name, make) in [
        ("a file", (|path: &Path| fs::write(path, "old")) as fn(&Path) -> io::Result<()>),
        ("a link to nothing", |path| symlink("/nonexistent", path)),
        ("a directory", |path| fs::create_dir(path)),
    ] {
        let directory = directory();
        let target = directory.path().join("a");
        let output = started(&target, false);
        make(&target).unwrap();
        let before = fs::symlink_metadata(&target).unwrap();
        let error = output.complete(false).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{name}");
        assert!(!error.to_string().contains("--force"), "{name}: {error}");
        assert!(error.to_string().contains("a.partial"), "{name}: {error}");
        let after = fs::symlink_metadata(&target).unwrap();
        assert_eq!(before.file_type(), after.file_type(), "{name}");
        assert_eq!(fs::read_to_string(directory.path().join("a.partial")).unwrap(), "new");
    }
}

#[test]
fn special_files_are_not_replaced_even_with_force() {
    let directory = directory();
    let error = Output::create(directory.path(), true).unwrap_err();
    assert!(error.to_string().contains("is a directory"), "{error}");
    let error = Output::create(Path::new("/dev/null"), true).unwrap_err();
    assert!(error.to_string().contains("is not a regular file"), "{error}");
    let error = Output::create(Path::new("/"), false).unwrap_err();
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
}

#[test]
fn a_link_is_replaced_and_not_written_through() {
    let directory = directory();
    let (target, other) = (directory.path().join("a"), directory.path().join("other"));
    fs::write(&other, "old").unwrap();
    symlink("other", &target).unwrap();
    symlink("other", directory.path().join("a.partial")).unwrap();
    let output = started(&target, true);
    assert_eq!(output.partial_path(), directory.path().join("a.2.partial"));
    output.complete(true).unwrap();
    assert_eq!(fs::read_to_string(&other).unwrap(), "old");
    assert!(fs::symlink_metadata(&target).unwrap().is_file());
}

#[test]
fn partial_files_of_one_name_are_distinct_and_bounded() {
    let directory = directory();
    let target = directory.path().join("a");
    let outputs: Vec<_> = (0..PARTIAL_MAX).map(|_| started(&target, false)).collect();
    assert_eq!(outputs[1].partial_path(), directory.path().join("a.2.partial"));
    assert_eq!(listing(directory.path()).len(), outputs.len());
    let error = Output::create(&target, false).unwrap_err().to_string();
    assert!(error.contains("remove some"), "{error}");
}

#[test]
fn an_abandoned_file_is_kept_unless_empty() {
    let directory = directory();
    let target = directory.path().join("a");
    let partial = started(&target, false).abandon();
    assert_eq!(partial, Some(directory.path().join("a.partial")));
    assert_eq!(Output::create(&target, false).unwrap().abandon(), None);
    assert_eq!(listing(directory.path()), pairs(&[("a.partial", "new")]));
}

#[test]
fn the_longest_names_are_supported() {
    for (name, target) in [("ASCII", "x".repeat(255)), ("wide", "€".repeat(85))] {
        let directory = directory();
        let target = directory.path().join(target);
        let (first, second) = (started(&target, false), started(&target, false));
        assert_eq!(first.complete(false).unwrap(), target, "{name}");
        assert!(second.abandon().unwrap().to_str().unwrap().ends_with(".2.partial"), "{name}");
    }
    let directory = directory();
    let bytes = directory.path().join(OsStr::from_bytes(&[0xff; 255]));
    started(&bytes, false).complete(false).unwrap();
}

#[test]
fn an_unwritable_directory_is_a_one_line_error() {
    // No file can be created in /proc/self, not even by root, which ignores permissions.
    for (name, target) in [("closed", "/proc/self/a"), ("absent", "/nonexistent/a")] {
        let error = Output::create(Path::new(target), false).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot create {target}.partial: ")), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{name}");
    }
}

#[test]
fn a_directory_moved_while_receiving_keeps_the_partial_file() {
    let directory = directory();
    let inside = directory.path().join("inside");
    fs::create_dir(&inside).unwrap();
    let output = started(&inside.join("a"), false);
    // Moving it away makes it unreachable for everyone, including root.
    fs::rename(&inside, directory.path().join("elsewhere")).unwrap();
    let error = output.complete(false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(listing(&directory.path().join("elsewhere")), pairs(&[("a.partial", "new")]));
}

#[test]
fn without_renameat2_files_are_moved_in_two_steps() {
    let directory = directory();
    let (from, to) = (directory.path().join("from"), directory.path().join("to"));
    fs::write(&from, "new").unwrap();
    fs::write(&to, "old").unwrap();
    let error = move_in_two_steps(&from, &to).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(listing(directory.path()), pairs(&[("from", "new"), ("to", "old")]));
    fs::remove_file(&to).unwrap();
    move_in_two_steps(&from, &to).unwrap();
    assert_eq!(listing(directory.path()), pairs(&[("to", "new")]));

    fs::create_dir(&from).unwrap();
    fs::write(from.join("inside"), "").unwrap();
    assert!(move_in_two_steps(&from, &to).is_err(), "a file is there");
    fs::remove_file(&to).unwrap();
    fs::create_dir(&to).unwrap();
    assert!(move_in_two_steps(&from, &to).is_err(), "a directory is there");
    fs::remove_dir(&to).unwrap();
    move_in_two_steps(&from, &to).unwrap();
    assert_eq!(listing(&to), pairs(&[("inside", "")]));
}
