//! Wire format: one request, framed by its length if it is known, and one complete form.

use std::io::Write as _;

use rdv::client::{Part, Upload};

use crate::upload::server::{Request, Server, answer};

fn sent(parts: Vec<Part<'_>>) -> Request {
    let server = Server::receiving(answer(201));
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    assert_eq!(upload.send_all(parts).unwrap().status(), 201);
    assert_eq!(server.connections(), 1);
    server.request()
}

fn disposition(name: &str, file_name: &str, content_type: &str) -> String {
    format!(
        "Content-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
         Content-Type: {content_type}"
    )
}

#[test]
fn a_request_has_the_expected_line_and_fields() {
    let server = Server::receiving(answer(201));
    let url = server.url().replace("http://", "http://me:p%40ss@");
    let mut upload = Upload::new("PUT", &url).unwrap();
    upload.options().add_field("X-Batch", "7").unwrap();
    upload.send("x".as_bytes()).unwrap();
    let request = server.request();
    assert_eq!(request.line, "PUT /files?to=here HTTP/1.1");
    assert_eq!(request.field("host"), Some(&*server.address().to_string()));
    assert_eq!(request.field("x-batch"), Some("7"));
    assert_eq!(request.field("authorization"), Some("Basic bWU6cEBzcw=="));
    assert_eq!(request.field("connection"), Some("close"));
    assert_eq!(request.field("expect"), None);
}

#[test]
fn a_known_length_is_declared_and_an_unknown_one_is_chunked() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().write_all(b"12345").unwrap();
    let path = || Part::path(file.path()).unwrap();
    let reader = || Part::from("abc".as_bytes());
    for (name, parts, known) in [
        ("a file", vec![path()], true),
        ("a reader with its size", vec![reader().size_bytes(3)], true),
        ("both", vec![path(), reader().size_bytes(3)], true),
        ("a reader", vec![reader()], false),
        ("a file and a reader", vec![path(), reader()], false),
        ("no file", vec![], true),
    ] {
        let count = parts.len();
        let request = sent(parts);
        let length = request.field("content-length").map(|length| length.parse().unwrap());
        assert_eq!(length, known.then_some(request.body.len()), "{name}");
        let coding = request.field("transfer-encoding");
        assert_eq!(coding, (!known).then_some("chunked"), "{name}");
        if count > 0 {
            assert_eq!(request.parts().len(), count, "{name}");
        }
    }
}

#[test]
fn an_expected_size_for_all_readers_makes_the_length_known() {
    let server = Server::receiving(answer(200));
    let mut upload = Upload::new("POST", &server.url()).unwrap().expected_size(3);
    upload.send("abc".as_bytes()).unwrap();
    assert!(server.request().field("content-length").is_some());
}

#[test]
fn names_and_types_come_from_the_part_the_upload_or_the_defaults() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("own.csv");
    std::fs::write(&path, "1,2").unwrap();
    let server = Server::receiving(answer(200));
    let request = |upload: Upload, part: Part<'_>| {
        let mut upload = upload;
        upload.send(part).unwrap();
        server.request().parts().remove(0).0
    };
    let plain = || Upload::new("POST", &server.url()).unwrap();
    let named = || plain().field_name("f").file_name("n").content_type("a/b");
    let reader = || Part::from("x".as_bytes());
    let own = || reader().field_name("own").file_name("name").content_type("text/csv");
    for (name, got, expected) in [
        (
            "the usual",
            request(plain(), reader()),
            disposition("file", "data", "application/octet-stream"),
        ),
        ("the upload's", request(named(), reader()), disposition("f", "n", "a/b")),
        ("the part's", request(named(), own()), disposition("own", "name", "text/csv")),
        (
            "the file's",
            request(named(), Part::path(&path).unwrap()),
            disposition("f", "own.csv", "a/b"),
        ),
    ] {
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn files_that_report_size_0_are_sent_in_full() {
    let request = sent(vec![Part::path("/proc/self/mounts").unwrap()]);
    let parts = request.parts();
    assert_eq!(parts[0].1, std::fs::read("/proc/self/mounts").unwrap());
    assert!(!parts[0].1.is_empty());
}

#[test]
fn an_open_file_is_sent_from_its_offset() {
    use std::io::{Seek as _, SeekFrom};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"0123456789").unwrap();
    file.seek(SeekFrom::Start(4)).unwrap();
    let request = sent(vec![Part::open_file(file).unwrap()]);
    assert_eq!(request.parts()[0].1, b"456789");
    assert!(request.field("content-length").is_some());
}

#[test]
fn progress_counts_every_byte_of_the_body() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let server = Server::receiving(answer(200));
    let counted = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&counted);
    let upload = Upload::new("POST", &server.url()).unwrap();
    let mut upload = upload.on_progress(move |bytes| {
        count.fetch_add(bytes, Ordering::SeqCst);
    });
    let content = vec![7; 1_000_000];
    let parts =
        || vec![Part::from(content.as_slice()).size_bytes(1_000_000), Part::from("".as_bytes())];
    assert_eq!(upload.length_bytes(&parts()).unwrap(), None, "one size is not known");
    let foretold = upload.length_bytes(&parts()[..1]).unwrap();
    upload.send_all(parts().into_iter().take(1).collect()).unwrap();
    let bytes = server.request().body.len() as u64;
    assert_eq!((counted.load(Ordering::SeqCst), foretold), (bytes, Some(bytes)));
}

#[test]
fn invalid_input_is_rejected_before_a_connection_is_opened() {
    let server = Server::receiving(answer(200));
    let new = || Upload::new("POST", &server.url()).unwrap();
    let mut typed = new();
    typed.options().add_field("Content-Type", "text/plain").unwrap();
    for (name, result, hint) in [
        ("a method", Upload::new("P T", &server.url()).map(drop), "use POST"),
        ("a method without a body", Upload::new("HEAD", &server.url()).map(drop), "use POST"),
        ("a URL", Upload::new("POST", "files.example").map(drop), "http://"),
        (
            "a type",
            new().send(Part::from("x".as_bytes()).content_type("a\r\nb")).map(drop),
            "text/plain",
        ),
        ("the form's type", typed.send("x".as_bytes()).map(drop), "boundary"),
        ("a directory", Part::path("/").map(drop), "directory"),
        ("no file", Part::path("/nowhere/a").map(drop), "cannot open /nowhere/a"),
    ] {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(hint) && !error.contains('\n'), "{name}: {error}");
    }
    assert_eq!(server.connections(), 0);
}
