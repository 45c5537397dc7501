//! Tokens of the relay: which requests need one, how it is sent, and where it is shown.

use std::fs;
use std::process::Command;

use nix::sys::signal::Signal;

use crate::support::{
    Ask, Observed, Process, Relay, TokenFile, UNKNOWN, ask, assert_error, eventually,
};

/// The secret of a token with the scope `create`.
const CREATE: &str = "create-0123456789abcdef";
/// The secret of one with the scopes `send` and `receive`.
const SIDES: &str = "sides-0123456789abcdef";
/// The secret of one with the scope `list`.
const LIST: &str = "list-0123456789abcdef";

fn tokens() -> TokenFile {
    TokenFile::new(&[
        ("ci", "create", CREATE),
        ("both", "send,receive", SIDES),
        ("ops", "list", LIST),
    ])
}

fn with(secret: &str, ask: Ask) -> Ask {
    ask.field("Authorization", &format!("Bearer {secret}"))
}

#[test]
fn a_token_is_needed_to_create_streams_and_accepted_in_each_form() {
    let tokens = tokens();
    let relay = Relay::start(&["--tokens", tokens.path()]);
    for (name, field, status) in [
        ("a bearer token", Some(format!("Bearer {CREATE}")), 201),
        ("in another case", Some(format!("bearer  {CREATE}")), 201),
        // user:create-0123456789abcdef
        ("a password", Some("Basic dXNlcjpjcmVhdGUtMDEyMzQ1Njc4OWFiY2RlZg==".to_owned()), 201),
        ("none", None, 401),
        ("an unknown one", Some("Bearer create".to_owned()), 401),
        ("another scheme", Some(format!("Digest {CREATE}")), 401),
        ("another scope", Some(format!("Bearer {SIDES}")), 403),
    ] {
        let mut request = ask("POST", "/stream");
        if let Some(field) = &field {
            request = request.field("Authorization", field);
        }
        let answer = relay.exchange(&request);
        assert_eq!(answer.status(), status, "{name}: {}", answer.text());
        if status == 401 {
            let challenges = answer.head.all("WWW-Authenticate");
            assert!(challenges[0].starts_with("Bearer realm=\"rdv\""), "{name}: {challenges:?}");
            assert_eq!(challenges[1], "Basic realm=\"rdv\"", "{name}");
        }
        if status == 403 {
            assert!(answer.text().contains("the scope create"), "{name}: {}", answer.text());
        }
    }
    let id = created(&relay);
    assert_eq!(relay.get(&format!("/stream/{id}/status")).status(), 200, "the link is enough");
    assert_eq!(relay.get("/ping").status(), 200);
}

/// A stream created with a token.
fn created(relay: &Relay) -> String {
    let answer = relay.exchange(&with(CREATE, ask("POST", "/stream")));
    answer.json()["stream"].as_str().expect("an id").to_owned()
}

