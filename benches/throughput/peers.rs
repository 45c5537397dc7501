//! The relays under measurement: how each is started, located and given its streams.

mod proxies;

pub(crate) use proxies::HAPROXY;

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::unistd::Pid;
use tempfile::TempDir;

use crate::children::{Worker, log_end, retry};
use crate::client::Client;
use crate::link::{self, Link};
use crate::measure::{self, Deadline};
use crate::options::Options;
use crate::{Result, failure};

/// Timeout for a program to be ready.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Ids of an unprivileged user and group (65534 on Debian).
const UNPRIVILEGED_ID: u32 = 65534;

/// The setting of `rdv serve`.
const CONGESTION_CONTROL: &str = "RDV_CONGESTION_CONTROL";

/// What all cases share.
pub(crate) struct Bench {
    pub(crate) options: Options,
    /// Descriptor limit of each process.
    pub(crate) descriptors: u64,
    /// Where source and sink run, unless they use loopback.
    pub(crate) link: Option<Link>,
    scratch: TempDir,
}

/// How a relay creates streams.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// With `POST /stream`.
    Rendezvous,
    /// Implicitly: any name is a stream.
    AnyName,
    /// Plain TCP, to a sink that listens at this address; responds to `/ping` at another.
    Tunnel { sink: SocketAddr, ping: SocketAddr },
}

/// A running relay.
pub(crate) struct Relay {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) pid: Pid,
    kind: Kind,
    process: Option<Worker>,
    /// Where source and sink connect, if they use TLS.
    tls: Option<Tls>,
    /// The relay to which this one, a proxy, passes all requests.
    backend: Option<Box<Relay>>,
}

/// An address for TLS.
struct Tls {
    address: SocketAddr,
    /// The file of the certificate, which clients trust.
    certificate: PathBuf,
}

/// A build of the relay: its name in tables, and the program.
#[derive(Clone)]
pub(crate) struct Build {
    pub(crate) name: &'static str,
    program: PathBuf,
}

impl Build {
    /// A command that starts it.
    pub(crate) fn command(&self) -> Command {
        Command::new(&self.program)
    }
}

