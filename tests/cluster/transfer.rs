//! One transfer through the balancer: each side on connections of its own, as a client would.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use crate::losses::node_of;
use crate::support::{
    Ask, Ending, Framing, Response, Wire, ask, chunks, is_pattern, pattern, stream_of,
};

/// How often a side sends a request that was refused with `Retry-After`.
const ATTEMPTS: usize = 20;
/// Shorter than `Retry-After`, so that many clients retry during each event.
const PAUSE: Duration = Duration::from_millis(100);
/// Streams that are created until one is at a certain node.
const MOST_CREATED: u64 = 60;
/// A client must not follow redirects without end.
const REDIRECTS: usize = 3;

/// What a transfer is like; made from its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) bytes: usize,
    pub(crate) framing: Framing,
    expects: bool,
}

/// Why one side failed.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) why: String,
    /// The client takes wrong or incomplete data for complete.
    pub(crate) is_hidden: bool,
}

impl Trouble {
    /// The client sees that its transfer failed.
    pub(crate) fn seen(why: impl Into<String>) -> Trouble {
        Trouble { why: why.into(), is_hidden: false }
    }

    pub(crate) fn hidden(why: impl Into<String>) -> Trouble {
        Trouble { why: why.into(), is_hidden: true }
    }
}

impl Plan {
    /// Most transfers are small, some have several MiB.
    pub(crate) fn of(number: u64) -> Plan {
        let dice = pattern(number, 16);
        let bytes = match dice[8] {
            0..=3 => usize::from(dice[9]) << 14,
            4..=63 => usize::from(dice[9]) << 10,
            64..=250 => usize::from(dice[9]) << 6,
            251.. => 0,
        };
        let chunked = dice[10].is_multiple_of(2);
        let framing = if chunked { Framing::Chunked } else { Framing::Length(bytes) };
        Plan { seed: number, bytes, framing, expects: dice[11].is_multiple_of(4) }
    }
}

/// Creates a stream; returns its id, and the refusals before.
pub(crate) fn create(front: SocketAddr) -> (String, Vec<String>) {
    let mut refusals = Vec::new();
    while refusals.len() < ATTEMPTS {
        let mut wire = Wire::connect(front);
        wire.ask(&ask("POST", "/stream").closing());
        match wire.try_response() {
            Ok(answer) if answer.status() == 201 => return (stream_of(&answer), refusals),
            Ok(answer) => refusals.push(described(&answer)),
            Err(ending) => refusals.push(format!("{ending:?}")),
        }
        thread::sleep(PAUSE);
    }
    panic!("no stream can be created: {refusals:?}");
}

/// A new stream of this node; those of others are used at once.
pub(crate) fn create_at(front: SocketAddr, node: u8) -> String {
    for number in 0..MOST_CREATED {
        let (id, _) = create(front);
        if node_of(&id) == node {
            return id;
        }
        assert_complete(front, &id, number);
    }
    panic!("node {node} gets no streams");
}

/// Uses a stream of a node that is not lost.
pub(crate) fn assert_complete(front: SocketAddr, id: &str, number: u64) {
    let troubles = run(front, id, Plan::of(number));
    assert!(troubles.is_empty(), "{id}: {troubles:?}");
}

/// Transfers the planned bytes with this stream; returns why sides failed.
pub(crate) fn run(front: SocketAddr, id: &str, plan: Plan) -> Vec<Trouble> {
    thread::scope(|scope| {
        let download = scope.spawn(|| download(front, id, plan));
        let upload = upload(front, id, plan);
        let download = download.join().expect("a download without a panic");
        [upload, download].into_iter().filter_map(Result::err).collect()
    })
}

fn upload(front: SocketAddr, id: &str, plan: Plan) -> Result<(), Trouble> {
    let data = pattern(plan.seed, plan.bytes);
    let body = match plan.framing {
        Framing::Length(_) => data,
        Framing::Chunked => chunks(&data, &[100, 70_000, 16_384]),
    };
    let put = plan.framing.put(id).closing();
    let put = if plan.expects { put.field("Expect", "100-continue") } else { put };
    let answer = answered(front, &put, |wire| {
        if plan.expects {
            let interim = wire.try_response()?;
            if interim.status() != 100 {
                return Ok(interim);
            }
        }
        // A server that responds early may close; its response counts.
        let _ = body.chunks(64 << 10).try_for_each(|piece| wire.try_send(piece));
        wire.try_response()
    })?;
    let complete = answer.ending == Ending::Complete && answer.status() == 200;
    if complete { Ok(()) } else { Err(Trouble::seen(described(&answer))) }
}

fn download(front: SocketAddr, id: &str, plan: Plan) -> Result<(), Trouble> {
    let get = ask("GET", &format!("/stream/{id}")).closing();
    let answer = answered(front, &get, Wire::try_response)?;
    if answer.status() != 200 {
        return Err(Trouble::seen(described(&answer)));
    }
    let equal = is_pattern(plan.seed, plan.bytes, &answer.body);
    match (answer.ending, equal) {
        (Ending::Complete, Ok(())) => Ok(()),
        (Ending::Complete, Err(why)) => Err(Trouble::hidden(why)),
        (Ending::Closed | Ending::Reset, _) => {
            Err(Trouble::seen(format!("cut: {:?}", answer.ending)))
        }
    }
}

/// The response to a request, sent again if it was refused, and to another node if redirected.
fn answered(
    front: SocketAddr,
    request: &Ask,
    exchange: impl Fn(&mut Wire) -> Result<Response, Ending>,
) -> Result<Response, Trouble> {
    let (mut to, mut redirects, mut attempts) = (front, 0, 0);
    loop {
        let unreachable = || Trouble::seen(format!("{to} cannot be reached"));
        let mut wire = Wire::try_connect(to).ok_or_else(unreachable)?;
        // The connection can be closed already.
        let _ = wire.try_send(request.bytes());
        let answer = exchange(&mut wire);
        let answer =
            answer.map_err(|ending| Trouble::seen(format!("{ending:?} without a response")))?;
        if answer.status() == 307 && redirects < REDIRECTS {
            redirects += 1;
            to = node_in(answer.head.get("Location").expect("a location"));
        } else if answer.status() == 503 && attempts < ATTEMPTS {
            attempts += 1;
            to = front;
            thread::sleep(PAUSE);
        } else {
            return Ok(answer);
        }
    }
}

/// The address in a URL.
fn node_in(location: &str) -> SocketAddr {
    let authority = location.strip_prefix("http://").and_then(|rest| rest.split('/').next());
    authority.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{location}"))
}

fn described(answer: &Response) -> String {
    let name = answer.head.get("Rdv-Error").unwrap_or("of the balancer");
    format!("{} {name}", answer.status())
}
