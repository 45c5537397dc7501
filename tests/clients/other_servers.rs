//! Servers other than relays: what can be received from them, and what they refuse.

use crate::support::{Process, Relay, eventually, is_pattern, pattern};
use crate::workdir::{Workdir, assert_complete, assert_ended};
use std::process::Command;

/// `python3 -m http.server`, which uses HTTP/1.0 and does not support uploads.
struct FileServer {
    port: u16,
    process: Process,
}

impl FileServer {
    fn start(workdir: &Workdir) -> FileServer {
        let mut command = Command::new("python3");
        command.args(["-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]);
        command.current_dir(workdir.directory());
        let process = Process::start(command);
        let port = eventually("the server is open", || {
            let printed = process.stdout();
            printed.split_once(" port ")?.1.split(' ').next()?.parse().ok()
        });
        FileServer { port, process }
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

#[test]
fn a_file_of_any_server_is_received() {
    let relay = Relay::start(&[]);
    let (shop, workdir) = (Workdir::at(&relay), Workdir::at(&relay));
    let content = pattern(11, 2 << 20);
    shop.put("a.bin", &content);
    let server = FileServer::start(&shop);
    assert_complete("receive", &workdir.run(&["receive", &server.url("a.bin"), "-o", "b.bin"]));
    is_pattern(11, content.len(), &workdir.read("b.bin")).expect("what is on the server");
    assert_ended("missing", &workdir.run(&["receive", &server.url("none")]), 5, "404");
    assert_eq!(workdir.names(), ["b.bin"]);
}

#[test]
fn a_server_that_rejects_uploads_is_reported() {
    let relay = Relay::start(&[]);
    let workdir = Workdir::at(&relay);
    let file = std::fs::File::create(workdir.path("big")).expect("a file");
    file.set_len(256 << 20).expect("a sparse file");
    let server = FileServer::start(&workdir);
    assert_ended("post", &workdir.run(&["post", &server.url(""), "big"]), 5, "501");
    assert_ended("send", &workdir.run(&["send", "big", "--relay", &server.url("")]), 5, "501");
    drop(server.process);
}