#[test]
fn each_required_scope_is_checked() {
    let tokens = tokens();
    let every = "create,send,receive,list,call,agent";
    let relay = Relay::start(&["--tokens", tokens.path(), "--require", every, "--paths"]);
    let id = created(&relay);
    let (stream, page) = (format!("/stream/{id}"), format!("/s/{id}"));
    let status = format!("/stream/{id}/status");
    for (name, request, secret, code) in [
        ("upload", ask("PUT", &stream), None, 401),
        ("upload with another scope", ask("PUT", &stream), Some(CREATE), 403),
        ("download", ask("GET", &stream), None, 401),
        ("the head of it", ask("HEAD", &stream), Some(SIDES), 200),
        ("its page", ask("GET", &page), None, 401),
        ("its page with a token", ask("GET", &page), Some(SIDES), 200),
        ("status", ask("GET", &status), None, 401),
        ("status for the creator", ask("GET", &status), Some(CREATE), 200),
        ("status for a side", ask("GET", &status), Some(SIDES), 200),
        ("status for others", ask("GET", &status), Some(LIST), 403),
        ("a list", ask("GET", "/stream"), Some(SIDES), 403),
        ("a list with a token", ask("GET", "/stream"), Some(LIST), 200),
        ("agents with a token", ask("GET", "/socket"), Some(LIST), 200),
        ("a call", ask("GET", "/api/a/"), None, 401),
        ("a sender at a path", ask("PUT", "/p/a").body("x"), Some(SIDES), 403),
        ("a receiver at a path", ask("GET", "/p/a"), None, 401),
        ("the text about paths", ask("GET", "/p"), None, 200),
        ("no such stream", ask("GET", &format!("/stream/{UNKNOWN}")), Some(SIDES), 404),
        ("deletion", ask("DELETE", &stream), Some(LIST), 403),
        ("deletion by the creator", ask("DELETE", &stream), Some(CREATE), 204),
        ("a preflight", ask("OPTIONS", "/stream"), None, 204),
    ] {
        let request = secret.map_or(request.clone(), |secret| with(secret, request));
        let mut client = relay.connect();
        client.ask(&request);
        assert_eq!(client.head().status, code, "{name}");
    }
}

#[test]
fn lists_are_shown_to_trusted_networks_or_tokens() {
    let tokens = tokens();
    let relay = Relay::start(&["--tokens", tokens.path()]);
    assert_eq!(relay.get("/stream").status(), 403);
    for request in [
        ask("GET", "/stream"),
        ask("GET", "/stream").field("X-Forwarded-For", "192.0.2.1"),
        Ask::to_host("GET", "/socket", "relay.example"),
    ] {
        assert_eq!(relay.exchange(&with(LIST, request)).status(), 200);
    }
    let foreign = with(LIST, ask("GET", "/stream")).field("Origin", "https://other.example");
    assert_eq!(relay.exchange(&foreign).status(), 403, "credentials that a browser remembers");
}

#[test]
fn a_browser_is_asked_for_a_token_and_other_clients_get_the_text() {
    let tokens = tokens();
    let relay = Relay::start(&["--tokens", tokens.path()]);
    let page = || ask("GET", "/").field("Accept", "text/html");
    let answer = relay.exchange(&page());
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.head.get("Content-Type"), Some("text/html; charset=utf-8"));
    assert_eq!(relay.exchange(&with(CREATE, page())).status(), 200);
    assert_eq!(relay.get("/").status(), 200);
}

#[test]
fn an_address_waits_after_many_unknown_tokens() {
    let tokens = tokens();
    let relay = Observed::start(&["--tokens", tokens.path()]);
    let mut client = relay.connect();
    for _ in 0..50 {
        let answer = client.exchange(&with("of-a-proxy", ask("GET", "/ping")));
        assert_eq!(answer.status(), 200, "where no token is needed");
    }
    assert!(relay.scrape().is("rdv_unknown_tokens_total", 0.0));
    let refused = eventually("it has to wait", || {
        let answer = client.exchange(&with("guess", ask("POST", "/stream")));
        (answer.status() != 401).then_some(answer)
    });
    assert_error("after many", &refused, (429, "TooManyTokensError", None));
    assert!(refused.head.get("Retry-After").is_some());
    let scrape = relay.scrape();
    assert!(scrape.value("rdv_unknown_tokens_total") >= 20.0, "{}", scrape.0);
    let answer = client.exchange(&with("guess", ask("GET", "/ping")));
    assert_eq!(answer.status(), 200, "where no token is needed");
    let answer = client.exchange(&with("guess", ask("POST", "/stream/x/error")));
    assert_eq!(answer.status(), 404, "where no token is needed");
}

