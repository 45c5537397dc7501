use super::super::BLOCK_BYTES;
use super::super::size::size_bytes;
use super::super::unpack::unpack;
use super::*;
use std::io::Cursor;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::process::Command;
use std::time::{Duration, SystemTime};

fn scene() -> (tempfile::TempDir, PathBuf) {
    let scene = tempfile::tempdir().unwrap();
    let site = scene.path().join("site");
    fs::create_dir(&site).unwrap();
    (scene, site)
}

fn packed(directory: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    pack(directory, &mut archive).unwrap();
    archive
}

/// Lists an archive with the command `tar`.
fn listing(archive: &[u8], directory: &Path) -> Vec<String> {
    let file = directory.join("archive.tar");
    fs::write(&file, archive).unwrap();
    let output = Command::new("tar").arg("-tf").arg(&file).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut names: Vec<_> = text.lines().map(ToOwned::to_owned).collect();
    names.sort();
    names
}

#[test]
fn names_begin_with_the_name_of_the_directory() {
    let (scene, site) = scene();
    fs::create_dir(site.join("empty")).unwrap();
    fs::write(site.join("index.html"), "hi").unwrap();
    let expected = ["site/", "site/empty/", "site/index.html"];
    for path in ["site", "site/", "site/.", "site/empty/..", "./site//"] {
        assert_eq!(listing(&packed(&scene.path().join(path)), scene.path()), expected, "{path}");
    }
    symlink("site", scene.path().join("linked")).unwrap();
    let names = listing(&packed(&scene.path().join("linked")), scene.path());
    assert_eq!(names, ["linked/", "linked/empty/", "linked/index.html"]);
    assert_eq!(top_name(Path::new("/")).unwrap(), "root");
    let here = std::env::current_dir().unwrap();
    assert_eq!(Some(top_name(Path::new(".")).unwrap().as_os_str()), here.file_name());
}

