//! Wrong declared sizes: an immediate error, and never a request that looks complete.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd as _;

use rdv::client::{Error, Part, Upload};

use crate::upload::server::{Server, answer};

fn refused(server: &Server, part: Part<'_>) -> (u64, u64) {
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    let error = upload.send(part).unwrap_err();
    let Error::Size { expected_bytes, found_bytes } = error else { panic!("{error}") };
    (expected_bytes, found_bytes)
}

#[test]
fn a_reader_of_another_length_aborts_the_request() {
    for (name, announced, found) in [("shorter", 8, 6), ("longer", 4, 6), ("not empty", 0, 6)] {
        let server = Server::receiving(answer(200));
        let part = Part::from("123456".as_bytes()).size_bytes(announced);
        assert_eq!(refused(&server, part), (announced, found), "{name}");
        assert!(!server.request().is_complete, "{name}");
    }
}

#[test]
fn a_pipe_of_another_length_aborts_the_request() {
    for (name, announced) in [("shorter", 8), ("longer", 4)] {
        let server = Server::receiving(answer(200));
        let (input, mut filler) = std::io::pipe().unwrap();
        std::io::Write::write_all(&mut filler, b"123456").unwrap();
        drop(filler);
        let part = Part::descriptor(input.as_fd()).size_bytes(announced);
        assert_eq!(refused(&server, part), (announced, 6), "{name}");
        assert!(!server.request().is_complete, "{name}");
    }
}

#[test]
fn a_pipe_of_the_declared_length_has_a_content_length() {
    let server = Server::receiving(answer(200));
    let (input, mut filler) = std::io::pipe().unwrap();
    std::io::Write::write_all(&mut filler, b"123456").unwrap();
    drop(filler);
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    upload.send(Part::descriptor(input.as_fd()).size_bytes(6)).unwrap();
    let request = server.request();
    assert!(request.field("content-length").is_some());
    assert_eq!(request.parts()[0].1, b"123456");
}

#[test]
fn a_longer_reader_is_not_read_to_its_end() {
    /// Endless.
    struct Endless;
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            Ok(buffer.len())
        }
    }
    let server = Server::receiving(answer(200));
    let (announced, found) = refused(&server, Part::from(Endless).size_bytes(1_000_000));
    assert_eq!(announced, 1_000_000);
    assert!(found > announced, "{found}");
    assert!(!server.request().is_complete);
}

#[test]
fn a_file_must_match_its_declared_size() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(10).unwrap();
    let server = Server::receiving(answer(200));
    let part = Part::path(file.path()).unwrap().size_bytes(9);
    assert_eq!(refused(&server, part), (9, 10));
    assert_eq!(server.connections(), 0);
}

#[test]
fn a_file_that_shrinks_while_it_is_sent_aborts_the_request() {
    const LENGTH: u64 = 64 << 20;
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(LENGTH).unwrap();
    let path = file.path().to_owned();
    let server = Server::start(move |connection| {
        // The length is declared, and no more was sent than sockets hold.
        let mut request = connection.head()?;
        File::options().write(true).open(&path)?.set_len(0)?;
        request.is_complete = connection.drain()? >= LENGTH;
        Ok(Some(request))
    });
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    let error = upload.send(Part::path(file.path()).unwrap()).unwrap_err();
    assert!(matches!(error, Error::Size { expected_bytes: LENGTH, .. }), "{error}");
    assert!(!server.request().is_complete);
}

#[test]
fn a_growing_file_is_sent_up_to_its_initial_size() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::io::Write::write_all(&mut file.as_file(), b"12345").unwrap();
    let part = Part::path(file.path()).unwrap();
    std::io::Write::write_all(&mut file.as_file(), b"678").unwrap();
    let server = Server::receiving(answer(200));
    Upload::new("POST", &server.url()).unwrap().send(part).unwrap();
    assert_eq!(server.request().parts()[0].1, b"12345");
}
