//! Two network namespaces joined by a pair of veth devices with the segments of Ethernet: the relay
//! in one, source and sink in the other.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use crate::measure::congestion_control;
use crate::{Result, failure};

/// The address of the relay's end (RFC 5737, section 3).
pub(crate) const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
/// The address of the other end, and where a sink can listen: in a new namespace all ports are
/// free.
pub(crate) const SINK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)), 8080);

/// Makes both devices; `$0` is the namespace of the far one.
const JOIN: &str = "ip link add line type veth peer name line netns \"$0\"";
/// Sets up one end: its address is `$0`, and the congestion control of its namespace `$1`. Without
/// TSO the kernel passes segments of at most the MTU over the pair, with GRO the other end merges
/// them, as with a network card.
const SET_UP: &str = "ip link set lo up && ip address add \"$0\"/24 dev line \
    && ethtool -K line tso off gro on && ip link set line mtu 1500 up \
    && echo \"$1\" > /proc/sys/net/ipv4/tcp_congestion_control";

/// The link, as seen from the namespace of the relay.
pub(crate) struct Link {
    far: File,
}

impl Link {
    /// Moves this thread, and the processes that it starts from now on, to a new namespace, linked
    /// to another one. The kernel removes both once this thread and these processes have ended, for
    /// whatever reason.
    pub(crate) fn create() -> Result<Self> {
        let control = congestion_control();
        unshare(CloneFlags::CLONE_NEWNET)?;
        let link = Self { far: File::open("/proc/thread-self/ns/net")? };
        unshare(CloneFlags::CLONE_NEWNET)?;
        run(Command::new("sh").args(["-c", JOIN, &link.far_path()]))?;
        for (mut command, address) in
            [(Command::new("sh"), NEAR), (link.far_command(Path::new("sh")), SINK.ip())]
        {
            run(command.args(["-c", SET_UP, &address.to_string(), &control]))?;
        }
        Ok(link)
    }

    /// A command that starts a program at the far end.
    pub(crate) fn far_command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.far_path())).arg("--").arg(program);
        command
    }

    /// The far namespace, for other processes.
    fn far_path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.far.as_raw_fd())
    }
}

/// Runs a command; what it printed is the error.
fn run(command: &mut Command) -> Result<()> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(failure(String::from_utf8_lossy(&output.stderr).trim()))
}
