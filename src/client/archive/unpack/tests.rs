use super::super::pack::pack;
use super::super::{BLOCK_BYTES, BUFFER_BYTES};
use super::*;
use crate::client::unfinished::Partial;
use std::fs;
use std::io::Cursor;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::process::Command;
use tar::{EntryType, Header};

/// An archive built by hand, which can be hostile.
#[derive(Default)]
struct ByHand(Vec<u8>);

impl ByHand {
    fn entry(self, path: &str, kind: EntryType, link: &str) -> Self {
        self.whole(path, (kind, link, 0o755), b"")
    }

    fn file(self, path: &str, content: &[u8]) -> Self {
        self.whole(path, (EntryType::Regular, "", 0o644), content)
    }

    fn whole(
        mut self,
        path: &str,
        (kind, link, mode): (EntryType, &str, u32),
        content: &[u8],
    ) -> Self {
        if path.len() > 100 {
            let name = [path.as_bytes(), b"\0"].concat();
            self = self.whole("././@LongLink", (EntryType::GNULongName, "", 0), &name);
        }
        let mut header = Header::new_gnu();
        let short = &path.as_bytes()[..path.len().min(100)];
        header.as_old_mut().name[..short.len()].copy_from_slice(short);
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn end(mut self) -> Cursor<Vec<u8>> {
        self.0.extend_from_slice(&[0; 1024]);
        Cursor::new(self.0)
    }
}

fn archive() -> ByHand {
    ByHand::default()
}

/// A directory to unpack into, next to a file that no archive must touch.
struct Scene {
    _whole: tempfile::TempDir,
    into: PathBuf,
    secret: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let whole = tempfile::tempdir().unwrap();
        let (into, secret) = (whole.path().join("into"), whole.path().join("secret"));
        fs::create_dir(&into).unwrap();
        fs::create_dir(whole.path().join("outside")).unwrap();
        fs::write(&secret, "secret").unwrap();
        Self { _whole: whole, into, secret }
    }

    /// Checks that nothing outside was added or changed.
    fn check_outside(&self, name: &str) {
        assert_eq!(fs::read_to_string(&self.secret).unwrap(), "secret", "{name}");
        assert_eq!(fs::metadata(&self.secret).unwrap().nlink(), 1, "{name}");
        let outside = self.secret.with_file_name("outside");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0, "{name}");
        assert_eq!(fs::read_dir(outside.parent().unwrap()).unwrap().count(), 3, "{name}");
    }

    fn names(&self) -> Vec<String> {
        let name =
            |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(&self.into).unwrap().map(name).collect();
        names.sort();
        names
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.into.join(path)).unwrap()
    }
}

/// Checks that the last entry of each archive is skipped for this reason, and changes nothing
/// outside.
fn check_skipped(why: SkipReason, archives: Vec<(&str, ByHand)>) {
    for (name, archive) in archives {
        let scene = Scene::new();
        let unpacked = unpack(archive.end(), &scene.into, false).expect(name);
        let reasons: Vec<_> = unpacked.skipped.first.iter().map(|(_, why)| *why).collect();
        assert_eq!(reasons, [why], "{name}");
        scene.check_outside(name);
    }
}

#[test]
fn paths_that_lead_out_are_skipped() {
    let directory = EntryType::Directory;
    check_skipped(
        SkipReason::Outside,
        vec![
            ("an absolute path", archive().file("/tmp/evil", b"x")),
            ("an absolute directory", archive().entry("/", directory, "")),
            ("upwards", archive().file("../evil", b"x")),
            ("upwards from inside", archive().file("a/../../evil", b"x")),
            ("upwards and back", archive().file("a/../a", b"x")),
            (
                "upwards in a long name",
                archive().file(&format!("{}/../../evil", "a".repeat(120)), b"x"),
            ),
            ("a directory upwards", archive().entry("..", directory, "")),
        ],
    );
}

