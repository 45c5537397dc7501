//! Servers with TLS: which certificates a client trusts, and that a truncated connection is
//! distinguished from a closed one.

use std::io::Read as _;

use rcgen::{BasicConstraints, CertificateParams, IsCa, date_time_ymd};
use rdv::client::{Error, Options, Part, Upload};

use crate::support::{Authority, Terminator};
use crate::upload::server::{Server, answer};

fn sent(url: &str, options: Options) -> Result<u16, Error> {
    let mut upload = Upload::new("POST", url).unwrap().with_options(options);
    upload.send("content".as_bytes()).map(|answer| answer.status())
}

#[test]
fn a_server_with_a_given_certificate_authority_is_trusted() {
    let authority = Authority::new();
    for name in ["localhost", "127.0.0.1"] {
        let server = Server::receiving(answer(201));
        let front = Terminator::start(&authority.server(name), server.address(), &[]);
        assert_eq!(sent(&front.url_of(name), authority.trusted()).unwrap(), 201, "{name}");
        assert_eq!(server.request().parts()[0].1, b"content", "{name}");
    }
}

#[test]
fn an_upload_over_tls_arrives_unchanged() {
    let authority = Authority::new();
    let server = Server::receiving(answer(201));
    let front = Terminator::start(&authority.server("localhost"), server.address(), &[]);
    let content = crate::support::pattern(7, 5 << 20);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &content).unwrap();
    let (input, filler) = std::io::pipe().unwrap();
    let piped = content.clone();
    let writer = std::thread::spawn(move || {
        let mut filler = filler;
        std::io::Write::write_all(&mut filler, &piped).unwrap();
    });
    let mut upload = Upload::new("POST", &front.url()).unwrap().with_options(authority.trusted());
    let parts = vec![
        Part::path(file.path()).unwrap(),
        Part::descriptor(std::os::fd::AsFd::as_fd(&input)),
        Part::from(content.as_slice()),
    ];
    assert_eq!(upload.send_all(parts).unwrap().status(), 201);
    writer.join().unwrap();
    let parts = server.request().parts();
    assert_eq!(parts.len(), 3);
    for (at, (_, received)) in parts.iter().enumerate() {
        crate::support::is_pattern(7, content.len(), received)
            .unwrap_or_else(|why| panic!("{at}: {why}"));
    }
}

#[test]
fn an_invalid_certificate_is_rejected_with_a_hint() {
    let authority = Authority::new();
    let mut old = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    old.not_before = date_time_ymd(2001, 1, 1);
    old.not_after = date_time_ymd(2001, 2, 1);
    let mut coming = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    coming.not_before = date_time_ymd(4000, 1, 1);
    let good = || CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let other = CertificateParams::new(vec!["other.example".to_owned()]).unwrap();
    let mut of_authority = good();
    of_authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    for (name, params, options, hint) in [
        ("an unknown authority", good(), Authority::named("another").trusted(), "--cacert"),
        ("another of the same name", good(), Authority::new().trusted(), "--cacert"),
        ("not one of the system's", good(), Options::default(), "--cacert"),
        ("another name", other, authority.trusted(), "another host name"),
        ("expired", old, authority.trusted(), "expired"),
        ("not valid yet", coming, authority.trusted(), "clock"),
        ("an authority's own", of_authority, authority.trusted(), "CA:FALSE"),
    ] {
        let server = Server::receiving(answer(201));
        let front = Terminator::start(&authority.signed(&params), server.address(), &[]);
        let error = sent(&front.url(), options).expect_err(name);
        assert!(matches!(error, Error::Network { .. }), "{name}: {error}");
        let error = error.to_string();
        assert!(error.contains(hint) && error.contains("localhost"), "{name}: {error}");
        assert!(!error.contains('\n'), "{name}: {error}");
        assert_eq!(server.connections(), 0, "{name}");
    }
}

#[test]
fn an_invalid_ca_file_is_rejected_with_a_hint() {
    let server = Server::receiving(answer(201));
    let url = server.url().replace("http:", "https:");
    let file = tempfile::NamedTempFile::new().unwrap();
    for (name, path, hint) in [
        ("nothing there", "/nowhere/a.pem", "/nowhere/a.pem"),
        ("no PEM", file.path().to_str().unwrap(), "PEM"),
    ] {
        let mut options = Options::default();
        options.trust_only(path);
        let error = sent(&url, options).unwrap_err();
        assert!(matches!(error, Error::Input(_)), "{name}: {error}");
        assert!(error.to_string().contains(hint), "{name}: {error}");
    }
}

#[test]
fn a_server_without_tls_is_reported_as_such() {
    let server = Server::start(|connection| {
        connection.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")?;
        connection.drain()?;
        Ok(None)
    });
    let error = sent(&server.url().replace("http:", "https:"), Options::default()).unwrap_err();
    assert!(error.to_string().contains("try http://"), "{error}");
}

#[test]
fn a_close_delimited_body_needs_a_close_notify() {
    let authority = Authority::new();
    for (flags, is_complete) in [(&[][..], true), (&["cut"], false)] {
        let server = Server::receiving("HTTP/1.1 200 OK\r\n\r\nthere");
        let front = Terminator::start(&authority.server("localhost"), server.address(), flags);
        let upload = Upload::new("POST", &front.url()).unwrap();
        let mut answer = upload.with_options(authority.trusted()).send("x".as_bytes()).unwrap();
        let mut text = String::new();
        let read = answer.body().read_to_string(&mut text);
        assert_eq!(read.is_ok(), is_complete, "{flags:?}: {read:?}");
        if let Err(error) = read {
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
            assert!(error.to_string().contains("cut"), "{error}");
        }
    }
}

#[test]
fn a_body_with_a_length_needs_no_close_notify() {
    let authority = Authority::new();
    let server = Server::receiving(answer(200));
    let front = Terminator::start(&authority.server("localhost"), server.address(), &["cut"]);
    let upload = Upload::new("POST", &front.url()).unwrap();
    let mut answer = upload.with_options(authority.trusted()).send("x".as_bytes()).unwrap();
    let mut text = String::new();
    answer.body().read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer, 200");
}
