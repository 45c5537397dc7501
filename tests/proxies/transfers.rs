//! Transfers through a proxy: of any size, in either framing, without a copy on disk.

use std::fs::OpenOptions;

use crate::curl::{CLIENTS, assert_success, status};
use crate::front::with_each;
use crate::proxy::Kind;
use crate::support::{eventually, pattern};

/// More than any limit or buffer that a proxy has by default.
const BYTES: usize = 64 << 20;

/// More than 31 bits can count.
const LARGE_BYTES: u64 = (2 << 30) + 1;

/// What a proxy may need beyond what it has when it starts.
const GROWTH: u64 = 100 << 20;

/// Peak memory of a process so far (`VmHWM`, `proc_pid_status(5)`).
fn peak(process: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its memory");
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

#[test]
fn large_bodies_pass_in_either_framing_without_being_buffered() {
    let content = pattern(5, BYTES);
    with_each(&[], |front| {
        let file = front.file("up", &content);
        let before = peak(front.proxy.id());
        for client in CLIENTS {
            let name = client.name;
            let id = front.relay.create();
            let upload = front.upload(client, &file, &id, &[]);
            let downloaded = front.download(client, &id, "down").finish();
            let uploaded = upload.finish();
            assert_success(name, &downloaded);
            let version = if front.kind.has_http2() && name.starts_with('2') { "2" } else { "1.1" };
            assert_eq!(status(&uploaded), (200, version), "{name}: {}", uploaded.stderr);
            let down = std::fs::read(front.directory().join("down")).expect("the download");
            assert!(down == content, "{:?}, {name}", front.kind);
        }
        let grown = peak(front.proxy.id()) - before;
        assert!(grown < GROWTH, "{:?}: {grown}", front.kind);
    });
}

#[test]
fn two_gibibytes_pass_in_either_framing() {
    with_each(&[], |front| {
        let file = front.file("up", b"");
        // Sparse: it needs no space.
        let created = OpenOptions::new().write(true).open(&file);
        created.and_then(|file| file.set_len(LARGE_BYTES)).expect("a large file");
        for client in &CLIENTS[..2] {
            let id = front.relay.create();
            // On a busy machine it takes longer than the usual limit, which is the first one given.
            let patient = ["--max-time", "3600"];
            let upload = front.upload(*client, &file, &id, &patient);
            let url = front.stream(&id);
            let counted = ["-f", "-o", "/dev/null", "-w", "%{size_download}", &url];
            let mut download = front.start_curl(*client, &[&counted[..], &patient].concat());
            let mut moved = 0;
            while !download.ended() {
                moved = eventually("bytes move, or the download ends", || {
                    let now = front.relay.status(&id)["bytes_transferred"].as_u64();
                    now.filter(|now| *now > moved || download.ended())
                });
            }
            let downloaded = download.finish();
            assert_success(client.name, &downloaded);
            assert_eq!(downloaded.stdout, LARGE_BYTES.to_string(), "{:?}", front.kind);
            let uploaded = upload.finish();
            assert_eq!(status(&uploaded).0, 200, "{}: {}", client.name, uploaded.stderr);
        }
    });
}

#[test]
fn names_and_paths_reach_the_relay_as_they_were_sent() {
    with_each(&[], |front| {
        let file = front.file("up", b"text");
        for (name, shown) in [("a%20b%2Fc.txt", "a b_c.txt"), ("d%3Be%25f", "d;e%f")] {
            let id = front.relay.create();
            let url = front.stream(&id);
            let upload = front.start_curl(CLIENTS[2], &["-fT", &file, &format!("{url}/{name}")]);
            let downloaded = front.start_curl(CLIENTS[2], &["-fi", &url]).finish();
            assert_success(name, &downloaded);
            assert!(downloaded.stdout.contains(shown), "{shown}: {}", downloaded.stdout);
            assert_success(name, &upload.finish());
        }
    });
}

#[test]
fn large_header_fields_of_a_download_pass() {
    with_each(&[], |front| {
        let value = "v".repeat(7_000);
        let fields = (0..8).map(|number| (format!("X-Field-{number}"), value.clone().into()));
        let fields: serde_json::Map<String, serde_json::Value> = fields.collect();
        let id = front.relay.create_with(&serde_json::json!({ "download_headers": fields }));
        let file = front.file("up", b"text");
        let upload = front.upload(CLIENTS[0], &file, &id, &[]);
        let downloaded = front.start_curl(CLIENTS[0], &["-fi", &front.stream(&id)]).finish();
        assert_success("download", &downloaded);
        assert_eq!(downloaded.stdout.matches(&value).count(), 8);
        assert_success("upload", &upload.finish());
    });
}

#[test]
fn requests_without_tls_are_redirected_with_their_method() {
    with_each(&[], |front| {
        let url = format!("http://127.0.0.1:{}/stream", front.http_port());
        let answer = front.start_curl(CLIENTS[0], &["-i", "-X", "POST", &url]).finish();
        let line = answer.stdout.lines().next().unwrap_or_default();
        assert!(line.contains(" 308 "), "{:?}: {line}", front.kind);
        assert!(answer.stdout.to_lowercase().contains("location: https://"), "{}", answer.stdout);
    });
}

#[test]
fn a_client_cannot_claim_another_address_or_scheme() {
    const FORMAT: &str = "F[%{X-Forwarded-For}i|%{X-Forwarded-Proto}i|%{Forwarded}i|%{X-Real-IP}i]";
    let flags = ["--access-log", "stdout", "--access-log-format", FORMAT];
    with_each(&flags, |front| {
        let forged = [
            "X-Forwarded-For: 192.0.2.9",
            "X-Forwarded-Proto: gopher",
            "Forwarded: for=192.0.2.9",
            "X-Real-IP: 192.0.2.9",
            "X-Forwarded-Host: elsewhere.example",
        ];
        let fields = forged.iter().flat_map(|field| ["-H", *field]);
        let version = front.url("/version");
        let arguments: Vec<&str> = fields.chain(["-f", &version]).collect();
        assert_success("version", &front.start_curl(CLIENTS[2], &arguments).finish());
        let log = front.log();
        let line = log.lines().rfind(|line| line.contains("F[")).expect("a line");
        let own = if front.kind == Kind::Traefik { "127.0.0.1" } else { "-" };
        assert!(line.contains(&format!("F[127.0.0.1|https|-|{own}]")), "{:?}: {line}", front.kind);
    });
}