#[test]
fn nothing_is_created_through_a_link() {
    let directory = EntryType::Directory;
    check_skipped(
        SkipReason::ThroughLink,
        vec![
            ("a file as a directory", archive().file("a", b"x").file("a/b", b"x")),
            (
                "a file through a link",
                archive().entry("a/l", EntryType::Symlink, "../../outside").file("a/l/evil", b"x"),
            ),
            (
                "a file through an absolute link",
                archive().entry("a/l", EntryType::Symlink, "/tmp").file("a/l/evil", b"x"),
            ),
            (
                "through a link at the top",
                archive().entry("l", EntryType::Symlink, "../outside").file("l/evil", b"x"),
            ),
            (
                "a directory through a link",
                archive()
                    .entry("a/l", EntryType::Symlink, "../../../outside")
                    .entry("a/l/d", directory, ""),
            ),
            (
                "through a link to a link",
                archive()
                    .entry("a/m", EntryType::Symlink, "../../../../outside")
                    .entry("a/l", EntryType::Symlink, "m")
                    .file("a/l/evil", b"x"),
            ),
            (
                "through a hard link to a link",
                archive()
                    .entry("a/m", EntryType::Symlink, "../../../../outside")
                    .entry("a/l", EntryType::Link, "a/m")
                    .file("a/l/evil", b"x"),
            ),
        ],
    );
}

#[test]
fn hard_links_to_what_is_not_in_the_archive_are_skipped() {
    let directory = EntryType::Directory;
    let upwards = "../".repeat(4);
    check_skipped(
        SkipReason::Outside,
        vec![
            ("a hard link upwards", archive().entry("a", EntryType::Link, "../secret")),
            ("a hard link to the root", archive().entry("a", EntryType::Link, "/etc/passwd")),
        ],
    );
    check_skipped(
        SkipReason::MissingTarget,
        vec![
            (
                "a hard link through a link",
                archive().entry("a/l", EntryType::Symlink, &upwards).entry(
                    "a/evil",
                    EntryType::Link,
                    "a/l/secret",
                ),
            ),
            ("a hard link to nothing", archive().entry("a", EntryType::Link, "b")),
            ("a hard link to no name", archive().entry("a", EntryType::Link, "")),
            ("a link without a target", archive().entry("a", EntryType::Symlink, "")),
            (
                "a hard link to a directory",
                archive().entry("a", directory, "").entry("b", EntryType::Link, "a"),
            ),
        ],
    );
}

#[test]
fn names_that_cannot_be_are_skipped() {
    let long = "x".repeat(204);
    let directory = EntryType::Directory;
    check_skipped(
        SkipReason::IsDirectory,
        vec![
            ("a file", archive().entry("a", directory, "").file("a", b"x")),
            ("a link", archive().entry("a", directory, "").entry("a", EntryType::Symlink, "b")),
            ("a file without a name", archive().file("", b"x")),
            ("a file named as the target", archive().file("a", b"y").file(".", b"x")),
        ],
    );
    check_skipped(
        SkipReason::NameTooLong,
        vec![
            ("a huge name", archive().file(&format!("a/{}", "x".repeat(5000)), b"x")),
            ("a huge path", archive().file(&format!("{}x", "x/".repeat(5000)), b"x")),
            ("a long name", archive().file("b", b"y").file(&"x".repeat(256), b"x")),
            ("too long here", archive().file(&[long.as_str(); 20].join("/"), b"x")),
        ],
    );
}

#[test]
fn a_file_replaces_a_link_and_is_not_written_through_it() {
    for (name, link) in [("upwards", "../../../secret"), ("after the move", "../../secret")] {
        let scene = Scene::new();
        let archive = archive().entry("a/l", EntryType::Symlink, link).file("a/l", b"mine");
        unpack(archive.end(), &scene.into, false).unwrap();
        assert_eq!(scene.text("a/l"), "mine", "{name}");
        scene.check_outside(name);
    }
    let scene = Scene::new();
    let over = archive()
        .entry("a/l", EntryType::Symlink, "../../../outside")
        .whole("a/l", (EntryType::Directory, "", 0o700), b"")
        .file("a/l/b", b"mine");
    unpack(over.end(), &scene.into, false).unwrap();
    assert_eq!(scene.text("a/l/b"), "mine");
    scene.check_outside("a directory in its place");
}

#[test]
fn a_link_to_the_outside_is_kept_and_its_target_left_alone() {
    let scene = Scene::new();
    let link = scene.secret.to_str().unwrap();
    unpack(archive().entry("a/l", EntryType::Symlink, link).end(), &scene.into, false).unwrap();
    assert_eq!(fs::read_link(scene.into.join("a/l")).unwrap(), scene.secret);
    scene.check_outside("a link");
}

