//! Proxies from the environment of `rdv post`.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::{Authority, Finished, Process, Terminator};
use crate::upload::server::{Server, answer};

/// Posts a small file with these variables, and no other proxy variables, in the environment.
fn post(url: &str, variables: &[(&str, &str)], flags: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.args(["post", "--retries", "0", url, "/proc/self/comm"]).args(flags);
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env("RDV_CLIENT_CONFIG", "/dev/null").envs(variables.iter().copied());
    Process::start(command).finish()
}

/// A proxy that connects every tunnel to this address.
fn tunnelling(address: SocketAddr) -> Server {
    Server::start(move |connection| {
        let request = connection.head()?;
        connection.send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connected\r\nX-A: b\r\n\r\n")?;
        connection.join(address)?;
        Ok(Some(request))
    })
}

#[test]
fn a_proxy_gets_the_absolute_url_and_its_own_credentials() {
    let proxy = Server::receiving(answer(201));
    let variable = format!("http://me:p%40ss@{}", proxy.address());
    let url = "http://user:secret@relay.test/files?a=b";
    let finished = post(url, &[("http_proxy", &variable)], &[]);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let request = proxy.request();
    assert_eq!(request.line, "POST http://relay.test/files?a=b HTTP/1.1");
    assert_eq!(request.field("host"), Some("relay.test"));
    assert_eq!(request.field("proxy-authorization"), Some("Basic bWU6cEBzcw=="));
    assert_eq!(request.field("authorization"), Some("Basic dXNlcjpzZWNyZXQ="));
    assert_eq!(request.parts()[0].1, b"rdv\n");
}

#[test]
fn a_proxy_tunnels_tls_without_reading_it() {
    let authority = Authority::new();
    let server = Server::receiving(answer(201));
    let front = Terminator::start(&authority.server("relay.test"), server.address(), &[]);
    let proxy = tunnelling(front.address());
    let variable = format!("me:pass@{}", proxy.address());
    let cacert = authority.file();
    let flags = ["--cacert", cacert.to_str().unwrap()];
    let finished = post("https://relay.test/files", &[("https_proxy", &variable)], &flags);
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let request = proxy.request();
    assert_eq!(request.line, "CONNECT relay.test:443 HTTP/1.1");
    assert_eq!(request.field("host"), Some("relay.test:443"));
    assert_eq!(request.field("proxy-authorization"), Some("Basic bWU6cGFzcw=="));
    let request = server.request();
    assert_eq!(request.line, "POST /files HTTP/1.1");
    assert_eq!(request.field("proxy-authorization"), None);
    assert_eq!(request.parts()[0].1, b"rdv\n");
}

#[test]
fn a_proxy_that_refuses_a_tunnel_is_reported_with_a_hint() {
    for (name, answered, hint) in [
        ("it wants credentials", answer(407), "http://user:password@proxy"),
        ("it forbids", answer(403), "refused (403)"),
        ("no response", String::new(), "the proxy"),
        ("it is none", "SSH-2.0-x\r\n".into(), "not an HTTP/1.1 response"),
    ] {
        let proxy = Server::receiving(answered);
        let variable = format!("http://me:hidden@{}", proxy.address());
        let finished = post("https://relay.test/", &[("ALL_PROXY", &variable)], &[]);
        assert_eq!(finished.status.code(), Some(7), "{name}: {}", finished.stderr);
        assert!(finished.stderr.contains(hint), "{name}: {}", finished.stderr);
        assert!(!finished.stderr.contains("hidden"), "{name}: {}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{name}: {}", finished.stderr);
    }
}

#[test]
fn a_refusal_by_a_forwarding_proxy_is_the_response() {
    let proxy = Server::receiving(answer(407));
    let variable = proxy.address().to_string();
    let finished = post("http://relay.test/", &[("http_proxy", &variable)], &[]);
    assert_eq!(finished.status.code(), Some(5), "{}", finished.stderr);
    assert!(finished.stderr.contains("407"), "{}", finished.stderr);
}

#[test]
fn no_proxy_hosts_are_reached_directly() {
    let server = Server::receiving(answer(201));
    let proxy = Server::receiving(answer(502));
    let variable = proxy.address().to_string();
    for (list, status) in [("127.0.0.0/8", 0), ("*", 0), ("other.test", 5)] {
        let variables = [("http_proxy", &*variable), ("no_proxy", list)];
        let finished = post(&server.url(), &variables, &[]);
        assert_eq!(finished.status.code(), Some(status), "{list}: {}", finished.stderr);
    }
    assert_eq!((server.connections(), proxy.connections()), (2, 1));
}

#[test]
fn an_unsupported_proxy_scheme_is_a_usage_error() {
    let variables = [("all_proxy", "socks5://me:hidden@127.0.0.1:1")];
    let finished = post("http://relay.test/", &variables, &[]);
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    let line = finished.stderr;
    assert!(line.contains("http://") && !line.contains("hidden"), "{line}");
}
