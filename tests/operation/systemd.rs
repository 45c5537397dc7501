//! The service manager: notifications to it (`sd_notify`(3)), and sockets from it
//! (`sd_listen_fds`(3)).

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io};

use crate::support::{
    Authority, Finished, Framing, Process, Relay, TEST_TIMEOUT, Wire, ask, eventually,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::SockRef;

/// A service manager that receives notifications.
struct Manager {
    socket: UnixDatagram,
    name: String,
    _folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Manager {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let name = path.to_str().expect("a path in UTF-8").to_owned();
        Manager::reading(UnixDatagram::bind(&path), name, folder)
    }

    /// With an abstract socket address.
    fn in_abstract() -> Manager {
        let folder = tempfile::tempdir().expect("a folder");
        let name = folder.path().to_str().expect("a path in UTF-8").to_owned();
        let address = SocketAddr::from_abstract_name(&name).expect("an address");
        Manager::reading(UnixDatagram::bind_addr(&address), format!("@{name}"), folder)
    }

    fn reading(
        socket: io::Result<UnixDatagram>,
        name: String,
        folder: tempfile::TempDir,
    ) -> Manager {
        let socket = socket.expect("bind");
        socket.set_read_timeout(Some(TEST_TIMEOUT)).expect("SO_RCVTIMEO");
        Manager { socket, name, _folder: folder }
    }

    /// A relay with this service manager.
    fn relay(&self, variables: &[(&str, &str)]) -> Relay {
        let mut command = rdv(&["--listen", "127.0.0.1:0", "--drain-timeout", "1h"]);
        command.env("NOTIFY_SOCKET", &self.name).envs(variables.iter().copied());
        Relay::from_command(command, 1)
    }

    /// The next message.
    fn next(&self) -> String {
        let mut buffer = [0; 4096];
        let count = self.socket.recv(&mut buffer).expect("a message");
        String::from_utf8(buffer[..count].to_vec()).expect("UTF-8")
    }

    /// The next message with a line that starts with this.
    fn await_line(&self, begin: &str) -> String {
        loop {
            let message = self.next();
            if message.lines().any(|line| line.starts_with(begin)) {
                return message;
            }
        }
    }
}

fn rdv(flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rdv"));
    command.arg("serve").args(flags);
    command
}

/// The program with this descriptor as the first one passed; a shell moves it there.
fn activated(socket: impl Into<OwnedFd>, listen_pid: &str, flags: &[&str]) -> Process {
    activated_as("", socket, listen_pid, flags)
}

/// The same with a name of the descriptor.
fn activated_as(
    name: &str,
    socket: impl Into<OwnedFd>,
    listen_pid: &str,
    flags: &[&str],
) -> Process {
    let mut command = Command::new("sh");
    let script =
        format!("exec 3<&0 </dev/null; export LISTEN_PID={listen_pid} LISTEN_FDS=1; exec \"$@\"");
    command.env("LISTEN_FDNAMES", name);
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_rdv"), "serve"]).args(flags);
    Process::reading(command, Stdio::from(socket.into()))
}

fn assert_clean_end(finished: &Finished) {
    assert_eq!(finished.status.code(), Some(0), "stderr: {}", finished.stderr);
}

#[test]
fn the_manager_is_notified_of_start_and_stop() {
    for manager in [Manager::new(), Manager::in_abstract()] {
        let relay = manager.relay(&[]);
        let ready = format!("READY=1\nSTATUS=Serving on {}\n", relay.address());
        assert_eq!(manager.next(), ready, "{}", manager.name);
        let mut pair = relay.pair(Framing::Chunked);
        pair.pass_first(b"hello");
        for (signal, status) in [
            (Signal::SIGQUIT, "Draining without a limit"),
            (Signal::SIGTERM, "Draining"),
            (Signal::SIGINT, "Stopping"),
        ] {
            relay.signal(signal);
            assert_eq!(manager.next(), format!("STOPPING=1\nSTATUS={status}\n"), "{signal}");
        }
        drop(pair);
        assert_clean_end(&relay.finish());
    }
}

#[test]
fn watchdog_notifications_are_sent_while_idle() {
    let manager = Manager::new();
    let relay = manager.relay(&[("WATCHDOG_USEC", "20000")]);
    manager.await_line("READY=1");
    for _ in 0..5 {
        assert_eq!(manager.next(), "WATCHDOG=1\n");
    }
    relay.await_turn();
}

#[test]
fn a_watchdog_of_another_process_is_ignored() {
    let manager = Manager::new();
    let relay = manager.relay(&[("WATCHDOG_USEC", "1"), ("WATCHDOG_PID", "1")]);
    manager.await_line("READY=1");
    relay.await_turn();
    relay.signal(Signal::SIGTERM);
    assert_eq!(manager.next(), "STOPPING=1\nSTATUS=Draining\n");
    assert_clean_end(&relay.finish());
}

#[test]
fn after_a_handover_the_new_process_is_the_main_pid() {
    let manager = Manager::new();
    let mut relay = manager.relay(&[("WATCHDOG_USEC", "20000")]);
    manager.await_line("READY=1");
    relay.signal(Signal::SIGUSR2);
    let message = manager.await_line("MAINPID=");
    let process = message.lines().find_map(|line| line.strip_prefix("MAINPID="));
    let process = Pid::from_raw(process.and_then(|digits| digits.parse().ok()).expect("a number"));
    let successor = Successor(process);
    assert!(message.contains("\nWATCHDOG=1\n"), "{message}");
    let ready = manager.await_line("READY=1");
    assert!(ready.contains(&format!("Serving on {}", relay.address())), "{ready}");
    eventually("the old process ends", || relay.ended().then_some(()));
    // Its own watchdog, not that of the process that started it.
    manager.await_line("WATCHDOG=1");
    kill(process, Signal::SIGTERM).expect("kill");
    manager.await_line("STOPPING=1");
    drop(successor);
}

/// Terminates a process that is not a child of the test.
struct Successor(Pid);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

#[test]
fn without_a_notify_socket_no_handover_is_made_under_systemd() {
    let mut command = Command::new("sh");
    command.args(["-c", "SYSTEMD_EXEC_PID=$$ exec \"$@\"", "sh", env!("CARGO_BIN_EXE_rdv")]);
    command.args(["serve", "--listen", "127.0.0.1:0"]).env_remove("NOTIFY_SOCKET");
    let relay = Relay::from_command(command, 1);
    relay.signal(Signal::SIGUSR2);
    eventually("the reason is logged", || {
        relay.process().stderr().contains("Type=notify").then_some(())
    });
    relay.await_turn();
    relay.signal(Signal::SIGTERM);
    assert_clean_end(&relay.finish());
}

#[test]
fn a_failed_handover_is_reported_to_the_manager() {
    let manager = Manager::new();
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("rdv");
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_rdv")).arg(&program).status();
    assert!(copied.expect("cp").success());
    let mut command = Command::new(&program);
    command.args(["serve", "--listen", "127.0.0.1:0"]).env("NOTIFY_SOCKET", &manager.name);
    let relay = Relay::from_command(command, 1);
    std::fs::remove_file(&program).expect("remove");
    relay.signal(Signal::SIGUSR2);
    manager.await_line("STATUS=Serving; the last hand-over failed");
    relay.await_turn();
}

#[test]
fn an_unreachable_manager_is_logged_once_and_ignored() {
    let mut manager = Manager::new();
    manager.name.push_str("-is-not-there");
    let relay = manager.relay(&[("WATCHDOG_USEC", "2000")]);
    for _ in 0..20 {
        relay.await_turn();
    }
    relay.signal(Signal::SIGTERM);
    let finished = relay.finish();
    assert_clean_end(&finished);
    let complaints = finished.stderr.matches("does not take messages").count();
    assert_eq!(complaints, 1, "{}", finished.stderr);
}

#[test]
fn an_invalid_notify_socket_is_a_one_line_error() {
    let mut command = rdv(&["--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", format!("/{}", "x".repeat(200)));
    let finished = Process::start(command).finish();
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("NOTIFY_SOCKET"), "{}", finished.stderr);
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
}

#[test]
fn an_inherited_socket_takes_precedence_over_the_address() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let ours = socket.try_clone().expect("dup");
    let address = socket.local_addr().expect("an address");
    // Connections before the start of the relay are served, too.
    let mut early = Wire::connect(address);
    early.ask(&ask("GET", "/ping"));
    let relay = Relay::from_process(activated(socket, "$$", &["--listen", "127.0.0.1:1"]), 1);
    assert_eq!(relay.address(), address);
    assert_eq!(early.response().status(), 200);
    relay.await_turn();

    // Both processes share one socket, so its options can be read here.
    let options = SockRef::from(&ours);
    assert!(options.tcp_nodelay().expect("TCP_NODELAY"));
    assert!(options.keepalive().expect("SO_KEEPALIVE"));
    assert_eq!(options.tcp_keepalive_time().expect("TCP_KEEPIDLE").as_secs(), 60);
    let congestion = options.tcp_congestion().expect("TCP_CONGESTION");
    assert!(congestion.starts_with(b"reno"), "{congestion:?}");

    relay.signal(Signal::SIGTERM);
    assert_clean_end(&relay.finish());
    assert!(TcpStream::connect(address).is_ok(), "the socket stays the manager's");
}