#[test]
fn devices_and_fifos_are_skipped_and_reported() {
    let scene = Scene::new();
    let archive = archive()
        .entry("a/null", EntryType::Char, "")
        .entry("a/disk", EntryType::Block, "")
        .entry("a/fifo", EntryType::Fifo, "")
        .entry("a/odd", EntryType::new(b'?'), "")
        .file("a/b", b"x");
    let unpacked = unpack(archive.end(), &scene.into, false).unwrap();
    let skipped = ["a/null", "a/disk", "a/fifo", "a/odd"];
    let skipped = skipped.map(|path| (PathBuf::from(path), SkipReason::NotRegular)).to_vec();
    assert_eq!(unpacked.skipped, SkipNotes { first: skipped, total: 4 });
    assert_eq!(unpacked.made, PathNotes { first: vec![scene.into.join("a")], total: 1 });
    assert_eq!(fs::read_dir(scene.into.join("a")).unwrap().count(), 1);
}

#[test]
fn an_archive_grants_no_permissions() {
    let scene = Scene::new();
    let other = scene.into.join("other");
    fs::create_dir(&other).unwrap();
    let allowed = fs::metadata(&other).unwrap().mode() & 0o777;
    let archive = archive()
        .whole("d", (EntryType::Directory, "", 0o7777), b"")
        .whole("d/program", (EntryType::Regular, "", 0o6777), b"x")
        .whole("d/inner", (EntryType::Directory, "", 0o3777), b"")
        .file("d/implied/file", b"x");
    unpack(archive.end(), &scene.into, false).unwrap();
    for path in ["d", "d/program", "d/inner", "d/implied"] {
        let mode = fs::metadata(scene.into.join(path)).unwrap().mode();
        assert_eq!(mode & 0o7777, allowed, "{path}: {mode:o}");
    }
}

#[test]
fn read_only_directories_are_filled() {
    let scene = Scene::new();
    let closed =
        |path, archive: ByHand| archive.whole(path, (EntryType::Directory, "", 0o500), b"");
    let archive = closed("a/b", closed("a", archive())).file("a/b/c", b"x").file("a/d", b"y");
    unpack(archive.end(), &scene.into, false).unwrap();
    for path in ["a", "a/b"] {
        let metadata = fs::metadata(scene.into.join(path)).unwrap();
        assert_eq!((metadata.mode() & 0o777, metadata.mtime()), (0o500, 1_000_000_000), "{path}");
    }
    assert_eq!(scene.text("a/b/c"), "x");
    for path in ["a", "a/b"] {
        fs::set_permissions(scene.into.join(path), fs::Permissions::from_mode(0o700)).unwrap();
    }
}

#[test]
fn names_are_kept_as_they_were_sent() {
    let scene = Scene::new();
    let archive = archive()
        .file(".git/config", b"1")
        .file("./-rf/.hidden", b"2")
        .file("a\\b", b"3")
        .entry("again", EntryType::Link, ".git/config")
        .entry("link", EntryType::Symlink, "-rf/.hidden");
    let unpacked = unpack(archive.end(), &scene.into, false).unwrap();
    assert_eq!((unpacked.skipped.total, unpacked.renamed), (0, None));
    assert_eq!(scene.names(), ["-rf", ".git", "a\\b", "again", "link"]);
    assert_eq!(["-rf/.hidden", "again", "link"].map(|name| scene.text(name)), ["2", "1", "2"]);
}

