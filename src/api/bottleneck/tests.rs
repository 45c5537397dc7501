//! The verdicts, one case per line, and the members of their object.

use super::*;
use crate::rendezvous::bottleneck::{WaitTimes, WaitingOn};
use std::time::Instant;

/// One second in which a side was waited for in pauses of `pause_ms` each.
#[allow(clippy::disallowed_methods, reason = "a base for made-up times")]
fn second(side: Option<WaitingOn>, pause_ms: u64) -> (PaceSample, PaceSample) {
    let base = Instant::now();
    let earlier = PaceSample::beginning(base);
    let mut waits = WaitTimes::new(base);
    let mut at = base;
    waits.turn(at, true, side);
    for _ in 0..1000 / pause_ms {
        at += Duration::from_millis(pause_ms);
        waits.turn(at, true, side);
    }
    (earlier, PaceSample { at, waits, ..earlier })
}

/// A flow of 1 MB/s without loss.
fn flow() -> SocketFigures {
    SocketFigures {
        rtt_us: 20_000,
        min_rtt_us: 20_000,
        receive_rtt_us: 21_000,
        segment_bytes: 1448,
        segments_in: 700,
        received_bytes: 1_000_000,
        ..SocketFigures::default()
    }
}

#[test]
fn a_slow_source_is_distinguished_from_a_slow_path() {
    let rows: [(&str, u64, SocketFigures, Limit); 10] = [
        (
            "nothing comes",
            1000,
            SocketFigures { segments_in: 0, received_bytes: 0, ..flow() },
            Limit::Source,
        ),
        ("a paced program, full segments", 20, flow(), Limit::Source),
        ("no pause, no queue", 1, flow(), Limit::Source),
        ("a queue", 1, SocketFigures { receive_rtt_us: 60_000, ..flow() }, Limit::NetworkIn),
        (
            "a queue of a slow line: each segment takes long, several are under way",
            100,
            SocketFigures {
                receive_rtt_us: 400_000,
                segments_in: 10,
                received_bytes: 14_480,
                ..flow()
            },
            Limit::NetworkIn,
        ),
        (
            "pauses of the program, which the round trip contains",
            50,
            SocketFigures { receive_rtt_us: 70_000, ..flow() },
            Limit::Source,
        ),
        (
            "small segments, whatever the round trip",
            1,
            SocketFigures { receive_rtt_us: 90_000, segments_in: 5_000, ..flow() },
            Limit::Source,
        ),
        (
            "segments lost",
            20,
            SocketFigures { out_of_order_segments: 40, ..flow() },
            Limit::NetworkIn,
        ),
        (
            "hardly any segment lost",
            20,
            SocketFigures { out_of_order_segments: 3, ..flow() },
            Limit::Source,
        ),
        (
            "loopback on a busy machine",
            1,
            SocketFigures { min_rtt_us: 30, receive_rtt_us: 2_000, ..flow() },
            Limit::Source,
        ),
    ];
    for (name, pause_ms, source, limit) in rows {
        let (earlier, later) = second(Some(WaitingOn::Source), pause_ms);
        assert_eq!(classify(&earlier, &PaceSample { source, ..later }).limit, limit, "{name}");
    }
}

#[test]
fn a_slow_destination_is_distinguished_from_a_slow_path() {
    let open = SocketFigures {
        segment_bytes: 1448,
        peer_window_bytes: 3_000_000,
        busy_us: 1_000_000,
        ..SocketFigures::default()
    };
    let rows: [(&str, SocketFigures, Limit); 7] = [
        ("an open window", open, Limit::NetworkOut),
        ("losses", SocketFigures { retransmits: 30, ..open }, Limit::NetworkOut),
        (
            "a send buffer too small",
            SocketFigures { sndbuf_limited_us: 900_000, ..open },
            Limit::NetworkOut,
        ),
        ("a closed window", SocketFigures { peer_window_bytes: 0, ..open }, Limit::Destination),
        (
            "a window of less than a segment",
            SocketFigures { peer_window_bytes: 1000, ..open },
            Limit::Destination,
        ),
        (
            "a window full half of the time",
            SocketFigures { rwnd_limited_us: 500_000, ..open },
            Limit::Destination,
        ),
        (
            "a window full now and then",
            SocketFigures { rwnd_limited_us: 100_000, ..open },
            Limit::NetworkOut,
        ),
    ];
    for (name, destination, limit) in rows {
        let (earlier, later) = second(Some(WaitingOn::Destination), 10);
        assert_eq!(classify(&earlier, &PaceSample { destination, ..later }).limit, limit, "{name}");
    }
}

#[test]
fn only_changes_since_the_earlier_sample_count() {
    let old = SocketFigures {
        segment_bytes: 1448,
        peer_window_bytes: 60_000,
        busy_us: 9_000_000,
        rwnd_limited_us: 9_000_000,
        ..SocketFigures::default()
    };
    let (earlier, later) = second(Some(WaitingOn::Destination), 10);
    let earlier = PaceSample { destination: old, ..earlier };
    let destination = SocketFigures { busy_us: 10_000_000, ..old };
    let bottleneck = classify(&earlier, &PaceSample { destination, ..later });
    assert_eq!(bottleneck.limit, Limit::NetworkOut);
    assert_eq!(
        (bottleneck.destination.busy_us, bottleneck.destination.rwnd_limited_us),
        (1_000_000, 0)
    );
    assert_eq!(
        (bottleneck.window, bottleneck.destination_waited),
        (Duration::from_secs(1), Duration::from_secs(1))
    );
}

#[test]
fn a_rate_limited_source_is_not_the_bottleneck() {
    let (earlier, mut later) = second(Some(WaitingOn::Rate), 50);
    // Whatever the socket shows, it is the relay that leaves the bytes in it.
    later.source = SocketFigures { receive_rtt_us: 60_000, out_of_order_segments: 500, ..flow() };
    let bottleneck = classify(&earlier, &later);
    assert_eq!((bottleneck.limit, bottleneck.rate_waited), (Limit::Rate, Duration::from_secs(1)));
    later.waits.source = Duration::from_secs(2);
    assert_ne!(classify(&earlier, &later).limit, Limit::Rate, "it was waited for even longer");
}

#[test]
fn without_any_wait_the_source_is_the_bottleneck() {
    let (earlier, later) = second(None, 10);
    assert_eq!(classify(&earlier, &later).limit, Limit::Source);
    assert_eq!(classify(&earlier, &earlier).limit, Limit::Source, "in no time");
}

#[test]
fn the_object_names_the_side_and_shows_rates() {
    let (earlier, later) = second(Some(WaitingOn::Source), 10);
    let object = object(&classify(&earlier, &PaceSample { source: flow(), ..later }));
    assert_eq!(object["side"], "source");
    assert_eq!(object["window_ms"], 1000);
    assert_eq!(object["source"]["waited_ms"], 1000);
    assert_eq!(object["source"]["receive_rate_bytes_per_s"], 1_000_000);
    assert_eq!(object["destination"]["waited_ms"], 0);
    for (limit, word) in [
        (Limit::Source, "source"),
        (Limit::NetworkIn, "network_in"),
        (Limit::NetworkOut, "network_out"),
        (Limit::Destination, "destination"),
        (Limit::Rate, "rate"),
    ] {
        assert_eq!(name(limit), word);
    }
}