impl Bench {
    /// Creates a directory that all users can read.
    pub(crate) fn new(options: Options) -> Result<Self> {
        let scratch = tempfile::Builder::new().prefix("rdv-bench-").tempdir()?;
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755))?;
        let descriptors = measure::raise_descriptor_limit()?;
        Ok(Self { options, descriptors, link: None, scratch })
    }

    /// The same with source and sink at the far end of a link, and without the relays that are
    /// already running, which do not listen there.
    pub(crate) fn across(&self, link: Link) -> Result<Self> {
        let options = Options { peers: Vec::new(), ..self.options.clone() };
        Ok(Self { link: Some(link), ..Self::new(options)? })
    }

    /// A path for a file of this run.
    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    /// Runs per measurement.
    pub(crate) fn runs(&self) -> usize {
        if self.options.smoke { 1 } else { self.options.runs.max(1) }
    }

    /// `full`, or `small` in a smoke run.
    pub(crate) fn size<T>(&self, full: T, small: T) -> T {
        if self.options.smoke { small } else { full }
    }

    /// The build under test, then the one for comparison.
    pub(crate) fn builds(&self) -> Vec<Build> {
        let own = Build { name: "rdv", program: PathBuf::from(env!("CARGO_BIN_EXE_rdv")) };
        let other = self.options.relay.iter().cloned();
        let other = other.map(|program| Build { name: "other build", program });
        std::iter::once(own).chain(other).collect()
    }

    /// Starts a build with limits that suffice for any case.
    pub(crate) fn rdv(&self, build: &Build) -> Result<Relay> {
        self.rdv_for(build, 4096)
    }

    /// The same with this connection limit.
    pub(crate) fn rdv_for(&self, build: &Build, connections: u64) -> Result<Relay> {
        self.start_rdv(build.name, &mut serve(&build.program), connections)
    }

    /// Starts a world-readable copy of a build as an unprivileged user.
    pub(crate) fn rdv_unprivileged(&self, build: &Build) -> Result<Relay> {
        let program = self.scratch("rdv");
        fs::copy(&build.program, &program)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let mut command = serve(&program);
        command.uid(UNPRIVILEGED_ID).gid(UNPRIVILEGED_ID).current_dir("/");
        self.start_rdv("rdv unprivileged", &mut command, 4096)
    }

    /// The build under test with more flags, under another name.
    pub(crate) fn rdv_with(&self, name: &str, flags: &[String]) -> Result<Relay> {
        self.start_rdv(name, serve(env!("CARGO_BIN_EXE_rdv")).args(flags), 4096)
    }

    /// The build under test with the congestion control of its choice, under another name.
    pub(crate) fn rdv_as_shipped(&self, name: &str) -> Result<Relay> {
        let mut command = serve(env!("CARGO_BIN_EXE_rdv"));
        self.start_rdv(name, command.env_remove(CONGESTION_CONTROL), 4096)
    }

    fn start_rdv(&self, name: &str, command: &mut Command, connections: u64) -> Result<Relay> {
        let limit = connections.to_string();
        command.args(["--listen", &self.listen_address(), "--ttl", "600s"]);
        command.args(["--max-connections", &limit, "--max-streams", "1000000"]);
        // The list of agents, which shows their spare connections, requires a trusted address.
        command.args(["--trusted", "127.0.0.0/8"]);
        // Keep its admin socket apart from those of other relays of this user.
        command.env("RUNTIME_DIRECTORY", self.scratch("run"));
        command.args(&self.options.with);
        let mut relay = self.start_listening(name, command)?;
        relay.kind = Kind::Rendezvous;
        Ok(relay)
    }

    /// Starts a comparison relay: this program in another role.
    pub(crate) fn own(&self, name: &str, role: &str) -> Result<Relay> {
        let mut command = Command::new(env::current_exe()?);
        self.start_listening(name, command.args([role, "--listen", &self.listen_address()]))
    }

    /// The IP address of the relays.
    fn relay_ip(&self) -> IpAddr {
        if self.link.is_some() { link::NEAR } else { Ipv4Addr::LOCALHOST.into() }
    }

    /// Where a relay listens: at a free port.
    fn listen_address(&self) -> String {
        SocketAddr::new(self.relay_ip(), 0).to_string()
    }

    /// An address of the relays that is free now.
    fn free_address(&self) -> Result<SocketAddr> {
        Ok(TcpListener::bind((self.relay_ip(), 0))?.local_addr()?)
    }

    /// Starts a program that prints its address.
    fn start_listening(&self, name: &str, command: &mut Command) -> Result<Relay> {
        let log = self.scratch(&format!("{}.log", name.replace(' ', "-")));
        command.stderr(File::create(&log)?);
        let mut process = Worker::start(name, command, "")?;
        let address = process
            .expect("listening on http://", Deadline::after(START_TIMEOUT))
            .map_err(|error| failure(format!("{error}: {}", log_end(&log))))?;
        process.ignore_output();
        let address = address.split_whitespace().next().unwrap_or_default().parse()?;
        let pid = process.pid();
        Ok(Relay {
            name: name.to_owned(),
            address,
            pid,
            kind: Kind::AnyName,
            process: Some(process),
            tls: None,
            backend: None,
        })
    }

    /// Starts `HAProxy` as a TCP relay with splicing, which also responds to `/ping` with a
    /// constant; none if it is not installed.
    pub(crate) fn haproxy(&self) -> Result<Option<Relay>> {
        let Some(program) = installed("haproxy") else { return Ok(None) };
        let (address, ping) = (self.free_address()?, self.free_address()?);
        let sink = if self.link.is_some() { link::SINK } else { self.free_address()? };
        // `option splice-auto` decides by a heuristic, which chose to copy while strace was
        // attached.
        let config = format!(
            "global\n  nbthread 1\n  maxconn 4096\n  tune.pipesize 1048576\n\
             defaults\n  mode tcp\n  option splice-request\n  option splice-response\n  \
             timeout connect 5s\n  \
             timeout client 60s\n  timeout server 60s\n\
             listen relay\n  bind {address}\n  server sink {sink}\n\
             frontend ping\n  mode http\n  bind {ping}\n  \
             http-request return status 200 content-type text/plain string pong\n"
        );
        let path = self.scratch("haproxy.cfg");
        fs::write(&path, config)?;
        let mut command = Command::new(program);
        command.arg("-db").arg("-f").arg(path);
        self.start_silent("haproxy", &mut command, address, Kind::Tunnel { sink, ping }).map(Some)
    }

    /// Starts nginx with one worker that responds to `/ping`; none if it is not installed.
    pub(crate) fn nginx(&self) -> Result<Option<Relay>> {
        let Some(program) = installed("nginx") else { return Ok(None) };
        let address = self.free_address()?;
        let pid = self.scratch("nginx.pid");
        let config = format!(
            "daemon off; master_process off; worker_processes 1; pid {};\n\
             error_log stderr; events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000000;\n\
             server {{ listen {address}; location = /ping {{ return 200 \"pong\\n\"; }} }} }}\n",
            pid.display()
        );
        let path = self.scratch("nginx.conf");
        fs::write(&path, config)?;
        let mut command = Command::new(program);
        command.arg("-c").arg(path);
        self.start_silent("nginx", &mut command, address, Kind::AnyName).map(Some)
    }

    /// Starts a program that listens at `address` and does not print it.
    fn start_silent(
        &self,
        name: &str,
        command: &mut Command,
        address: SocketAddr,
        kind: Kind,
    ) -> Result<Relay> {
        let log = self.scratch(&format!("{name}.log"));
        command.stderr(File::create(&log)?);
        let process = Worker::start(name, command, "")?;
        let deadline = Deadline::after(START_TIMEOUT);
        retry(deadline, || Ok(TcpStream::connect(address)?))
            .map_err(|error| failure(format!("{name}: {error}: {}", log_end(&log))))?;
        let pid = process.pid();
        let (name, process) = (name.to_owned(), Some(process));
        Ok(Relay { name, address, pid, kind, process, tls: None, backend: None })
    }

    /// The relays named on the command line.
    pub(crate) fn running(&self) -> impl Iterator<Item = Relay> {
        self.options.peers.iter().map(|peer| Relay {
            name: peer.name.clone(),
            address: peer.address,
            pid: Pid::from_raw(peer.pid),
            kind: Kind::AnyName,
            process: None,
            tls: None,
            backend: None,
        })
    }
}