#[test]
fn a_packed_directory_is_unpacked_unchanged() {
    let (scene, site) = scene();
    let long = format!("{}/{}", "d".repeat(120), "ü".repeat(120));
    fs::create_dir(site.join("d".repeat(120))).unwrap();
    for (name, content) in [("a", "1"), ("empty", ""), (&long, "long")] {
        fs::write(site.join(name), content).unwrap();
    }
    fs::write(site.join("program"), vec![7; 100_000]).unwrap();
    fs::hard_link(site.join("program"), site.join("same")).unwrap();
    symlink("a//./x", site.join("link")).unwrap();
    symlink("y".repeat(300), site.join("long link")).unwrap();
    fs::set_permissions(site.join("program"), fs::Permissions::from_mode(0o750)).unwrap();
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_234_567_890);
    File::open(site.join("a")).unwrap().set_modified(time).unwrap();
    File::open(&site).unwrap().set_modified(time).unwrap();
    File::open(&site).unwrap().set_permissions(fs::Permissions::from_mode(0o500)).unwrap();

    let mut compressed = Vec::new();
    assert_eq!(pack_compressed(&site, &mut compressed).unwrap(), SkipNotes::default());
    let plain = packed(&site);
    assert!(compressed.len() < plain.len() / 10);
    for (name, archive) in [("plain", plain), ("compressed", compressed)] {
        let into = scene.path().join(name);
        fs::create_dir(&into).unwrap();
        unpack(Cursor::new(archive), &into, false).unwrap();
        let got = into.join("site");
        assert_eq!(fs::read_to_string(got.join("a")).unwrap(), "1", "{name}");
        assert_eq!(fs::read_to_string(got.join(&long)).unwrap(), "long", "{name}");
        assert_eq!(fs::read(got.join("same")).unwrap(), vec![7; 100_000], "{name}");
        let program = fs::metadata(got.join("program")).unwrap();
        assert_eq!(program.ino(), fs::metadata(got.join("same")).unwrap().ino(), "{name}");
        assert_eq!(program.mode() & 0o700, 0o700, "{name}");
        assert_eq!(fs::read_link(got.join("link")).unwrap().as_os_str(), "a//./x", "{name}");
        let target = fs::read_link(got.join("long link")).unwrap();
        assert_eq!(target.as_os_str().len(), 300, "{name}");
        assert_eq!(fs::metadata(got.join("a")).unwrap().modified().unwrap(), time, "{name}");
        assert_eq!(fs::metadata(&got).unwrap().modified().unwrap(), time, "{name}");
        assert_eq!(fs::metadata(&got).unwrap().mode() & 0o777, 0o500, "{name}");
        // Otherwise an unprivileged user cannot remove it again.
        fs::set_permissions(&got, fs::Permissions::from_mode(0o700)).unwrap();
    }
    fs::set_permissions(&site, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_size_is_known_in_advance() {
    let (_scene, site) = scene();
    let path = site.join("d".repeat(120)).join("e".repeat(200)).join("f".repeat(200));
    fs::create_dir_all(&path).unwrap();
    fs::write(path.join("a"), vec![1; 1000]).unwrap();
    fs::write(site.join("b"), "").unwrap();
    fs::hard_link(path.join("a"), path.join("c")).unwrap();
    symlink("x".repeat(700), site.join("link")).unwrap();
    // 99, 100 and 101 bytes with `site/`.
    for length in [94, 95, 96] {
        fs::write(site.join("n".repeat(length)), vec![1; 512]).unwrap();
    }
    let _socket = UnixListener::bind(site.join("s")).unwrap();
    assert_eq!(size_bytes(&site).unwrap(), packed(&site).len() as u64);
}

#[test]
fn special_files_are_skipped_and_reported() {
    let (scene, site) = scene();
    let _socket = UnixListener::bind(site.join("socket")).unwrap();
    assert!(fs::metadata(site.join("socket")).unwrap().file_type().is_socket());
    rustix::fs::mkfifoat(rustix::fs::CWD, site.join("fifo"), rustix::fs::Mode::RUSR).unwrap();
    let mut archive = Vec::new();
    let mut skipped = pack(&site, &mut archive).unwrap();
    skipped.first.sort_by_key(|(path, _)| path.clone());
    assert_eq!(
        skipped,
        SkipNotes {
            first: ["fifo", "socket"].map(|name| (site.join(name), SkipReason::NotRegular)).into(),
            total: 2
        }
    );
    assert_eq!(listing(&archive, scene.path()), ["site/"]);
}

#[test]
fn the_list_of_skipped_paths_is_bounded() {
    let mut noted = SkipNotes::default();
    let skip = |number: u32| noted.skip(Path::new(&number.to_string()), SkipReason::Vanished);
    (0..1000).for_each(skip);
    assert_eq!((noted.first.len(), noted.total), (100, 1000));
}

/// Receives an archive, and modifies the files once the first content bytes have arrived.
struct Meddling<F> {
    archive: Vec<u8>,
    meddle: Option<F>,
}

impl<F: FnOnce()> Write for Meddling<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(meddle) = self.meddle.take() {
            meddle();
        }
        self.archive.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_shrinks_while_it_is_read_is_sent_again_as_it_is_then() {
    for left in
        [0, BUFFER_BYTES as u64, 10 * BUFFER_BYTES as u64 - 1, 10 * BUFFER_BYTES as u64 - 512]
    {
        let (scene, site) = scene();
        let file = site.join("log");
        fs::write(&file, vec![1; 10 * BUFFER_BYTES]).unwrap();
        let shrink = || OpenOptions::new().write(true).open(&file).unwrap().set_len(left).unwrap();
        let mut out = Meddling { archive: Vec::new(), meddle: Some(shrink) };
        pack(&site, &mut out).unwrap();
        let into = scene.path().join("into");
        fs::create_dir(&into).unwrap();
        unpack(Cursor::new(out.archive), &into, false).unwrap();
        assert!(fs::read(into.join("site/log")).unwrap() == fs::read(&file).unwrap(), "{left}");
    }
}

/// Truncates a file at each write, and extends it again: it is shorter whenever it is read.
struct Breathing<'f>(&'f Path, Vec<u8>);