#[test]
fn what_an_archive_extracts_to_is_bounded() {
    let zeros = archive().file("a", &vec![0; 4 << 20]).end().into_inner();
    let bomb = zstd::encode_all(zeros.as_slice(), 1).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    io::copy(&mut zeros.as_slice(), &mut encoder).unwrap();
    let gzip = encoder.finish().unwrap();
    let free = Limits { bytes: Some(5 << 20), ..Limits::default() };
    for (name, input, limits, words) in [
        ("a ratio", &bomb, Limits::default(), "100 times its size"),
        ("a ratio of gzip", &gzip, Limits::default(), "--max-size BYTES"),
        ("a limit", &zeros, Limits { bytes: Some(1 << 20), ..free }, "--max-size 1.0 MiB"),
        ("entries", &zeros, Limits { entries: 0, ..free }, "--max-entries"),
        ("a higher limit", &bomb, free, ""),
        ("no compression", &zeros, Limits::default(), ""),
    ] {
        let scene = Scene::new();
        let mut rest = input.as_slice();
        let (begin, format) = peek(&mut rest).unwrap();
        let Format::Tar(compression) = format else { panic!("{name}: {format:?}") };
        let unfinished = &Unfinished::new();
        let how = Unpacking { into: &scene.into, overwrite: false, limits, unfinished };
        let unpacked = unpack_noted(begin.chain(rest), compression, how);
        match unpacked {
            Ok(_) => assert_eq!((words, scene.names()), ("", vec!["a".to_owned()]), "{name}"),
            Err(error) => {
                assert!(!words.is_empty() && error.to_string().contains(words), "{name}: {error}");
                assert_eq!(scene.names(), [""; 0], "{name}");
            }
        }
    }
}

#[test]
fn a_truncated_archive_leaves_nothing() {
    let whole = archive().file("a/b", &[b'x'; 1000]).file("a/c", b"y").end().into_inner();
    let compressed = zstd::encode_all(whole.as_slice(), 1).unwrap();
    for (name, bytes) in [("plain", whole), ("compressed", compressed)] {
        for missing in [1, bytes.len() / 3, bytes.len() - 2, bytes.len()] {
            let scene = Scene::new();
            let cut = &bytes[..bytes.len() - missing];
            let error = unpack(cut, &scene.into, false).expect_err(name);
            // Less than a block of the archive is none.
            let is_cut = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData);
            assert!(is_cut, "{name}, {missing}: {error}");
            assert_eq!(scene.names(), [""; 0], "{name}, {missing}");
        }
    }
    let scene = Scene::new();
    unpack(archive().end(), &scene.into, false).expect("an archive of nothing");
    assert_eq!(scene.names(), [""; 0]);
}

#[test]
fn a_damaged_compressed_archive_leaves_nothing() {
    let scene = Scene::new();
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.include_checksum(true).unwrap();
    io::copy(&mut archive().file("a", b"x").end(), &mut encoder).unwrap();
    let mut bytes = encoder.finish().unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    unpack(bytes.as_slice(), &scene.into, false).unwrap_err();
    assert_eq!(scene.names(), [""; 0]);
}

/// An archive whose last bytes follow a side effect.
struct Late<F> {
    first: Cursor<Vec<u8>>,
    rest: Cursor<Vec<u8>>,
    between: Option<F>,
}

impl<F: FnOnce()> Read for Late<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.first.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        if let Some(between) = self.between.take() {
            between();
        }
        self.rest.read(buffer)
    }
}

/// An interrupt at each read: takes the lock, cleans up, and never releases it.
struct Interrupting<'s> {
    archive: Cursor<Vec<u8>>,
    /// The number of bytes read before the interrupt.
    at: u64,
    unfinished: &'s Unfinished,
    scene: &'s Scene,
}

impl Read for Interrupting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.archive.position() >= self.at {
            let noted = self.unfinished.lock();
            let left = noted.as_ref().and_then(Partial::clean_up);
            assert_eq!((left, self.scene.names()), (None, vec![]), "at {}", self.at);
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let short = buffer.len().min(BLOCK_BYTES);
        self.archive.read(&mut buffer[..short])
    }
}

#[test]
fn an_interruption_at_any_read_leaves_nothing() {
    // Larger than the read-ahead, so most reads happen while files are created.
    let large = vec![b'x'; BUFFER_BYTES];
    let whole = archive()
        .entry("d", EntryType::Directory, "")
        .file("d/a", &large)
        .entry("d/l", EntryType::Symlink, "a")
        .entry("d/h", EntryType::Link, "d/a")
        .file("d/e/f/b", &large)
        .end()
        .into_inner();
    for at in (0..whole.len() as u64).step_by(BLOCK_BYTES) {
        let (scene, unfinished) = (Scene::new(), Unfinished::new());
        let archive = Cursor::new(whole.clone());
        let input = Interrupting { archive, at, unfinished: &unfinished, scene: &scene };
        let how = Unpacking {
            into: &scene.into,
            overwrite: false,
            limits: Limits::default(),
            unfinished: &unfinished,
        };
        unpack_noted(input, Compression::None, how).unwrap_err();
        assert_eq!(scene.names(), [""; 0], "at {at}");
        assert!(unfinished.lock().is_none(), "at {at}");
    }
}