#[test]
fn names_are_logged_and_counted_and_secrets_are_not() {
    let tokens = tokens();
    let directory = tempfile::tempdir().expect("a directory");
    let log = directory.path().join("log");
    let flags = ["--tokens", tokens.path(), "--access-log", log.to_str().expect("UTF-8")];
    let format = ["--access-log-format", "%u %m %s %{Authorization}i"];
    let relay = Observed::start(&[&flags[..], &format].concat());
    created(&relay);
    relay.exchange(&with("guess-0123456789", ask("POST", "/stream")));
    relay.get("/ping");
    let lines = eventually("all requests are logged", || {
        let lines = fs::read_to_string(&log).unwrap_or_default();
        (lines.lines().count() >= 3).then_some(lines)
    });
    assert_eq!(
        lines.lines().take(3).collect::<Vec<_>>(),
        ["ci POST 201 ...", "- POST 401 ...", "- GET 200 -"]
    );
    relay.await_value("rdv_token_requests_total{token=\"ci\"}", 1.0);
    tokens.write(&[("other", "create", SIDES)]);
    relay.signal(Signal::SIGHUP);
    eventually("the count of a removed token is forgotten", || {
        (!relay.scrape().0.contains("token=\"ci\"")).then_some(())
    });
    relay.exchange(&with(SIDES, ask("POST", "/stream")));
    relay.await_value("rdv_token_requests_total{token=\"other\"}", 1.0);
    let printed = relay.process().stderr();
    assert!(!printed.contains("0123456789"), "{printed}");
}

#[test]
fn a_made_token_is_valid_after_a_reload() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("tokens");
    let file = path.to_str().expect("UTF-8");
    let new = |name: &str, scopes: &str| {
        let arguments = ["token", "new", name, "--scope", scopes, "--append", file];
        let made = Process::rdv(&arguments).finish();
        assert_eq!(made.status.code(), Some(0), "{}", made.stderr);
        made.stdout.trim_end().to_owned()
    };
    let first = new("ci", "create");
    let relay = Relay::start(&["--tokens", file]);
    let second = new("laptop", "create,send");
    relay.signal(Signal::SIGHUP);
    for secret in [first, second] {
        eventually("the token is known", || {
            let answer = relay.exchange(&with(&secret, ask("POST", "/stream")));
            (answer.status() == 201).then_some(())
        });
    }
    fs::write(&path, "broken\n").expect("a file");
    relay.signal(Signal::SIGHUP);
    eventually("an invalid file is reported", || {
        relay.process().stderr().contains(&format!("{file}:1: expected NAME SCOPES")).then_some(())
    });
    assert_eq!(relay.exchange(&ask("POST", "/stream")).status(), 401, "the old ones count");
}

#[test]
fn scopes_without_tokens_and_public_listeners_without_scopes_are_reported() {
    let finished = Process::rdv(&["serve", "--require", "create"]).finish();
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("rdv: require: "), "{}", finished.stderr);
    let finished = Process::rdv(&["serve", "--socket-tokens", "x"]).finish();
    assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
    assert!(finished.stderr.contains("was replaced by tokens"), "{}", finished.stderr);
    let relay = Relay::listening(&["0.0.0.0:0"], &[]);
    let warning = format!("clients need no token on {} (tokens)", relay.address());
    eventually(&warning, || relay.process().stderr().contains(&warning).then_some(()));
}

#[test]
fn curl_sends_a_token_as_a_password() {
    let tokens = tokens();
    let relay = Relay::start(&["--tokens", tokens.path()]);
    let status = |credentials: &str| {
        let mut command = Command::new("curl");
        command.args(["-q", "-sS", "--noproxy", "*", "--max-time", "60", "-u", credentials]);
        command.args(["-o", "/dev/null", "-w", "%{http_code}", "-X", "POST"]);
        let output = command.arg(relay.url("/stream")).output().expect("curl");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    assert_eq!(status(&format!(":{CREATE}")), "201");
    assert_eq!(status(&format!("me:{CREATE}")), "201");
    assert_eq!(status("me:guess"), "401");
}
