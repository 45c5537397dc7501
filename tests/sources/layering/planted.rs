//! Violations found in planted files, and permitted imports.

use super::check;

#[test]
fn planted_violations_between_layers_are_found() {
    for (name, file, text, found) in [
        ("an import upwards", "http/head.rs", "use crate::api::Failure;", "http imports api"),
        (
            "in braces",
            "rendezvous/a.rs",
            "use crate::{http::x, relay::y};",
            "rendezvous imports relay",
        ),
        ("in a path", "api/a.rs", "let x = crate::relay::run();", "api imports relay"),
        ("in two lines", "http/a.rs", "use crate::{\n    ops::x,\n};", "http imports ops"),
        ("exported", "http/a.rs", "pub(crate) use crate::{\n    ops::x,\n};", "http imports ops"),
        ("a neighbour", "api/a.rs", "use crate::splice::Pipe;", "api imports splice"),
        ("a pure module", "mux/a.rs", "use std::fs;", "std::fs in mux"),
        ("an unknown module", "api/a.rs", "use crate::utils::x;", "api imports utils"),
        ("a file of an unknown module", "utils/a.rs", "", "utils is not a known module"),
        ("from the parent", "http/a.rs", "use super::super::api::x;", "http imports api"),
        ("everything", "http/a.rs", "use crate::*;", "http imports *"),
        ("a clock", "rendezvous/a.rs", "let now = Instant::now();", "Instant::now in rendezvous"),
        ("a socket", "http.rs", "use std::net::{IpAddr, TcpStream};", "TcpStream in http"),
        ("an identifier by chance", "api/a.rs", "Uuid::new_v4()", "Uuid::new_v4 in api"),
        (
            "the top from below",
            "client/a.rs",
            "use crate::connector::record;",
            "client imports connector",
        ),
        (
            "behind a test",
            "http/a.rs",
            "#[cfg(test)]\nmod tests {\n}\nuse mio::Poll;",
            "mio in http",
        ),
        ("mio", "connector/a.rs", "use mio::{Poll, Waker};", "mio in connector"),
        ("mio in a path", "ops/a.rs", "let poll = mio::Poll::new()?;", "mio in ops"),
        ("socket2", "client/dial.rs", "use socket2::SockRef;", "socket2 in client"),
        ("under another name", "socket/a.rs", "use socket2 as other;", "socket2 in socket"),
        ("in a command", "main.rs", "let socket = socket2::Socket::new();", "socket2 in main"),
    ] {
        assert_eq!(violations(file, text), [found], "{name}");
    }
}

#[test]
fn permitted_uses_between_layers_are_accepted() {
    for (name, file, text) in [
        ("from the top", "connector/a.rs", "use crate::{client::x, relay::y};"),
        ("downwards", "relay/io/a.rs", "use crate::{http::x, ops::{a, b}};"),
        ("its own module", "http/a/b.rs", "use crate::http::x; use super::super::y;"),
        ("a comment", "http/a.rs", "// not Instant::now(), crate::relay says"),
        ("a test", "http/a.rs", "#[cfg(test)]\nmod tests {\n    use mio::Poll;\n}"),
        ("a file of tests", "http/a/tests.rs", "use mio::Poll;"),
        ("a test module elsewhere", "http/a.rs", "#[cfg(test)]\nmod tests;\n"),
        ("not pure", "relay/io/a.rs", "use mio::Poll; let now = Instant::now();"),
        ("the event loop's crates", "relay/io/conn.rs", "use socket2::Socket; use mio::Token;"),
        ("another word", "client/a.rs", "let my_mio = mion::socket20();"),
        ("exempt", "main.rs", "use crate::relay::x; use std::fs;"),
        ("exempt, too", "fuzzing/a.rs", "Instant::now(); use crate::api::x;"),
    ] {
        assert_eq!(violations(file, text), [""; 0], "{name}");
    }
}

