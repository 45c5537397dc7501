//! What the two sides of one exchange do, and others meanwhile; made from a seed.

mod chances;

use std::time::Duration;

use super::random::Random;
use chances::{delay, fault, framing, other, receipt, rescue, size};

/// Bytes that the kernel can have accepted for a destination that does not read them: the largest
/// send and receive buffers (`tcp_wmem`, `tcp_rmem`), with slack.
pub(crate) const IN_FLIGHT_MAX: u64 = 16 << 20;

/// Agents, `soak-0` and so on.
pub(crate) const AGENTS: u64 = 3;

/// One exchange.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is chosen independently")]
pub(crate) struct Plan {
    /// It determines everything else, and the contents of the body.
    pub(crate) seed: u64,
    pub(crate) size: u64,
    pub(crate) framing: Framing,
    /// Whether the source sends head and body at once.
    pub(crate) joined: bool,
    pub(crate) expects_continue: bool,
    /// Whether the destination is an HTTP/1.0 client.
    pub(crate) http10: bool,
    /// Whether the destination has the smallest receive buffer.
    pub(crate) narrow: bool,
    /// Whether each side sends its next request before the response.
    pub(crate) pipelines: bool,
    /// Whether each side opens a new connection.
    pub(crate) fresh: bool,
    /// How long after the start each side connects.
    pub(crate) source_after: Duration,
    pub(crate) destination_after: Duration,
    pub(crate) source: Option<Fault>,
    pub(crate) destination: Option<Fault>,
    /// What another client does, this long after the start.
    pub(crate) other: Option<(Other, Duration)>,
    pub(crate) rescue: Rescue,
    pub(crate) receipt: Receipt,
    /// Whether the events of the stream are read.
    pub(crate) watched: bool,
    /// Whether the status is compared at the end.
    pub(crate) checked: bool,
    /// The API that is called, instead of a stream.
    pub(crate) call: Option<Call>,
}

/// A call through an agent. Only one of the two sides is a client of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Download,
    Upload,
}

/// Framing of the upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    Length,
    /// In chunks of this size.
    Chunks(usize),
}

/// What one side does wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    pub(crate) act: Act,
    /// After this number of payload bytes. A chunked upload lacks its last chunk then.
    pub(crate) after: u64,
    /// Whether a source announces a longer chunk before it.
    pub(crate) ragged: bool,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    Close,
    Reset,
    HalfClose,
    /// Continues after this time, which is shorter than the idle timeout.
    Pause(Duration),
    /// Stops until the other side, or the relay, ends the exchange.
    Stall,
}

/// What another client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Other {
    Delete,
    Report,
    Status,
    SecondSource,
    SecondDestination,
}

/// What happens once one side disconnected before the first byte, and the other one still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rescue {
    /// Another client connects on that side.
    Rejoin,
    /// The stream is deleted.
    Delete,
    /// The waiting time expires.
    Expire,
}

/// What is requested of the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Receipt {
    None,
    Confirmed,
    Failed,
    Acked,
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Plan {
        let mut random = Random::new(seed);
        let size = size(&mut random);
        let call = random.one_in(10).then(|| random.pick(&[Call::Download, Call::Upload]));
        let (source, destination) = match random.below(10) {
            0 => (Some(fault(size, &mut random)), None),
            1 => (None, Some(fault(size, &mut random))),
            2 if random.one_in(4) => {
                (Some(fault(size, &mut random)), Some(fault(size, &mut random)))
            }
            _ => (None, None),
        };
        // Only more than all buffers hold stalls the source as well.
        let stalls = destination.is_some_and(|fault| fault.act == Act::Stall);
        let size = if stalls && random.one_in(2) { size + IN_FLIGHT_MAX } else { size };
        let framing = framing(size, &mut random);
        let http10 = random.one_in(12);
        Plan {
            seed,
            size,
            framing,
            joined: random.one_in(2),
            expects_continue: random.one_in(8),
            http10,
            narrow: random.one_in(50) && size <= 1 << 20,
            // HTTP/1.0 connections are closed after the response.
            pipelines: !http10 && random.one_in(8),
            fresh: random.one_in(6),
            source_after: delay(&mut random),
            destination_after: delay(&mut random),
            source,
            destination,
            other: (call.is_none() && random.one_in(8))
                .then(|| (other(&mut random), delay(&mut random))),
            rescue: rescue(&mut random),
            receipt: receipt(&mut random),
            watched: call.is_none() && random.one_in(24),
            checked: call.is_none() && random.one_in(12),
            call,
        }
    }

    /// The path of the API for this call.
    pub(crate) fn call_path(&self, call: Call) -> String {
        let (seed, size) = (self.seed, self.size);
        let agent = seed % AGENTS;
        match (call, self.framing) {
            (Call::Upload, _) => format!("/api/soak-{agent}/up/{seed}/{size}"),
            (Call::Download, Framing::Length) => format!("/api/soak-{agent}/down/{seed}/{size}/0"),
            (Call::Download, Framing::Chunks(chunk)) => {
                format!("/api/soak-{agent}/down/{seed}/{size}/{chunk}")
            }
        }
    }

    /// Whether both sides do what is right, and no other client ends the stream.
    pub(crate) fn is_honest(&self) -> bool {
        let fair = |fault: Option<Fault>| fault.is_none_or(Fault::is_fair);
        fair(self.source) && fair(self.destination) && !self.is_ended_by_other()
    }

    /// Whether another client ends the stream.
    pub(crate) fn is_ended_by_other(&self) -> bool {
        matches!(self.other, Some((Other::Delete | Other::Report, _)))
    }

    /// Its kind, for the report.
    pub(crate) fn kind(&self) -> String {
        let faults = match self.call {
            Some(Call::Download) => Some(("call, download", self.destination)),
            Some(Call::Upload) => Some(("call, upload", self.source)),
            None => None,
        };
        if let Some((call, fault)) = faults {
            return fault.map_or(call.to_owned(), |fault| format!("{call}: {}", fault.act.name()));
        }
        match (self.source, self.destination, self.other) {
            (Some(_), Some(_), _) => "both sides fail".to_owned(),
            (Some(fault), None, _) => format!("source: {}", fault.act.name()),
            (None, Some(fault), _) => format!("destination: {}", fault.act.name()),
            (None, None, Some((other, _))) => format!("other client: {}", other.name()),
            (None, None, None) if self.http10 => "HTTP/1.0".to_owned(),
            (None, None, None) => match self.framing {
                Framing::Length => "length".to_owned(),
                Framing::Chunks(_) => "chunked".to_owned(),
            },
        }
    }
}

impl Fault {
    /// Whether it only costs time.
    pub(crate) fn is_fair(self) -> bool {
        matches!(self.act, Act::Pause(_))
    }
}

impl Act {
    fn name(self) -> &'static str {
        match self {
            Act::Close => "close",
            Act::Reset => "reset",
            Act::HalfClose => "half-close",
            Act::Pause(_) => "pause",
            Act::Stall => "stall",
        }
    }
}

impl Other {
    fn name(self) -> &'static str {
        match self {
            Other::Delete => "delete",
            Other::Report => "report",
            Other::Status => "status",
            Other::SecondSource => "second source",
            Other::SecondDestination => "second destination",
        }
    }
}
