//! Notifications to the service manager: `sd_notify`(3), and its watchdog. Without `NOTIFY_SOCKET`
//! in the environment every function does nothing. Only the first notification may block, before
//! any client is served.

use crate::ops::cause;
use sd_notify::NotifyState;
use std::cell::Cell;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// Timeout for the manager to accept the first notification.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// The connection to the service manager, if one is configured.
///
/// The `notify` function of the crate blocks when the manager does not read, and does not support
/// abstract addresses; so the messages are the crate's, and the socket is ours.
#[derive(Debug, Default)]
pub struct ServiceManager {
    line: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Watchdog>,
    /// Whether the last message was not accepted; logged once.
    unheard: Cell<bool>,
}

/// The interval of keep-alive notifications, and when the next is due.
#[derive(Clone, Copy, Debug)]
struct Watchdog {
    every: Duration,
    next: Instant,
}

impl ServiceManager {
    /// Returns the manager named by `NOTIFY_SOCKET`; `now` is when the watchdog's time begins.
    ///
    /// # Errors
    /// If the socket address is invalid, or no socket can be created.
    pub fn from_env(now: Instant) -> io::Result<Self> {
        let Some(name) = std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let address = address(name.as_bytes()).map_err(|error| {
            let name = name.display();
            io::Error::new(
                error.kind(),
                format!("NOTIFY_SOCKET={name} is not a valid address: {}", cause(&error)),
            )
        })?;
        // Twice per interval, as sd_watchdog_enabled(3) recommends.
        let watchdog = sd_notify::watchdog_enabled()
            .filter(|interval| !interval.is_zero())
            .map(|interval| Watchdog { every: interval / 2, next: now });
        let socket = UnixDatagram::unbound()?;
        Ok(Self { line: Some((socket, address)), watchdog, unheard: Cell::default() })
    }

    /// Reports that the relay is listening. Waits briefly if the manager does not read: without
    /// this notification it would treat the start as failed.
    pub fn started(&self, status: &str) {
        if let Some((socket, _)) = &self.line {
            let _ = socket.set_write_timeout(Some(READY_TIMEOUT));
            self.notify(&[NotifyState::Ready, NotifyState::Status(status)]);
            let _ = socket.set_nonblocking(true);
        }
    }

    /// Reports that the configuration is being reloaded; [`Self::reloaded`] must follow.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(time) if self.line.is_some() => self.notify(&[NotifyState::Reloading, time]),
            Ok(_) | Err(_) => {}
        }
    }

    /// Reports the end of a reload; `status` describes success or failure.
    pub fn reloaded(&self, status: &str) {
        self.notify(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// Reports that the relay is shutting down.
    pub fn stopping(&self, status: &str) {
        self.notify(&[NotifyState::Stopping, NotifyState::Status(status)]);
    }

    /// Sends one short line for `systemctl status`.
    pub fn status(&self, status: &str) {
        self.notify(&[NotifyState::Status(status)]);
    }

    /// Reports that another process is now the service; this one sends nothing more. The last
    /// keep-alive gives the new process a full interval for its first.
    pub fn moved_to(&mut self, process: u32, status: &str) {
        self.notify(&[
            NotifyState::MainPid(process),
            NotifyState::Status(status),
            NotifyState::Watchdog,
        ]);
        *self = Self::default();
    }

    /// Returns when the next keep-alive is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.watchdog.map(|watchdog| watchdog.next)
    }

    /// Sends a keep-alive if one is due. The event loop calls this itself, so that a hung loop is
    /// detected.
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
            log::warn!("the service manager does not take messages: {}", cause(error));
        }
        self.unheard.set(sent.is_err());
    }
}

/// Parses a path, or the name of an abstract socket after `@` (unix(7)).
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

    /// Creates a manager and the socket that it would read from.
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
    fn each_event_has_its_message() {
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
    fn a_reload_contains_its_time() {
        let (manager, theirs, _folder) = manager(None);
        manager.reloading();
        let words = next(&theirs).unwrap();
        let time = words.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(time.trim_end().parse::<u64>().is_ok_and(|time| time > 0), "{words}");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test has no event loop to hand it the time")]
    fn watchdog_messages_are_sent_when_due() {
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
    fn a_manager_that_does_not_read_blocks_nothing() {
        let (manager, _theirs, _folder) = manager(None);
        manager.started("Serving");
        for _ in 0..10_000 {
            manager.status("nobody reads this");
        }
    }

    #[test]
    fn both_kinds_of_addresses_are_supported() {
        assert_eq!(address(b"@rdv").unwrap().as_abstract_name(), Some(&b"rdv"[..]));
        let path = address(b"/run/notify").unwrap();
        assert_eq!(path.as_pathname(), Some(std::path::Path::new("/run/notify")));
        assert!(address(&[b'x'; 200]).is_err(), "longer than an address may be");
    }
}
