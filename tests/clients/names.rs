//! Dangerous file names: whatever their origin, each becomes the name of one visible file in the
//! receiver's directory, and is harmless to a terminal.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::thread;

use crate::support::{Framing, Relay};
use crate::workdir::{Workdir, assert_complete, assert_ended};

/// Names as sent, and as received; an empty one is replaced by the stream's identifier.
const NAMES: [(&str, &str); 14] = [
    ("../../x", "_._.._x"),
    ("/etc/passwd", "_etc_passwd"),
    ("a/b", "a_b"),
    (".bashrc", "_bashrc"),
    ("-rf", "_rf"),
    ("a\nb", "ab"),
    ("a\u{1b}[31mb\u{7}", "a[31mb"),
    ("a\u{9b}31mb", "a31mb"),
    ("a\u{202e}gpj.exe", "agpj.exe"),
    ("a b", "a b"),
    ("it's \"so\"", "it's \"so\""),
    ("Größe 🎉.txt", "Größe 🎉.txt"),
    ("C:\\temp\\a.txt", "C:_temp_a.txt"),
    ("..", ""),
];

/// The name that a receiver gave to the file from this stream, and to no other.
fn received(relay: &Relay, id: &str, name: &str) -> String {
    let above = Workdir::at(relay);
    fs::create_dir_all(above.path("below/here")).expect("directories");
    let got = above.run(&["receive", id, "-o", "below/here"]);
    assert_complete(name, &got);
    assert_eq!(above.names(), ["below"], "{name}: nothing outside the directory");
    let mut made = fs::read_dir(above.path("below/here")).expect("a directory").flatten();
    let first = made.next().expect("a file");
    assert!(made.next().is_none() && first.file_type().expect("it").is_file(), "{name}");
    assert_eq!(fs::read(first.path()).expect("a file"), b"abc", "{name}");
    assert_eq!(fs::read_dir(above.path("below")).expect("a directory").count(), 1, "{name}");
    first.file_name().to_string_lossy().into_owned()
}

fn expected_name(id: &str, name: &str) -> String {
    if name.is_empty() { format!("rdv-{}", &id[..8]) } else { name.to_owned() }
}

/// As a path segment, with every byte escaped.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |text, byte| text + &format!("%{byte:02X}"))
}

#[test]
fn names_sent_by_rdv_are_sanitized() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    for (name, safe) in NAMES {
        if safe.is_empty() {
            continue;
        }
        let (sending, id) = here.start_sending(&["a", &format!("--name={name}")]);
        assert_eq!(received(&relay, &id, name), safe, "{name:?}");
        assert_complete(name, &sending.finish());
    }
}

#[test]
fn names_in_the_url_path_are_sanitized() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    for (name, safe) in NAMES {
        let id = relay.create();
        let url = relay.url(&format!("/stream/{id}/{}", escaped(name)));
        let sending = here.curl(&["-f", "--path-as-is", "-T", "a", &url]);
        assert_eq!(received(&relay, &id, name), expected_name(&id, safe), "{name:?}");
        assert_complete(name, &sending.finish());
    }
}

#[test]
fn names_in_a_hostile_content_disposition_are_sanitized() {
    let relay = Relay::start(&[]);
    for (name, safe) in NAMES {
        let id = relay.create();
        let field = format!("attachment; filename=\"x\"; filename*=UTF-8''{}", escaped(name));
        let mut source = relay.connect();
        source.ask(
            &Framing::Length(3).put(&id).field("Content-Disposition", &field).raw_body(b"abc"),
        );
        assert_eq!(received(&relay, &id, name), expected_name(&id, safe), "{name:?}");
    }
}

#[test]
fn an_invalid_content_disposition_is_ignored() {
    let relay = Relay::start(&[]);
    for field in [
        "attachment; filename=\"\"",
        "attachment; filename=\"a\"; filename=\"b\"",
        "attachment; filename=\"a",
        "attachment; filename=a/../b",
        "filename",
        ";;;",
    ] {
        let id = relay.create();
        let mut source = relay.connect();
        source
            .ask(&Framing::Length(3).put(&id).field("Content-Disposition", field).raw_body(b"abc"));
        assert_eq!(received(&relay, &id, field), expected_name(&id, ""), "{field:?}");
    }
}

#[test]
fn a_long_name_is_truncated_before_its_extension() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    let long = format!("{}.tar.gz", "x".repeat(300));
    let (sending, id) = here.start_sending(&["a", "--name", &long]);
    let made = received(&relay, &id, &long);
    assert!(made.len() < 255 && made.starts_with("xxx") && made.ends_with("x.tar.gz"), "{made}");
    assert_complete("send", &sending.finish());
}

