//! Redirects and cookies of an API that is unaware of its public prefix, followed by curl.

use std::process::Command;

use crate::expose::command::{end, url};
use crate::expose::server::{Connection, Request, Server};
use crate::expose::through_relay::exposed;
use crate::support::Relay;

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
fn they_can_be_left_as_the_api_sends_them() {
    let (api, relay) = (api(), Relay::start(&[]));
    let process = exposed(&url(&api), &relay, &["--no-rewrite"]);
    let followed = followed(&relay.url("/api/billing/login"));
    assert!(followed.ends_with(&format!(" 404 {}", relay.url("/home"))), "{followed}");
    end(process);
}