#[test]
fn requests_are_redirected_to_an_inherited_socket_for_https() {
    let authority = Authority::new();
    let identity = authority.server("localhost");
    let file = |flag: &str, path: &Path| format!("{flag}={}", path.display());
    let (certificate, key) = (identity.certificate(), identity.key());
    let (certificate, key) = (file("--tls-cert", certificate), file("--tls-key", key));
    let flags = ["--listen=127.0.0.1:0", "--http-redirect", &certificate, &key];
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let port = socket.local_addr().expect("an address").port();
    let relay = Relay::from_process(activated_as("tls", socket, "$$", &flags), 1);
    let answer = relay.exchange(&ask("GET", "/ping"));
    let location = format!("https://relay.test:{port}/ping");
    assert_eq!((answer.status(), answer.head.get("Location")), (308, Some(&*location)));

    let finished = Process::start(rdv(&flags)).finish();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let why = "http-redirect needs tls-listen, or an inherited socket with the name tls";
    assert!(finished.stderr.contains(why), "{}", finished.stderr);
    let checked = Process::rdv(&[&["check-config"], &flags[..]].concat()).finish();
    assert_eq!(checked.status.code(), Some(0), "{}", checked.stderr);
    assert!(checked.stderr.contains("FileDescriptorName=tls"), "{}", checked.stderr);
}