#[test]
fn while_the_lock_is_free_every_path_is_noted_or_complete() {
    let whole = (0..40).fold(archive(), |archive, n| archive.file(&format!("d/{n}/a"), b"x")).end();
    let unfinished = Unfinished::new();
    let scene = Scene::new();
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for _ in 0..50 {
                let how = Unpacking {
                    into: &scene.into,
                    overwrite: false,
                    limits: Limits::default(),
                    unfinished: &unfinished,
                };
                unpack_noted(whole.clone(), Compression::None, how).unwrap();
                fs::rename(scene.into.join("d"), scene.secret.with_file_name("outside/d")).unwrap();
                fs::remove_dir_all(scene.secret.with_file_name("outside/d")).unwrap();
            }
            ended.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !ended.load(std::sync::atomic::Ordering::SeqCst) {
            let noted = unfinished.lock();
            let expected = noted.as_ref().map(|partial| match partial {
                Partial::Directory(path) | Partial::File(path) => path.clone(),
            });
            for name in scene.names() {
                let known = name == "d" || expected.as_ref() == Some(&scene.into.join(&name));
                assert!(known, "{name} is there, and {expected:?} is noted");
            }
        }
    });
}

#[test]
fn a_name_that_is_taken_gets_a_number_and_nothing_is_replaced() {
    let scene = Scene::new();
    for expected in ["a", "a (1)", "a (2)"] {
        let unpacked = unpack(archive().file("a/b", b"x").end(), &scene.into, false).unwrap();
        let place = scene.into.join(expected);
        assert_eq!(unpacked.renamed, Some(place.clone()).filter(|_| expected != "a"));
        assert_eq!(unpacked.made.first, [place]);
        assert_eq!(scene.text(&format!("{expected}/b")), "x");
    }
    // Several entries stay together, so that links between them hold.
    let several =
        archive().file("c.txt", b"y").file("a/b", b"z").entry("l", EntryType::Link, "a/b");
    let unpacked = unpack(several.end(), &scene.into, false).unwrap();
    assert_eq!(unpacked.renamed, Some(scene.into.join("c (1).txt")));
    assert_eq!(unpacked.taken, Some(scene.into.join("a")));
    assert_eq!((scene.text("c (1).txt/l"), scene.text("a/b")), ("z".into(), "x".into()));
}

#[test]
fn a_path_created_meanwhile_is_not_replaced_and_nothing_is_lost() {
    for (name, link) in [("a file", false), ("a link", true)] {
        let scene = Scene::new();
        let place = scene.into.join("a");
        let appear = || {
            assert_eq!(scene.names(), [".a.partial"], "{name}");
            if link { symlink("/nonexistent", &place) } else { fs::write(&place, "theirs") }
                .unwrap();
        };
        let first = Cursor::new(archive().file("a/b", &vec![b'x'; BUFFER_BYTES]).0);
        let rest = archive().end();
        let late = Late { first, rest, between: Some(appear) };
        let unpacked = unpack(late, &scene.into, false).unwrap();
        assert_eq!(unpacked.renamed, Some(scene.into.join("a (1)")), "{name}");
        assert_eq!(scene.names(), ["a", "a (1)"], "{name}");
        assert_eq!(scene.text("a (1)/b").len(), BUFFER_BYTES, "{name}");
        assert!(!fs::symlink_metadata(&place).unwrap().is_dir(), "{name}");
    }
}

#[test]
fn files_and_empty_directories_are_replaced_with_force() {
    for (name, old_is_directory, new) in [
        ("a directory by a directory", true, "a/new"),
        ("a directory by a file", true, "a"),
        ("a file by a directory", false, "a/new"),
        ("a file by a file", false, "a"),
    ] {
        let scene = Scene::new();
        let old = scene.into.join("a");
        if old_is_directory { fs::create_dir(old) } else { fs::write(old, "old") }.unwrap();
        unpack(archive().file(new, b"new").end(), &scene.into, true).unwrap();
        assert_eq!(scene.text(new), "new", "{name}");
        assert_eq!(scene.names(), ["a"], "{name}");
    }
}

