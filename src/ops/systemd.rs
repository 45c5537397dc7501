//! What a service manager is told: `sd_notify`(3), and its watchdog. Without `NOTIFY_SOCKET` in the
//! environment every function does nothing. Nothing here waits but the first word, before anybody
//! is served.

use sd_notify::NotifyState;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// How long the manager may take to make room for the first word.
const FIRST_WORD_PATIENCE: Duration = Duration::from_secs(5);

/// The way to the service manager, if there is one.
///
/// The crate's own `notify` waits where the manager does not read, and knows no abstract addresses;
/// so the words are the crate's, and the socket is ours.
#[derive(Debug, Default)]
pub struct ServiceManager {
    line: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Watchdog>,
    /// The last message was not taken, and that was logged.
    unheard: Cell<bool>,
}

/// A sign of life is due again and again.
#[derive(Clone, Copy, Debug)]
struct Watchdog {
    every: Duration,
    next: Instant,
}

impl ServiceManager {
    /// The manager that `NOTIFY_SOCKET` names; `now`: when the watchdog's time begins.
    ///
    /// # Errors
    /// When it names no address of a socket, or no socket can be made.
    pub fn from_env(now: Instant) -> io::Result<Self> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let address = address(name.as_bytes()).map_err(|error| {
            let name = name.display();
            io::Error::new(
                error.kind(),
                format!("NOTIFY_SOCKET={name} is not a valid address: {error}"),
            )
        })?;
        // Twice within its time, as sd_watchdog_enabled(3) advises.
        let watchdog = sd_notify::watchdog_enabled()
            .filter(|interval| !interval.is_zero())
            .map(|interval| Watchdog { every: interval / 2, next: now });
        let socket = UnixDatagram::unbound()?;
        Ok(Self { line: Some((socket, address)), watchdog, unheard: Cell::default() })
    }

    /// The relay listens. Waits a little if the manager does not read: without this word it would
    /// take the service for one that never started.
    pub fn started(&self, status: &str) {
        if let Some((socket, _)) = &self.line {
            let _ = socket.set_write_timeout(Some(FIRST_WORD_PATIENCE));
            self.notify(&[NotifyState::Ready, NotifyState::Status(status)]);
            let _ = socket.set_nonblocking(true);
        }
    }

    /// The configuration is being read again; [`Self::reloaded`] has to follow.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(time) if self.line.is_some() => self.notify(&[NotifyState::Reloading, time]),
            Ok(_) | Err(_) => {}
        }
    }

    /// The end of a reload, good or bad; `status` says which.
    pub fn reloaded(&self, status: &str) {
        self.notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The relay is shutting down.
    pub fn stopping(&self, status: &str) {
        self.notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// One short line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.notify(&[NotifyState::Status(status)]);
    }

    /// The service is another process from now on, and this one has nothing more to say. The last
    /// sign of life gives the other one a whole interval for its first.
    pub fn moved_to(&mut self, process: u32, status: &str) {
        self.notify(&[
            NotifyState::MainPid(process),
            NotifyState::Status(status),
            NotifyState::Watchdog,
        ]);
        *self = Self::default();
    }

    /// When the next sign of life is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.watchdog.map(|watchdog| watchdog.next)
    }

    /// Gives a sign of life if one is due. The event loop calls this itself, so that a loop that
    /// hangs is noticed.
    pub fn show_life(&mut self, now: Instant) {
        if let Some(watchdog) = &mut self.watchdog
            && watchdog.next <= now
        {
            watchdog.next = now + watchdog.every;
            self.notify(&[NotifyState::Watchdog]);
        }
    }

    fn notify(&self, words: &[NotifyState<'_>]) {
        let Some((socket, address)) = &self.line else { return };
        let mut message = String::new();
        for word in words {
            // Writing to a string cannot fail.
            let _ = writeln!(message, "{word}");
        }
        let sent = socket.send_to_addr(message.as_bytes(), address);
        if let Err(error) = &sent
            && !self.unheard.get()
        {
            log::warn!("the service manager does not take messages: {error}");
        }
        self.unheard.set(sent.is_err());
    }
}

/// A path, or with `@` in front the name of an abstract socket (unix(7)).
fn address(name: &[u8]) -> io::Result<SocketAddr> {
    match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Act = fn(&mut ServiceManager);

    /// A manager and the socket it would read from.
    fn manager(watchdog: Option<Watchdog>) -> (ServiceManager, UnixDatagram, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let theirs = UnixDatagram::bind(&path).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let line =
            Some((UnixDatagram::unbound().unwrap(), address(path.as_os_str().as_bytes()).unwrap()));
        (ServiceManager { line, watchdog, unheard: Cell::default() }, theirs, folder)
    }

    fn next(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 4096];
        let count = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..count].to_vec()).unwrap())
    }

    #[test]
    fn each_act_has_its_words() {
        let (mut manager, theirs, _folder) = manager(None);
        let rows: [(&str, Act, &str); 5] = [
            ("started", |m| m.started("Serving"), "READY=1\nSTATUS=Serving\n"),
            ("reloaded", |m| m.reloaded("Serving"), "READY=1\nSTATUS=Serving\n"),
            ("stopping", |m| m.stopping("Draining"), "STOPPING=1\nSTATUS=Draining\n"),
            ("status", |m| m.status("Busy"), "STATUS=Busy\n"),
            ("moved", |m| m.moved_to(7, "Gone"), "MAINPID=7\nSTATUS=Gone\nWATCHDOG=1\n"),
        ];
        for (name, act, words) in rows {
            act(&mut manager);
            assert_eq!(next(&theirs).as_deref(), Some(words), "{name}");
        }
        manager.status("after it has moved");
        assert_eq!(next(&theirs), None);
    }

    #[test]
    fn a_reload_names_its_time() {
        let (manager, theirs, _folder) = manager(None);
        manager.reloading();
        let words = next(&theirs).unwrap();
        let time = words.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.trim_end().parse::<u64>().is_ok_and(|time| time > 0), "{words}");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test has no event loop to hand it the time")]
    fn signs_of_life_come_when_they_are_due() {
        let now = Instant::now();
        let every = Duration::from_secs(5);
        let (mut manager, theirs, _folder) = manager(Some(Watchdog { every, next: now }));
        for (name, at, sign, next_in) in
            [("first", 0, true, 5), ("too early", 4, false, 5), ("late", 6, true, 11)]
        {
            manager.show_life(now + Duration::from_secs(at));
            assert_eq!(next(&theirs).is_some_and(|words| words == "WATCHDOG=1\n"), sign, "{name}");
            let deadline = Some(now + Duration::from_secs(next_in));
            assert_eq!(manager.next_deadline(), deadline, "{name}");
        }
    }

    #[test]
    fn a_manager_that_does_not_read_holds_nobody_back() {
        let (manager, _theirs, _folder) = manager(None);
        manager.started("Serving");
        for _ in 0..10_000 {
            manager.status("nobody reads this");
        }
    }

    #[test]
    fn both_kinds_of_addresses_are_understood() {
        assert_eq!(address(b"@rdv").unwrap().as_abstract_name(), Some(&b"rdv"[..]));
        let path = address(b"/run/notify").unwrap();
        assert_eq!(path.as_pathname(), Some(std::path::Path::new("/run/notify")));
        assert!(address(&[b'x'; 200]).is_err(), "longer than an address may be");
    }
}