#[test]
fn planted_violations_within_the_relay_are_found() {
    for (name, file, text, found) in [
        ("upwards", "relay/io/a.rs", "use crate::relay::http1::x;", "io imports http1"),
        (
            "from the parent",
            "relay/http1/a.rs",
            "use super::super::streams::x;",
            "http1 imports streams",
        ),
        ("from a folder", "relay/io/mod.rs", "use super::transfers::x;", "io imports transfers"),
        (
            "in a path",
            "relay/transfers/a.rs",
            "crate::relay::agents::x();",
            "transfers imports agents",
        ),
        (
            "in braces",
            "relay/transfers/a.rs",
            "use crate::{http::x, relay::{io::y, intake::{a}}};",
            "transfers imports intake",
        ),
        (
            "two services",
            "relay/agents/a.rs",
            "use crate::relay::streams::x;",
            "agents imports streams",
        ),
        (
            "the loop",
            "relay/admin/a.rs",
            "use crate::relay::event_loop::x;",
            "admin imports event_loop",
        ),
        (
            "a part of the process",
            "relay/pages.rs",
            "use super::process::x;",
            "pages imports process",
        ),
        (
            "a service, from beside",
            "relay/process/a.rs",
            "use crate::relay::intake::x;",
            "process imports intake",
        ),
        (
            "a transfer, from beside",
            "relay/process.rs",
            "use super::transfers::x;",
            "process imports transfers",
        ),
        ("through a re-export", "relay/io/a.rs", "use crate::relay::Waker;", "io imports Waker"),
        ("everything", "relay/io/mod.rs", "use super::*;", "io imports *"),
        ("the module as a name", "relay/io/a.rs", "use crate::relay;", "io imports all layers"),
        (
            "the module in braces",
            "relay/io/a.rs",
            "use crate::relay::{self, io};",
            "io imports all layers",
        ),
        ("an unknown layer", "relay/utils.rs", "", "utils is not a known layer"),
        ("a module below", "relay/streams/a.rs", "use crate::client::x;", "relay imports client"),
    ] {
        assert_eq!(violations(file, text), [found], "{name}");
    }
}

#[test]
fn permitted_uses_within_the_relay_are_accepted() {
    for (name, file, text) in [
        ("the loop", "relay/event_loop.rs", "use super::{agents::x, streams::y, process, io};"),
        (
            "its parts",
            "relay/event_loop/a.rs",
            "use crate::relay::{admin::x, intake::y}; use super::z;",
        ),
        ("downwards", "relay/agents/a.rs", "use crate::relay::{http1::x, io::y, transfers};"),
        (
            "within a layer",
            "relay/agents/a/b.rs",
            "use super::super::c; use crate::relay::agents::d;",
        ),
        ("from beside", "relay/process/a.rs", "use crate::relay::{http1::x, io::y};"),
        ("visibility", "relay/io/a.rs", "pub(in crate::relay) struct A;"),
        (
            "a test",
            "relay/io/a.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::relay::agents::x;\n}",
        ),
    ] {
        assert_eq!(violations(file, text), [""; 0], "{name}");
    }
}

#[test]
fn the_root_of_the_event_loop_only_declares_and_exports() {
    for text in ["fn main() {}", "use io::x;", "struct A;", "pub mod a {", "use io::{\n    x,\n};"]
    {
        let found = violations("relay/mod.rs", &format!("mod io;\n{text}"));
        assert_eq!(found, ["relay/mod.rs does more than declare"], "{text}");
    }
    for text in [
        "mod io;",
        "pub mod io;",
        "#[cfg(x)]\npub(crate) mod io;",
        "pub use io::{\n    x,\n};",
        "pub(crate) use io::{\n    x,\n};",
        "//! A promise.\n\n// Why.\nmod io;",
        "#[cfg(test)]\nmod tests {\n    fn a() {}\n}",
    ] {
        assert_eq!(violations("relay/mod.rs", text), [""; 0], "{text}");
    }
}

/// The violations in a planted file.
fn violations(file: &str, text: &str) -> Vec<String> {
    check(file, text).into_iter().map(|violation| violation.what).collect()
}
