//! The sender's page: what arrives as one archive.

use crate::browser::browser;
use crate::scene::Desk;
use crate::support::{Relay, is_pattern, pattern};

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_folder_arrives_as_an_archive_that_tar_unpacks() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    let long = format!("photos/{}/{}.txt", "d".repeat(120), "f".repeat(140));
    let files = [("photos/a.txt", 3), ("photos/ü \u{1f980}.bin", 100_000), ("photos/x/empty", 0)];
    let files: Vec<_> = files.into_iter().chain([(long.as_str(), 513)]).collect();
    for &(name, bytes) in &files {
        desk.put(name, &pattern(bytes as u64, bytes));
    }
    page.open(&relay.url("/"));
    page.choose("#folder", &[&desk.directory().join("photos")]);
    let id = page.offered(&relay);
    let receiver = Desk::new();
    receiver.run(&format!("curl -qfsSOJ {}", relay.url(&format!("/stream/{id}"))));
    page.await_state("FINISHED");
    assert_eq!(receiver.names(), ["photos.tar"]);
    let listed = receiver.run("tar -tf photos.tar --quoting-style=literal").stdout;
    for (name, bytes) in files {
        assert!(listed.lines().any(|line| line == name), "{name}: {listed}");
        receiver.run("tar -xf photos.tar");
        is_pattern(bytes as u64, bytes, &receiver.read(name)).expect(name);
    }
}

#[test]
fn a_dropped_folder_arrives_with_its_empty_directories() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    desk.put("tree/a", b"content");
    std::fs::create_dir_all(desk.directory().join("tree/empty")).expect("a directory");
    page.open(&relay.url("/"));
    page.drop_on(".drop", &[&desk.directory().join("tree")]);
    let id = page.offered(&relay);
    let receiver = Desk::new();
    receiver.run(&format!("curl -qfsS -o a.tar {}", relay.url(&format!("/stream/{id}"))));
    let listed = receiver.run("tar -tf a.tar").stdout;
    assert_eq!(sorted(&listed), ["tree/", "tree/a", "tree/empty/"]);
}

#[test]
fn several_files_arrive_as_one_archive() {
    let Some(browser) = browser() else { return };
    let (relay, desk, page) = (Relay::start(&[]), Desk::new(), browser.page());
    let files = [desk.put("one", b"1"), desk.put("two", b"22")];
    page.open(&relay.url("/"));
    page.choose("#files", &[&files[0], &files[1]]);
    let id = page.offered(&relay);
    let receiver = Desk::new();
    receiver.run(&format!("curl -qfsS -o a.tar {}", relay.url(&format!("/stream/{id}"))));
    receiver.run("tar -xf a.tar");
    assert_eq!(receiver.names(), ["a.tar", "one", "two"]);
    assert_eq!((receiver.read("one"), receiver.read("two")), (b"1".to_vec(), b"22".to_vec()));
}