#[test]
fn a_quote_a_backslash_and_a_percent_sign_survive_other_programs() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    // Without `filename*`, curl uses the plain form: it contains no character that ends or changes
    // it. wget decodes `filename*` twice.
    for (name, plain, wget) in [
        ("it's \"so\".txt", "it's _so_.txt", "it's \"so\".txt"),
        ("a\\b.txt", "a_b.txt", "a\\b.txt"),
        ("100%25.txt", "100_25.txt", "100%.txt"),
        ("50 %.txt", "50 %.txt", "50 %.txt"),
        ("Größe.txt", "Gr__e.txt", "Größe.txt"),
    ] {
        let escaped = escaped(name);
        let upload = |there: &Workdir, program: &str, arguments: &[&str]| {
            let id = relay.create();
            let url = relay.url(&format!("/stream/{id}/{escaped}"));
            let sending = here.curl(&["-f", "--path-as-is", "-T", "a", &url]);
            relay.await_state(&id, "SRC_CONNECTED");
            let mut command = there.other_command(program);
            command.args(arguments).arg(relay.url(&format!("/stream/{id}")));
            assert_complete(program, &crate::support::Process::start(command).finish());
            assert_complete("curl -T", &sending.finish());
        };
        let there = Workdir::at(&relay);
        upload(&there, "curl", &["-q", "-sSfOJ", "--noproxy", "*"]);
        assert_eq!(there.names(), [plain], "curl");
        let there = Workdir::at(&relay);
        upload(
            &there,
            "wget",
            &[
                "-q",
                "--no-config",
                "--content-disposition",
                "--local-encoding=UTF-8",
                "--restrict-file-names=nocontrol",
            ],
        );
        assert_eq!(there.names(), [wget], "wget");
    }
}

#[test]
fn a_file_whose_name_is_not_utf_8_is_sent() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    let name = OsStr::from_bytes(b"a\xffb\x1b[2J.txt");
    fs::write(here.directory().join(name), "abc").expect("a file");
    let mut command = here.command(&["send"]);
    command.arg(name);
    let sending = crate::support::Process::start(command);
    let id = crate::workdir::stream_of_sender(&sending);
    assert_eq!(received(&relay, &id, "no text"), "a\u{fffd}b[2J.txt");
    assert_complete("send", &sending.finish());
}

#[test]
fn hostile_headers_of_other_servers_are_harmless() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    for (what, head, exit, made) in [
        ("an escape", "Content-Disposition: attachment; filename=\"a\u{1b}[2Jb\"\r\n", 7, None),
        ("a path", "Content-Disposition: attachment; filename=\"../x\"\r\n", 0, Some("_._x")),
        ("nothing", "", 0, Some("download")),
        ("a type", "Content-Type: text/\u{1b}[2J\r\n", 7, None),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let url = format!("http://{}/x", listener.local_addr().expect("an address"));
        let answer = format!("HTTP/1.1 200 OK\r\n{head}Content-Length: 3\r\n\r\nabc");
        let serving = thread::spawn(move || {
            let (mut connection, _) = listener.accept().expect("a client");
            let mut buffer = [0; 4096];
            let _ = connection.read(&mut buffer).expect("a request");
            connection.write_all(answer.as_bytes()).expect("an answer");
        });
        assert_ended(what, &there.run(&["receive", &url, "--retries", "0"]), exit, "");
        serving.join().expect("the server");
        let names: Vec<String> = made.map(Into::into).into_iter().collect();
        assert_eq!(there.names(), names, "{what}");
        for name in names {
            fs::remove_file(there.path(&name)).expect("remove");
        }
    }
}

#[test]
fn control_characters_in_an_error_are_escaped() {
    let relay = Relay::start(&[]);
    let there = Workdir::at(&relay);
    let id = relay.create();
    let receiving = there.await_receiver(&relay, &[&id]);
    let body = serde_json::json!({ "name": "A\u{1b}c", "message": "x\u{1b}]0;t\u{7}\u{202e}y\n" });
    let report = crate::support::ask("POST", &format!("/stream/{id}/error"));
    assert_eq!(relay.exchange(&report.body(body.to_string())).status(), 200);
    let words = "x\\u{1b}]0;t\\u{7}\\u{202e}y\\n (400 A\\u{1b}c)";
    assert_ended("receive", &receiving.finish(), 4, words);
}