#[test]
fn a_non_empty_directory_is_never_replaced() {
    for (name, overwrite, new) in [
        ("by a directory", true, "b/new"),
        ("by a file", true, "b"),
        ("by a file of the same name", true, "b/mine"),
        ("without being told", false, "b/new"),
    ] {
        let scene = Scene::new();
        fs::create_dir(scene.into.join("b")).unwrap();
        fs::write(scene.into.join("b/mine"), "mine").unwrap();
        let archive = archive().file("a", b"new").file(new, b"new");
        let unpacked = unpack(archive.end(), &scene.into, overwrite).expect(name);
        assert_eq!(unpacked.taken, Some(scene.into.join("b")), "{name}");
        assert_eq!(scene.text("b/mine"), "mine", "{name}");
        assert_eq!(scene.names(), ["a (1)", "b"], "{name}");
        assert_eq!(scene.text(&format!("a (1)/{new}")), "new", "{name}");
    }
}

#[test]
fn a_directory_that_is_filled_meanwhile_stays_as_it_is() {
    let scene = Scene::new();
    let place = scene.into.join("b");
    fs::create_dir(&place).unwrap();
    let fill = || fs::write(place.join("mine"), "mine").unwrap();
    let first = Cursor::new(archive().file("b/new", b"x").file("a", &vec![b'x'; BUFFER_BYTES]).0);
    let late = Late { first, rest: archive().end(), between: Some(fill) };
    unpack(late, &scene.into, true).unwrap();
    assert_eq!(scene.names(), ["b", "b (1)"]);
    assert_eq!((scene.text("b/mine"), scene.text("b (1)/b/new")), ("mine".into(), "x".into()));
}

#[test]
fn many_top_level_names_are_all_moved() {
    let scene = Scene::new();
    let archive = (0..300).fold(archive(), |archive, n| archive.file(&format!("./file{n}"), b"x"));
    let unpacked = unpack(archive.end(), &scene.into, false).unwrap();
    assert_eq!((unpacked.made.first.len(), unpacked.made.total), (100, 300));
    assert_eq!(scene.names().len(), 300);
}

#[test]
fn the_partial_directory_of_another_process_is_ignored() {
    let scene = Scene::new();
    fs::create_dir(scene.into.join(".a.partial")).unwrap();
    unpack(archive().file("a", b"x").end(), &scene.into, false).unwrap();
    assert_eq!(scene.names(), [".a.partial", "a"]);
}

#[test]
fn archives_of_tar_are_read_in_all_its_formats() {
    let scene = Scene::new();
    let site = scene.into.join("site");
    fs::create_dir(&site).unwrap();
    fs::write(site.join("file"), "hi").unwrap();
    fs::hard_link(site.join("file"), site.join("same")).unwrap();
    symlink("file", site.join("link")).unwrap();
    // The longest name in ustar, which splits names at a slash.
    let long = format!("{}/{}", "d".repeat(90), "ü".repeat(45));
    for format in ["v7", "ustar", "gnu", "posix"] {
        if format != "v7" {
            fs::create_dir_all(site.join("d".repeat(90))).unwrap();
            fs::write(site.join(&long), "long").unwrap();
        }
        let output = Command::new("tar")
            .args(["-c", "--format", format, "-C"])
            .arg(&scene.into)
            .arg("site")
            .output()
            .unwrap();
        assert!(output.status.success(), "{format}: {}", String::from_utf8_lossy(&output.stderr));
        let into = scene.into.join(format);
        fs::create_dir(&into).unwrap();
        unpack(output.stdout.as_slice(), &into, false).unwrap();
        assert_eq!(fs::read_to_string(into.join("site/link")).unwrap(), "hi", "{format}");
        let inode = |name| fs::metadata(into.join("site").join(name)).unwrap().ino();
        assert_eq!(inode("file"), inode("same"), "{format}");
        if format != "v7" {
            assert_eq!(
                fs::read_to_string(into.join("site").join(&long)).unwrap(),
                "long",
                "{format}"
            );
        }
    }
}

#[test]
fn an_unwritable_directory_is_a_one_line_error() {
    let mut whole = Vec::new();
    pack(&Scene::new().into, &mut whole).unwrap();
    let error = unpack(whole.as_slice(), Path::new("/proc/self"), false).unwrap_err().to_string();
    assert!(error.starts_with("cannot create /proc/self/.into.partial: "), "{error}");
}