#[test]
fn the_congestion_control_of_the_setting_is_taken_by_inherited_sockets() {
    let available = fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
    let available = available.expect("a list");
    // The default on loopback is reno, so another one shows that the setting counts.
    let Some(other) = available.split_whitespace().find(|name| *name != "reno") else {
        panic!("this kernel has reno only")
    };
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let ours = socket.try_clone().expect("dup");
    let flags = ["--congestion-control", other];
    let relay = Relay::from_process(activated(socket, "$$", &flags), 1);
    relay.await_turn();
    let taken = SockRef::from(&ours).tcp_congestion().expect("TCP_CONGESTION");
    assert_eq!(String::from_utf8_lossy(&taken).trim_end_matches('\0'), other);
}

#[test]
fn sockets_for_another_process_are_ignored() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = socket.local_addr().expect("an address");
    let process = activated(socket, "1", &["--listen", "127.0.0.1:0"]);
    let relay = Relay::from_process(process, 1);
    assert_ne!(relay.address(), address);
    relay.await_turn();
}

#[test]
fn an_inherited_descriptor_must_be_a_listening_tcp_socket() {
    let folder = tempfile::tempdir().expect("a folder");
    let unix = UnixListener::bind(folder.path().join("socket")).expect("bind");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    let rows: [(&str, OwnedFd); 4] = [
        ("datagrams", UdpSocket::bind("127.0.0.1:0").expect("bind").into()),
        ("a Unix socket", unix.into()),
        ("a connection", TcpStream::connect(address).expect("connect").into()),
        ("a file", std::fs::File::open("/dev/null").expect("open").into()),
    ];
    for (name, descriptor) in rows {
        let finished = activated(descriptor, "$$", &[]).finish();
        assert_eq!(finished.status.code(), Some(1), "{name}: {}", finished.stderr);
        assert_eq!(finished.stderr.lines().count(), 1, "{name}: {}", finished.stderr);
        for part in ["descriptor 3", "ListenStream="] {
            assert!(finished.stderr.contains(part), "{name}: {}", finished.stderr);
        }
        assert_eq!(finished.stdout, "", "{name}");
    }
}

#[test]
fn an_inherited_socket_can_be_handed_over() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("bind");
    let ours = socket.try_clone().expect("dup");
    let mut relay = Relay::from_process(activated(socket, "$$", &[]), 1);
    relay.signal(Signal::SIGUSR2);
    let process = eventually("a new process serves", || {
        let log = relay.process().stderr();
        let (before, _) = log.split_once(" serves now")?;
        before.rsplit(' ').next()?.parse().ok().map(Pid::from_raw)
    });
    let successor = Successor(process);
    eventually("the old process ends", || relay.ended().then_some(()));
    relay.await_turn();
    drop((successor, ours));
}

#[test]
fn the_manager_is_notified_of_the_start_and_end_of_a_reload() {
    let manager = Manager::new();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("rdv.toml");
    std::fs::write(&path, "ttl = \"1s\"\n").expect("a file");
    let relay = manager.relay(&[("RDV_CONFIG", path.to_str().expect("UTF-8"))]);
    manager.await_line("READY=1");
    for (text, then) in [("ttl = \"2s\"\n", ""), ("ttl = 2\n", "; the last reload failed")] {
        std::fs::write(&path, text).expect("a file");
        relay.signal(Signal::SIGHUP);
        let reloading = manager.await_line("RELOADING=1");
        assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
        let ready = manager.await_line("READY=1");
        let status = format!("STATUS=Serving on {}{then}", relay.address());
        assert!(ready.lines().any(|line| line == status), "{ready}");
    }
}