impl Write for Breathing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let file = OpenOptions::new().write(true).open(self.0).unwrap();
        let is_content = bytes.first() == Some(&1);
        file.set_len(if is_content { 0 } else { 10 * BUFFER_BYTES as u64 }).unwrap();
        if !is_content {
            fs::write(self.0, vec![1; 10 * BUFFER_BYTES]).unwrap();
        }
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_that_shrinks_each_time_leaves_no_whole_archive() {
    let (scene, site) = scene();
    let file = site.join("log");
    fs::write(&file, vec![1; 10 * BUFFER_BYTES]).unwrap();
    let mut out = Breathing(&file, Vec::new());
    let error = pack(&site, &mut out).unwrap_err();
    assert!(error.to_string().contains("log keeps becoming shorter"), "{error}");
    let archive = out.1;
    let into = scene.path().join("into");
    fs::create_dir(&into).unwrap();
    let error = unpack(Cursor::new(archive), &into, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedEof);
    assert_eq!(fs::read_dir(&into).unwrap().count(), 0);
}

#[test]
fn a_growing_file_is_packed_up_to_its_initial_size() {
    let (scene, site) = scene();
    let file = site.join("log");
    fs::write(&file, vec![1; 10 * BUFFER_BYTES]).unwrap();
    let grow = || {
        let mut file = OpenOptions::new().append(true).open(&file).unwrap();
        file.write_all(&[2; 5000]).unwrap();
    };
    let mut out = Meddling { archive: Vec::new(), meddle: Some(grow) };
    pack(&site, &mut out).unwrap();
    let into = scene.path().join("into");
    fs::create_dir(&into).unwrap();
    unpack(Cursor::new(out.archive), &into, false).unwrap();
    assert_eq!(fs::read(into.join("site/log")).unwrap(), vec![1; 10 * BUFFER_BYTES]);
}

#[test]
fn a_vanished_file_is_skipped_and_its_hard_link_packed_in_full() {
    let (_scene, site) = scene();
    fs::write(site.join("a"), "x").unwrap();
    let metadata = fs::metadata(site.join("a")).unwrap();
    fs::hard_link(site.join("a"), site.join("b")).unwrap();
    let linked = fs::metadata(site.join("a")).unwrap();
    fs::remove_file(site.join("a")).unwrap();
    let mut packing = PackState::default();
    let mut builder = Builder::new(Vec::new());
    let (gone, there) = (site.join("a"), site.join("b"));
    packing.add(&mut builder, (&gone, Path::new("site/a")), &linked).unwrap();
    assert_eq!(
        packing.skipped,
        SkipNotes { first: vec![(gone.clone(), SkipReason::Vanished)], total: 1 }
    );
    packing.add(&mut builder, (&there, Path::new("site/b")), &linked).unwrap();
    packing.add(&mut builder, (&gone, Path::new("site/a")), &metadata).unwrap();
    let archive = builder.into_inner().unwrap();
    assert_eq!(archive.len(), 4 * BLOCK_BYTES, "one file of one block, and the end");
}

#[test]
fn an_unreadable_path_is_a_one_line_error() {
    let (_scene, site) = scene();
    let path = site.join("absent");
    let error = pack(&path, Vec::new()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot read {}: ", path.display())), "{error}");
    assert!(size_bytes(&path).is_err());
    // A cut archive is compressed without an end, too.
    let mut compressed = Vec::new();
    pack_compressed(&path, &mut compressed).unwrap_err();
    assert!(zstd::decode_all(compressed.as_slice()).map_or(true, |plain| plain.is_empty()));
}
