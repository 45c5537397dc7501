//! Several files in one request, and several requests in one upload.

use std::io::Read as _;

use rdv::client::{Error, Part, Upload};

use crate::upload::server::{Server, answer};

fn contents(server: &Server) -> Vec<Vec<u8>> {
    server.request().parts().into_iter().map(|(_, content)| content).collect()
}

#[test]
fn successive_files_share_one_request_and_connection() {
    let server = Server::receiving(answer(200));
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    upload.send_unclose("one".as_bytes()).unwrap();
    upload.send_unclose("".as_bytes()).unwrap();
    upload.send("three".as_bytes()).unwrap();
    assert_eq!(contents(&server), [&b"one"[..], b"", b"three"]);
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_file_after_close_begins_a_new_request() {
    let server = Server::receiving(answer(200));
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    for round in ["first", "second"] {
        upload.send_unclose(round.as_bytes()).unwrap();
        let mut text = String::new();
        upload.close().unwrap().body().read_to_string(&mut text).unwrap();
        assert_eq!(text, "answer, 200");
        assert_eq!(contents(&server), [round.as_bytes()]);
    }
    upload.send("third".as_bytes()).unwrap();
    assert_eq!(contents(&server), [b"third"]);
    assert_eq!(server.connections(), 3);
}

#[test]
fn a_dropped_upload_leaves_an_incomplete_request() {
    let server = Server::receiving(answer(200));
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    upload.send_unclose("one".as_bytes()).unwrap();
    drop(upload);
    let request = server.request();
    assert!(!request.is_complete && !request.body.is_empty());
}

#[test]
fn after_an_error_the_next_file_begins_a_new_request() {
    let server = Server::receiving(answer(200));
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    upload.send_unclose("one".as_bytes()).unwrap();
    let short = Part::from("x".as_bytes()).size_bytes(2);
    assert!(matches!(upload.send_unclose(short), Err(Error::Size { .. })));
    assert!(!server.request().is_complete);
    let error = upload.close().unwrap_err();
    assert!(matches!(&error, Error::Input(why) if why.contains("begin another")), "{error}");
    upload.send_unclose("two".as_bytes()).unwrap();
    assert_eq!(upload.close().unwrap().status(), 200);
    assert_eq!(contents(&server), [b"two"]);
}

#[test]
fn an_invalid_argument_does_not_end_the_request() {
    let server = Server::receiving(answer(200));
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    upload.send_unclose("one".as_bytes()).unwrap();
    let wrong = Part::from("x".as_bytes()).content_type("none");
    assert!(matches!(upload.send_unclose(wrong), Err(Error::Input(_))));
    upload.send("two".as_bytes()).unwrap();
    assert_eq!(contents(&server), [b"one", b"two"]);
}

#[test]
fn a_failing_reader_aborts_the_request() {
    struct Failing;
    impl std::io::Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("out of paper"))
        }
    }
    let server = Server::receiving(answer(200));
    let mut upload = Upload::new("POST", &server.url()).unwrap();
    let error = upload.send("some".as_bytes().chain(Failing)).unwrap_err();
    assert!(matches!(error, Error::Local { .. }), "{error}");
    assert!(error.to_string().contains("out of paper"), "{error}");
    assert!(!server.request().is_complete);
}
