//! The real `curl` and `tar`, as docs/curl.md shows them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::support::{Framing, Relay, is_pattern, node, parse, pattern};
use serde_json::json;
use tempfile::TempDir;

/// `curl` without a configuration file and a proxy, and with a timeout.
fn curl(directory: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new("curl");
    command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60"]).args(arguments);
    command.current_dir(directory.path()).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(mut command: Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn assert_success(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Uploads and downloads at once; both must succeed. Returns the output of the uploading curl.
fn transfer_between(upload: Command, download: Command) -> (Output, Output) {
    let (mut upload, mut download) = (upload, download);
    let uploading = upload.spawn().expect("curl");
    let downloading = download.spawn().expect("curl");
    let downloaded = downloading.wait_with_output().expect("curl");
    let uploaded = uploading.wait_with_output().expect("curl");
    assert_success(&downloaded);
    assert_success(&uploaded);
    (uploaded, downloaded)
}

fn write_pattern(path: &Path, len: usize) {
    fs::write(path, pattern(21, len)).expect("a file");
}

#[test]
fn a_stream_is_created_with_curl() {
    let (relay, here) = (Relay::start(&[]), directory());
    let output = run(curl(&here, &["-X", "POST", &relay.url("/stream")]));
    assert_success(&output);
    let answer = crate::support::parse(&output.stdout);
    let id = answer["stream"].as_str().expect("an id");
    assert_eq!(relay.status(id)["state"], "CREATED");
}

#[test]
fn a_file_is_transferred_from_curl_to_curl() {
    let (relay, here) = (Relay::start(&[]), directory());
    for size in [0, 1, 1_000, 3 << 20, 20 << 20] {
        write_pattern(&here.path().join("up"), size);
        let url = relay.url(&format!("/stream/{}", relay.create()));
        let upload = curl(&here, &["-T", "up", &url, "-w", "%{http_code}"]);
        let (uploaded, _) = transfer_between(upload, curl(&here, &["-f", "-o", "down", &url]));
        assert_eq!(uploaded.stdout, b"200", "{size}");
        let down = fs::read(here.path().join("down")).expect("the download");
        is_pattern(21, size, &down).unwrap_or_else(|why| panic!("{size}: {why}"));
        fs::remove_file(here.path().join("down")).expect("remove");
    }
}

#[test]
fn curl_follows_redirects_between_nodes_in_both_directions() {
    let (a, b, here) = (node(&[]), node(&[]), directory());
    for size in [0, 1_000, 3 << 20] {
        write_pattern(&here.path().join("up"), size);
        for (sender, receiver) in [(&a, &b), (&b, &a), (&a, &a)] {
            let target = format!("/stream/{}", b.create());
            let upload = ["-L", "-T", "up", &sender.url(&target), "-w", "%{http_code}"];
            let download = ["-L", "-f", "-o", "down", &receiver.url(&target)];
            let (uploaded, _) = transfer_between(curl(&here, &upload), curl(&here, &download));
            assert_eq!(uploaded.stdout, b"200", "{size}");
            let down = fs::read(here.path().join("down")).expect("the download");
            is_pattern(21, size, &down).unwrap_or_else(|why| panic!("{size}: {why}"));
            fs::remove_file(here.path().join("down")).expect("remove");
        }
    }
}

#[test]
fn a_resumed_download_does_not_consume_the_stream() {
    let (relay, here) = (Relay::start(&[]), directory());
    write_pattern(&here.path().join("up"), 3_000);
    write_pattern(&here.path().join("down"), 1_000);
    let id = relay.create();
    let url = relay.url(&format!("/stream/{id}"));
    let resumed = run(curl(&here, &["-C", "-", "-o", "down", "-w", "%{http_code}", &url]));
    assert_eq!(resumed.stdout, b"416", "{resumed:?}");
    assert_eq!(fs::read(here.path().join("down")).expect("the part"), pattern(21, 1_000));
    assert_eq!(relay.status(&id)["state"], "CREATED");
    transfer_between(
        curl(&here, &["-f", "-T", "up", &url]),
        curl(&here, &["-f", "-o", "down", &url]),
    );
    assert_eq!(fs::read(here.path().join("down")).expect("the file"), pattern(21, 3_000));
}

#[test]
fn a_file_is_transferred_to_an_http_1_0_curl() {
    let (relay, here) = (Relay::start(&[]), directory());
    write_pattern(&here.path().join("up"), 3 << 20);
    for upload in [&["-T", "up"][..], &["-T", "up", "-H", "Transfer-Encoding: chunked"]] {
        let url = relay.url(&format!("/stream/{}", relay.create()));
        let upload = curl(&here, &[upload, &[&url]].concat());
        let (_, downloaded) = transfer_between(upload, curl(&here, &["-f", "-0", &url]));
        is_pattern(21, 3 << 20, &downloaded.stdout).unwrap_or_else(|why| panic!("{why}"));
    }
}

#[test]
fn a_pipe_is_transferred_from_curl_to_curl() {
    let (relay, here) = (Relay::start(&[]), directory());
    write_pattern(&here.path().join("up"), 5 << 20);
    let url = relay.url(&format!("/stream/{}", relay.create()));
    let mut cat = Command::new("cat")
        .arg(here.path().join("up"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("cat");
    let mut upload = curl(&here, &["-f", "-T", "-", &url]);
    upload.stdin(cat.stdout.take().expect("its output"));
    let (_, downloaded) = transfer_between(upload, curl(&here, &["-f", &url]));
    assert!(cat.wait().expect("cat").success());
    is_pattern(21, 5 << 20, &downloaded.stdout).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_directory_is_transferred_through_tar() {
    let (relay, here, there) = (Relay::start(&[]), directory(), directory());
    fs::create_dir_all(here.path().join("tree/below")).expect("directories");
    write_pattern(&here.path().join("tree/one"), 1_000_000);
    write_pattern(&here.path().join("tree/below/two"), 10);
    let url = relay.url(&format!("/stream/{}", relay.create()));
    let pack = |mut tar: Command| tar.stdout(Stdio::piped()).stderr(Stdio::null()).spawn();

    let mut tar = Command::new("tar");
    tar.current_dir(here.path()).args(["c", "tree"]);
    let mut packing = pack(tar).expect("tar");
    let mut upload = curl(&here, &["-f", "-T", "-", &url]);
    let uploading = upload.stdin(packing.stdout.take().expect("its output")).spawn().expect("curl");
    let mut downloading = curl(&there, &["-f", &url]).spawn().expect("curl");
    let mut tar = Command::new("tar");
    tar.current_dir(there.path()).arg("x");
    tar.stdin(downloading.stdout.take().expect("its output"));
    let mut unpacking = pack(tar).expect("tar");

    assert!(packing.wait().expect("tar").success());
    assert_success(&uploading.wait_with_output().expect("curl"));
    assert_success(&downloading.wait_with_output().expect("curl"));
    assert!(unpacking.wait().expect("tar").success());
    for (file, size) in [("tree/one", 1_000_000), ("tree/below/two", 10)] {
        let down = fs::read(there.path().join(file)).expect("a file");
        is_pattern(21, size, &down).unwrap_or_else(|why| panic!("{file}: {why}"));
    }
}

#[test]
fn a_url_with_a_trailing_slash_names_the_file() {
    let (relay, here, there) = (Relay::start(&[]), directory(), directory());
    write_pattern(&here.path().join("report.txt"), 1_000);
    let url = relay.url(&format!("/stream/{}", relay.create()));
    let upload = curl(&here, &["-f", "-T", "report.txt", &format!("{url}/")]);
    transfer_between(upload, curl(&there, &["-f", "-OJ", &url]));
    let down = fs::read(there.path().join("report.txt")).expect("a file of that name");
    is_pattern(21, 1_000, &down).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn a_custom_content_disposition_names_the_file() {
    let (relay, here, there) = (Relay::start(&[]), directory(), directory());
    write_pattern(&here.path().join("up"), 1_000);
    let disposition = "attachment; filename=\"myfile.csv\"";
    let headers = json!({ "download_headers": { "Content-Disposition": disposition } });
    let output = run(curl(&here, &["-f", "-d", &headers.to_string(), &relay.url("/stream")]));
    assert_success(&output);
    let answer = crate::support::parse(&output.stdout);
    let url = relay.url(&format!("/stream/{}", answer["stream"].as_str().expect("an id")));
    transfer_between(curl(&here, &["-f", "-T", "up", &url]), curl(&there, &["-f", "-OJ", &url]));
    assert!(there.path().join("myfile.csv").exists());
}

#[test]
fn an_interrupted_upload_is_a_failed_download() {
    let (relay, here) = (Relay::start(&[]), directory());
    for (framing, version) in [
        (Framing::Length(1 << 20), "--http1.1"),
        (Framing::Length(1 << 20), "--http1.0"),
        (Framing::Chunked, "--http1.1"),
        (Framing::Chunked, "--http1.0"),
    ] {
        let id = relay.create();
        let mut source = relay.waiting_source(&id, framing);
        let url = relay.url(&format!("/stream/{id}"));
        let downloading = curl(&here, &[version, "-N", &url]).spawn().expect("curl");
        source.send(framing.piece(b"hello"));
        crate::support::eventually("the first bytes are through", || {
            (relay.status(&id)["bytes_transferred"] == 5).then_some(())
        });
        drop(source);
        let downloaded = downloading.wait_with_output().expect("curl");
        let code = downloaded.status.code().expect("an exit status");
        // 18: a partial file. 56: a reset, the only sign of truncation in HTTP/1.0 without a
        // length.
        let old = version == "--http1.0";
        assert!(code == 18 || (old && code == 56), "{framing:?} {version}: {code}");
    }
}

#[test]
fn a_reported_error_reaches_curl() {
    let (relay, here) = (Relay::start(&[]), directory());
    let id = relay.create();
    let error = json!({ "http_status": 404, "name": "FileNotFoundError", "message": "not here" });
    let report = relay.url(&format!("/stream/{id}/error"));
    assert_success(&run(curl(&here, &["-f", "-d", &error.to_string(), &report])));
    let url = relay.url(&format!("/stream/{id}"));
    let output = run(curl(&here, &["-w", "%{http_code}", &url]));
    assert_success(&output);
    let wanted = "{\"name\":\"FileNotFoundError\",\"message\":\"not here\"}\n404";
    assert_eq!(String::from_utf8_lossy(&output.stdout), wanted);
}

#[test]
fn a_refused_upload_receives_the_response() {
    let (relay, here) = (Relay::start(&[]), directory());
    write_pattern(&here.path().join("up"), 20 << 20);
    let url = relay.url(&format!("/stream/{}", crate::support::UNKNOWN));
    for expect in [&["-H", "Expect:"][..], &["-H", "Expect: 100-continue"]] {
        let output =
            run(curl(&here, &[expect, &["-T", "up", "-w", "%{http_code}", &url]].concat()));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(text.contains("SessionNotFoundError") && text.ends_with("404"), "{text}");
    }
}

#[test]
fn an_upload_is_answered_once_the_download_was_received() {
    let (relay, here) = (Relay::start(&[]), directory());
    write_pattern(&here.path().join("up"), 3 << 20);
    for version in ["--http1.1", "--http1.0"] {
        let created = run(curl(&here, &["-d", r#"{"receipt":"acked"}"#, &relay.url("/stream")]));
        let id = parse(&created.stdout)["stream"].as_str().expect("an id").to_owned();
        let url = relay.url(&format!("/stream/{id}"));
        let upload = curl(&here, &["-f", version, "-T", "up", &url]);
        transfer_between(upload, curl(&here, &["-f", version, "-o", "down", &url]));
        assert!(fs::read(here.path().join("down")).expect("a file") == pattern(21, 3 << 20));
        let status = relay.status(&id);
        assert_eq!(
            (&status["receipt"], &status["receipt_by"]),
            (&json!("confirmed"), &json!("tcp"))
        );
    }
}