impl Relay {
    /// Ids of `count` new streams.
    pub(crate) fn streams(&self, count: usize) -> Result<Vec<String>> {
        if self.kind == Kind::Rendezvous {
            let mut client = Client::connect(self.address)?;
            return (0..count).map(|_| client.create_stream()).collect();
        }
        let unique = measure::now().as_nanos();
        Ok((0..count).map(|index| format!("{unique}-{index}")).collect())
    }

    /// Where a sink must listen instead of sending a request.
    pub(crate) fn sink_address(&self) -> Option<SocketAddr> {
        match self.kind {
            Kind::Tunnel { sink, .. } => Some(sink),
            Kind::Rendezvous | Kind::AnyName => None,
        }
    }

    /// Where it responds to `/ping`.
    pub(crate) fn ping_address(&self) -> SocketAddr {
        match self.kind {
            Kind::Tunnel { ping, .. } => ping,
            Kind::Rendezvous | Kind::AnyName => self.address,
        }
    }

    /// Where source and sink connect.
    pub(crate) fn client_address(&self) -> SocketAddr {
        self.tls.as_ref().map_or(self.address, |tls| tls.address)
    }

    /// The file of the certificate that source and sink trust, if they use TLS.
    pub(crate) fn certificate(&self) -> Option<&Path> {
        self.tls.as_ref().map(|tls| tls.certificate.as_path())
    }

    /// Its process, and that of the relay to which it passes requests.
    pub(crate) fn pids(&self) -> impl Iterator<Item = Pid> {
        std::iter::once(self.pid).chain(self.backend.as_ref().map(|backend| backend.pid))
    }

    /// CPU time used so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        self.pids().map(measure::cpu).sum()
    }

    /// Returns an error if the relay exited.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Worker::check_alive)?;
        self.backend.as_mut().map_or(Ok(()), |backend| backend.check_alive())
    }
}

/// A command that starts a relay with the congestion control of the other relays, and of the
/// clients. An older build ignores it.
fn serve(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.arg("serve").env(CONGESTION_CONTROL, measure::congestion_control());
    command
}

/// The path of a program in `PATH`, or in the directories of system programs.
pub(crate) fn installed(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate: &PathBuf| Path::is_file(candidate))
}
