//! A relay, and one of the proxies for its clients.

use std::fs;
use std::path::{Path, PathBuf};

use crate::proxy::{KINDS, Kind, Place};
use crate::support::{Authority, Process, Relay, eventually};

/// Starts of a proxy: another process can take a port that was free.
const ATTEMPTS: usize = 5;

/// A relay, and a proxy that serves it with TLS.
pub(crate) struct Front {
    pub(crate) kind: Kind,
    pub(crate) relay: Relay,
    pub(crate) proxy: Process,
    place: Place,
    authority: Authority,
}

/// Runs a check with each installed proxy, and a relay with these flags.
pub(crate) fn with_each(flags: &[&str], check: impl Fn(Front)) {
    for kind in KINDS {
        if let Some(front) = Front::start(kind, flags) {
            // Shown if the check fails.
            println!("{kind:?}");
            check(front);
        }
    }
}

impl Front {
    fn start(kind: Kind, flags: &[&str]) -> Option<Front> {
        let mut authority = Authority::new();
        let mut relay = Relay::start(flags);
        for _ in 0..ATTEMPTS {
            let directory = tempfile::tempdir().expect("a directory");
            authority.server("localhost").copy_to(directory.path());
            let place = Place::new(directory, relay.address());
            let proxy = kind.start(&place)?;
            let mut front = Front { kind, relay, proxy, place, authority };
            if front.serves() {
                return Some(front);
            }
            Front { relay, authority, .. } = front;
        }
        panic!("{kind:?} does not start");
    }

    /// Waits until it serves, or ends: then a port was in use.
    fn serves(&mut self) -> bool {
        let url = self.url("/ping");
        eventually("the proxy serves", || {
            let answer = self.curl(&["--fail", &url]).output().expect("curl");
            if answer.status.success() { Some(true) } else { self.proxy.ended().then_some(false) }
        })
    }

    /// The origin of the relay as its clients know it.
    pub(crate) fn origin(&self) -> String {
        format!("https://localhost:{}", self.place.https)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }

    /// The URL of a stream.
    pub(crate) fn stream(&self, id: &str) -> String {
        self.url(&format!("/stream/{id}"))
    }

    /// The file of the authority that signed its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.authority.file()
    }

    /// Its directory, for files of the test.
    pub(crate) fn directory(&self) -> &Path {
        self.place.directory.path()
    }

    /// Creates a file of this size, and returns its path.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.directory().join(name);
        fs::write(&path, content).expect("a file");
        path.display().to_string()
    }

    /// Its port with TLS.
    pub(crate) fn https_port(&self) -> u16 {
        self.place.https
    }

    /// Its port without TLS.
    pub(crate) fn http_port(&self) -> u16 {
        self.place.http
    }

    /// The access log of the relay so far, on its standard output.
    pub(crate) fn log(&self) -> String {
        self.relay.process().stdout()
    }
}
