//! Field names as clients and APIs spell them: some compare them as they are.

use std::process::Command;

use crate::expose::command::{end, url};
use crate::expose::server::{Request, Server};
use crate::expose::through_relay::{await_tunnels, exposed};
use crate::support::Relay;

#[test]
fn field_names_keep_their_case_in_both_directions() {
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nX-OddName: 1\r\nETag: \"x\"\r\nlower: 2\r\n\
                          X-OddName: 3\r\nContent-Length: 2\r\n\r\nhi";
    for tunnels in [0, 2] {
        let api = Server::start(|connection| {
            let (mut lines, mut line) = (String::new(), connection.line()?);
            while !line.is_empty() {
                lines = lines + &line + "\n";
                line = connection.line()?;
            }
            connection.send(ANSWER)?;
            Ok(Some(Request {
                line: lines,
                fields: Vec::new(),
                body: Vec::new(),
                is_complete: true,
            }))
        });
        let relay = Relay::start(&[]);
        let process = exposed(&url(&api), &relay, &["--tunnels", &tunnels.to_string()]);
        await_tunnels(&relay, tunnels);
        let curl = Command::new("curl")
            .args(["-sS", "-i", "--noproxy", "*", "-H", "X-MixedCASE: a", "-H", "lowerCase: b"])
            .arg(relay.url("/api/billing/a"))
            .output();
        let answer = String::from_utf8(curl.expect("curl").stdout).expect("UTF-8");
        for line in ["X-OddName: 1", "X-OddName: 3", "ETag: \"x\"", "lower: 2"] {
            assert!(answer.lines().any(|found| found == line), "{tunnels}, {line}: {answer}");
        }
        assert!(answer.ends_with("\r\n\r\nhi"), "{tunnels}: {answer}");
        let request = api.request().line;
        for line in ["X-MixedCASE: a", "lowerCase: b", "Accept: */*"] {
            assert!(request.lines().any(|found| found == line), "{tunnels}, {line}: {request}");
        }
        end(process);
    }
}
