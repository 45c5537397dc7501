//! Responses in, responses out, and where their bodies end.

use super::*;

fn answer(lines: &str) -> AnswerHead {
    let text = lines.replace('\n', "\r\n") + "\r\n";
    AnswerHead::parse(text.as_bytes()).unwrap().unwrap()
}

/// Returns the client's response for an agent response of these lines.
fn returned(lines: &str, returning: impl FnOnce(&mut ResponseContext<'_>)) -> String {
    let date = HttpDate::from_unix_seconds(784_111_777);
    let mut to = ResponseContext {
        body: AnswerBody::Length(2),
        version: Version::Http11,
        keep_alive: true,
        date: &date,
        origin: Origin::AgentHost,
        correlation_id: "made",
        request_id: None,
    };
    returning(&mut to);
    let mut out = Vec::new();
    response(&answer(lines), &to, &mut out);
    String::from_utf8(out).unwrap().replace("\r\n", "\n")
}

const NOW: &str = "Date: Sun, 06 Nov 1994 08:49:37 GMT\n";

#[test]
fn a_response_passes_without_hop_by_hop_fields() {
    let made = "X-Correlation-Id: made\n";
    for (name, lines, expected) in [
        ("bare", "HTTP/1.1 200 Fine\n", format!("HTTP/1.1 200 OK\n{NOW}{made}")),
        (
            "an unregistered status",
            "HTTP/1.0 299 x\n",
            format!("HTTP/1.1 299 Successful\n{NOW}{made}"),
        ),
        (
            "a date",
            "HTTP/1.1 404 x\nX: y\ndate: then\n",
            format!("HTTP/1.1 404 Not Found\nDate: then\nX: y\n{made}"),
        ),
        (
            "two dates",
            "HTTP/1.1 200 x\nDate: a\nDate: b\n",
            format!("HTTP/1.1 200 OK\n{NOW}{made}"),
        ),
        (
            "no date in its field",
            "HTTP/1.1 200 x\nDate:\n",
            format!("HTTP/1.1 200 OK\n{NOW}{made}"),
        ),
        (
            "order and case",
            "HTTP/1.1 200 x\nset-Cookie: a\nB: c\nSet-Cookie: d\n",
            format!("HTTP/1.1 200 OK\n{NOW}set-Cookie: a\nB: c\nSet-Cookie: d\n{made}"),
        ),
        (
            "commands to a reverse proxy",
            "HTTP/1.1 200 x\nX-Accel-Redirect: /private\nx-sendfile: /etc/passwd\nX-Accel-Buffering: no\n",
            format!("HTTP/1.1 200 OK\n{NOW}X-Accel-Buffering: no\n{made}"),
        ),
        (
            "one connection's",
            "HTTP/1.1 200 x\nConnection: close, X-A\nX-A: 1\nKeep-Alive: a\nTrailer: B\nUpgrade: c\nProxy-Authenticate: Basic\n",
            format!("HTTP/1.1 200 OK\n{NOW}{made}"),
        ),
        (
            "framing",
            "HTTP/1.1 200 x\nContent-Length: 99\nTransfer-Encoding: gzip\n",
            format!("HTTP/1.1 200 OK\n{NOW}{made}"),
        ),
        (
            "its correlation",
            "HTTP/1.1 200 x\nConnection: X-Correlation-Id\nx-correlation-id: own\n",
            format!("HTTP/1.1 200 OK\n{NOW}x-correlation-id: own\n"),
        ),
        (
            "two of them",
            "HTTP/1.1 200 x\nX-Correlation-Id: a\nX-Correlation-Id: b\n",
            format!("HTTP/1.1 200 OK\n{NOW}{made}"),
        ),
        (
            "one that is not plain",
            "HTTP/1.1 200 x\nX-Correlation-Id: a b\n",
            format!("HTTP/1.1 200 OK\n{NOW}{made}"),
        ),
    ] {
        let expected = format!("{expected}Content-Length: 2\n\n");
        assert_eq!(returned(lines, |_| {}), expected, "{name}");
    }
}

#[test]
fn an_accepted_upgrade_passes_without_framing() {
    let lines = "HTTP/1.1 101 x\nConnection: X-A, upgrade\nX-A: 1\nUpgrade: a/1\nUpgrade: b\n\
                 Content-Length: 5\nSec-WebSocket-Accept: x\n";
    for keep_alive in [true, false] {
        let text = returned(lines, |to| {
            (to.body, to.keep_alive) = (AnswerBody::Upgraded, keep_alive);
        });
        let fields = "Sec-WebSocket-Accept: x\nX-Correlation-Id: made\n\
                      Connection: Upgrade\nUpgrade: a/1, b\n\n";
        assert_eq!(text, format!("HTTP/1.1 101 Switching Protocols\n{NOW}{fields}"));
    }
}

#[test]
fn the_client_gets_the_request_id_of_the_relay_once() {
    let lines = "HTTP/1.1 200 x\nx-request-id: theirs\n";
    let text = returned(lines, |to| to.request_id = Some(("X-Request-Id", "ours")));
    let fields = "X-Request-Id: ours\nX-Correlation-Id: made\nContent-Length: 2\n\n";
    assert_eq!(text, format!("HTTP/1.1 200 OK\n{NOW}{fields}"));
    let text = returned("HTTP/1.1 200 x\nX-Correlation-Id: a\n", |to| {
        to.request_id = Some(("X-Correlation-Id", "ours"));
    });
    assert_eq!(
        text,
        format!("HTTP/1.1 200 OK\n{NOW}X-Correlation-Id: ours\nContent-Length: 2\n\n")
    );
}

#[test]
fn a_body_is_framed_for_the_version_of_the_client() {
    use AnswerBody::{Absent, Chunked, Length, UntilClose};
    use Version::{Http10, Http11};
    for (name, body, version, delimiter, fields) in [
        ("a length", Length(7), Http11, Some(Delimiter::Length), "Content-Length: 7\n"),
        ("empty", Length(0), Http11, Some(Delimiter::Length), "Content-Length: 0\n"),
        ("chunks", Chunked, Http11, Some(Delimiter::Chunks), "Transfer-Encoding: chunked\n"),
        (
            "no end said",
            UntilClose,
            Http11,
            Some(Delimiter::Chunks),
            "Transfer-Encoding: chunked\n",
        ),
        ("none", Absent { length: None }, Http11, None, ""),
        ("none, with a length", Absent { length: Some(9) }, Http11, None, "Content-Length: 9\n"),
        (
            "a length, by HTTP/1.0",
            Length(7),
            Http10,
            Some(Delimiter::Length),
            "Content-Length: 7\nConnection: keep-alive\n",
        ),
        ("chunks, by HTTP/1.0", Chunked, Http10, Some(Delimiter::Close), ""),
        ("no end said, by HTTP/1.0", UntilClose, Http10, Some(Delimiter::Close), ""),
        ("none, by HTTP/1.0", Absent { length: None }, Http10, None, "Connection: keep-alive\n"),
    ] {
        assert_eq!(body.delimiter(version), delimiter, "{name}");
        let text = returned("HTTP/1.1 200 x\n", |to| (to.body, to.version) = (body, version));
        assert_eq!(
            text,
            format!("HTTP/1.1 200 OK\n{NOW}X-Correlation-Id: made\n{fields}\n"),
            "{name}"
        );
    }
    let closing = returned("HTTP/1.1 200 x\n", |to| to.keep_alive = false);
    assert!(closing.ends_with("Content-Length: 2\nConnection: close\n\n"), "{closing}");
}

#[test]
fn the_framing_of_a_response_depends_on_request_and_response() {
    use AnswerBody::{Absent, Chunked, Length, UntilClose};
    use Method::{Get, Head};
    let broke = |clause| Err(Failure::AgentBroke(clause));
    for (name, asked, lines, expected) in [
        ("a length", Get, "HTTP/1.1 200 x\nContent-Length: 7\n", Ok(Length(7))),
        ("chunks", Get, "HTTP/1.1 200 x\nTransfer-Encoding: chunked\n", Ok(Chunked)),
        ("no end said", Get, "HTTP/1.1 200 x\n", Ok(UntilClose)),
        ("head", Head, "HTTP/1.1 200 x\nContent-Length: 7\n", Ok(Absent { length: Some(7) })),
        (
            "head, chunks",
            Head,
            "HTTP/1.1 200 x\nTransfer-Encoding: chunked\n",
            Ok(Absent { length: None }),
        ),
        ("204", Get, "HTTP/1.1 204 x\nContent-Length: 7\n", Ok(Absent { length: None })),
        ("304", Get, "HTTP/1.1 304 x\nContent-Length: 7\n", Ok(Absent { length: Some(7) })),
        ("304 without", Get, "HTTP/1.1 304 x\n", Ok(Absent { length: None })),
        ("205", Get, "HTTP/1.1 205 x\nContent-Length: 0\n", Ok(Length(0))),
        (
            "two lengths",
            Get,
            "HTTP/1.1 200 x\nContent-Length: 7\nContent-Length: 8\n",
            broke("the Content-Length of the response is not one number"),
        ),
        (
            "a bad length of a head",
            Head,
            "HTTP/1.1 200 x\nContent-Length: x\n",
            broke("the Content-Length of the response is not one number"),
        ),
        (
            "another coding",
            Get,
            "HTTP/1.1 200 x\nTransfer-Encoding: gzip\n",
            broke("the response is in a transfer coding other than chunked"),
        ),
        ("101", Get, "HTTP/1.1 101 x\n", broke("it switches to a protocol that was not requested")),
        ("103", Get, "HTTP/1.1 103 x\n", broke("an interim response instead of the final one")),
    ] {
        assert_eq!(answer_framing(&answer(lines), asked, None), expected, "{name}");
    }
}

#[test]
fn a_response_in_the_origin_of_the_relay_is_sandboxed() {
    const OWN: &str = "Content-Security-Policy: default-src 'self'\n";
    let policy = format!("Content-Security-Policy: {}\n", str::from_utf8(SANDBOX).unwrap());
    for (name, lines, sandboxed, body, expected) in [
        ("a page", "200 x\n", true, AnswerBody::Length(2), vec![&*policy]),
        ("an error", "500 x\n", true, AnswerBody::Chunked, vec![&policy]),
        ("no body", "304 x\n", true, AnswerBody::Absent { length: None }, vec![&policy]),
        (
            "with a policy of its own",
            &*format!("200 x\n{OWN}Connection: Content-Security-Policy-Report-Only\n"),
            true,
            AnswerBody::Length(2),
            vec![OWN, &policy],
        ),
        ("in another origin", &format!("200 x\n{OWN}"), false, AnswerBody::Length(2), vec![OWN]),
        ("another protocol", "101 x\nUpgrade: y\n", true, AnswerBody::Upgraded, vec![]),
    ] {
        let text = returned(&format!("HTTP/1.1 {lines}"), |to| {
            to.body = body;
            to.origin = Origin::of(sandboxed.then_some("/api/a"));
        });
        let found = text.split_inclusive('\n').filter(|line| line.starts_with("Content-Security"));
        assert_eq!(found.collect::<Vec<_>>(), expected, "{name}");
    }
}
