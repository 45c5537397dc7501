//! Redirects and cookies of an API that is unaware of its public prefix, followed by curl.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use crate::expose::command::{end, expose, url};
use crate::expose::server::{Connection, Request, Server};
use crate::expose::through_relay::exposed;
use crate::support::{Relay, eventually};

/// An API that redirects visitors without its cookie to a login.
fn api() -> Server {
    Server::start(|connection| {
        loop {
            let request = connection.request()?;
            answer(connection, &request)?;
        }
    })
}

fn answer(connection: &mut Connection, request: &Request) -> std::io::Result<()> {
    let has_session = request.field("cookie").is_some_and(|cookie| cookie.contains("session=7"));
    let host = request.field("host").unwrap_or_default();
    let answer = match request.line.split(' ').nth(1).unwrap_or_default() {
        "/home" if has_session => "200 OK\r\nContent-Length: 9\r\n\r\nlogged in".to_owned(),
        "/prefix" => {
            let prefix = request.field("x-forwarded-prefix").unwrap_or_default();
            format!("200 OK\r\nContent-Length: {}\r\n\r\n{prefix}", prefix.len())
        }
        "/home" => {
            format!("302 Found\r\nLocation: http://{host}/login\r\nContent-Length: 0\r\n\r\n")
        }
        _ => "303 See Other\r\nLocation: /home\r\nSet-Cookie: session=7; Path=/; HttpOnly\r\n\
              Content-Length: 0\r\n\r\n"
            .to_owned(),
    };
    connection.send(format!("HTTP/1.1 {answer}"))
}

/// The response to curl after all redirects, with its status and URL.
fn followed(url: &str) -> String {
    let curl = Command::new("curl")
        .args([
            "-sSL",
            "--max-redirs",
            "5",
            "--noproxy",
            "*",
            "-b",
            "",
            "-w",
            " %{http_code} %{url_effective}",
        ])
        .arg(url)
        .output();
    String::from_utf8(curl.expect("curl").stdout).expect("UTF-8")
}

#[test]
fn redirects_and_sessions_of_an_api_work_below_its_prefix() {
    for tunnels in ["0", "2"] {
        for host in ["api", "client"] {
            let (api, relay) = (api(), Relay::start(&[]));
            let process = exposed(&url(&api), &relay, &["--tunnels", tunnels, "--host", host]);
            let home = relay.url("/api/billing/home");
            assert_eq!(followed(&home), format!("logged in 200 {home}"), "{tunnels} {host}");
            end(process);
        }
    }
}

#[test]
fn redirects_and_sessions_of_an_api_work_on_a_host_of_its_own() {
    for host in ["api", "client"] {
        // curl resolves all names below localhost to a loopback address.
        let (api, relay) = (api(), Relay::start(&["--agent-host", "*.localhost"]));
        let process = exposed(&url(&api), &relay, &["--host", host]);
        let home = format!("http://billing.localhost:{}/home", relay.address().port());
        assert_eq!(followed(&home), format!("logged in 200 {home}"), "{host}");
        end(process);
    }
}

/// A reverse proxy that serves this relay at `/relay`, and nothing else; its address.
fn proxy(relay: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    thread::spawn(move || {
        for client in listener.incoming() {
            thread::spawn(move || pass(client?, relay));
        }
    });
    address
}

/// Passes one request, or a WebSocket.
fn pass(mut client: TcpStream, relay: SocketAddr) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    let head = String::from_utf8(head).expect("a head");
    if !head.contains(" /relay/") {
        return client.shutdown(Shutdown::Both);
    }
    let is_upgrade = head.contains("Upgrade: ");
    let head = head.replacen(" /relay/", " /", 1);
    let last = if is_upgrade { "\r\n\r\n" } else { "\r\nConnection: close\r\n\r\n" };
    let mut relay = TcpStream::connect(relay)?;
    relay.write_all(head.trim_end().as_bytes())?;
    relay.write_all(last.as_bytes())?;
    let (mut from_client, mut to_relay) = (client.try_clone()?, relay.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_relay);
        to_relay.shutdown(Shutdown::Write)
    });
    io::copy(&mut relay, &mut client)?;
    client.shutdown(Shutdown::Both)
}

#[test]
fn they_work_at_a_relay_below_a_path() {
    for tunnels in ["0", "2"] {
        let (api, relay) = (api(), Relay::start(&[]));
        let base = format!("http://{}/relay", proxy(relay.address()));
        let process = expose(&url(&api), &base, &["--tunnels", tunnels]);
        let shown = format!("{base}/api/billing\n");
        eventually("the URL is printed", || (process.stdout() == shown).then_some(()));
        let home = format!("{base}/api/billing/home");
        assert_eq!(followed(&home), format!("logged in 200 {home}"), "{tunnels}");
        let prefix = format!("{base}/api/billing/prefix");
        assert_eq!(followed(&prefix), format!("/relay/api/billing 200 {prefix}"), "{tunnels}");
        end(process);
    }
}

#[test]
fn they_can_be_left_as_the_api_sends_them() {
    let (api, relay) = (api(), Relay::start(&[]));
    let process = exposed(&url(&api), &relay, &["--no-rewrite"]);
    let followed = followed(&relay.url("/api/billing/login"));
    assert!(followed.ends_with(&format!(" 404 {}", relay.url("/home"))), "{followed}");
    end(process);
}
