//! The kernel's data on a connection (`TCP_INFO`, tcp(7)), without unsafe code.

use crate::rendezvous::ack_wait::Acked;
use crate::rendezvous::bottleneck::SocketFigures;
use nix::getsockopt_impl;
use nix::libc;
use nix::sys::socket::{getsockopt, sockopt::GetStruct};
use nix::sys::utsname;
use std::os::fd::AsFd;
use std::sync::LazyLock;

/// The state of a connection that was reset (`TCP_CLOSE`, `net/tcp_states.h`).
const TCP_CLOSE: u8 = 7;

/// The beginning of `struct tcp_info` (linux/tcp.h), up to the fields of Linux 4.6. The libc crate's
/// is shorter where glibc's is.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct OldTcpInfo {
    state: u8,
    _ca_state_to_bit_fields: [u8; 7],
    _rto_ato: [u32; 2],
    snd_mss: u32,
    _rcv_mss: u32,
    unacked: u32,
    _sacked_to_fackets: [u32; 4],
    _last_sent: [u32; 2],
    last_data_recv: u32,
    _last_ack_recv_pmtu_ssthresh: [u32; 3],
    rtt: u32,
    _rttvar_ssthresh: [u32; 2],
    snd_cwnd: u32,
    _advmss_reordering: [u32; 2],
    rcv_rtt: u32,
    _rcv_space: u32,
    total_retrans: u32,
    _pacing_rates_bytes_acked: [u64; 3],
    bytes_received: u64,
    _segs: [u32; 2],
    notsent_bytes: u32,
    min_rtt: u32,
}

/// The same up to the fields of Linux 5.4; later kernels append more.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct TcpInfo {
    old: OldTcpInfo,
    data_segs_in: u32,
    data_segs_out: u32,
    delivery_rate: u64,
    busy_time: u64,
    rwnd_limited: u64,
    sndbuf_limited: u64,
    _delivered: [u32; 2],
    _bytes_sent_retrans: [u64; 2],
    _dsack_dups_reord_seen: [u32; 2],
    rcv_ooopack: u32,
    snd_wnd: u32,
}

#[derive(Clone, Copy)]
struct OldInfo;
getsockopt_impl!(OldInfo, libc::IPPROTO_TCP, libc::TCP_INFO, OldTcpInfo, GetStruct<OldTcpInfo>);

#[derive(Clone, Copy)]
struct Info;
getsockopt_impl!(Info, libc::IPPROTO_TCP, libc::TCP_INFO, TcpInfo, GetStruct<TcpInfo>);

/// The kernel's version: nix panics if it does not fill a structure completely.
static KERNEL: LazyLock<(u32, u32)> = LazyLock::new(|| {
    let release = utsname::uname().ok().map(|name| name.release().to_string_lossy().into_owned());
    release.map_or((0, 0), |release| version(&release))
});

/// Returns the version of a release such as `6.1.0-13-amd64`; 0.0 if unknown.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
        _ => (0, 0),
    }
}

/// Returns what the peer of a TCP socket has acknowledged; [`Acked::Lost`] on kernels before Linux
/// 4.6, too. The state counts as well: after a reset nothing is in flight any more.
pub(super) fn acked(socket: &impl AsFd) -> Acked {
    if *KERNEL < (4, 6) {
        return Acked::Lost;
    }
    match getsockopt(socket, OldInfo) {
        Ok(info) if info.state == TCP_CLOSE => Acked::Lost,
        Ok(OldTcpInfo { unacked: 0, notsent_bytes: 0, .. }) => Acked::All,
        Ok(info) => Acked::Not { segments: info.unacked, unsent_bytes: info.notsent_bytes },
        Err(_) => Acked::Lost,
    }
}

/// Returns the kernel's data on a TCP socket; `None` from kernels before Linux 5.4.
pub(super) fn figures(socket: &impl AsFd) -> Option<SocketFigures> {
    if *KERNEL < (5, 4) {
        return None;
    }
    let info = getsockopt(socket, Info).ok()?;
    let old = info.old;
    Some(SocketFigures {
        rtt_us: old.rtt,
        min_rtt_us: old.min_rtt,
        receive_rtt_us: old.rcv_rtt,
        segment_bytes: old.snd_mss,
        congestion_window_segments: old.snd_cwnd,
        unacked_segments: old.unacked,
        unsent_bytes: old.notsent_bytes,
        peer_window_bytes: info.snd_wnd,
        last_received_ms: old.last_data_recv,
        delivery_rate_bytes_per_s: info.delivery_rate,
        segments_in: info.data_segs_in,
        segments_out: info.data_segs_out,
        retransmits: old.total_retrans,
        out_of_order_segments: info.rcv_ooopack,
        received_bytes: old.bytes_received,
        busy_us: info.busy_time,
        rwnd_limited_us: info.rwnd_limited,
        sndbuf_limited_us: info.sndbuf_limited,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::mem::{offset_of, size_of};
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn the_layout_matches_the_kernel() {
        assert_eq!(offset_of!(OldTcpInfo, snd_mss), 16);
        assert_eq!(offset_of!(OldTcpInfo, unacked), 24);
        assert_eq!(
            offset_of!(OldTcpInfo, last_data_recv),
            offset_of!(libc::tcp_info, tcpi_last_data_recv)
        );
        assert_eq!(offset_of!(OldTcpInfo, rtt), offset_of!(libc::tcp_info, tcpi_rtt));
        assert_eq!(offset_of!(OldTcpInfo, snd_cwnd), offset_of!(libc::tcp_info, tcpi_snd_cwnd));
        assert_eq!(offset_of!(OldTcpInfo, rcv_rtt), offset_of!(libc::tcp_info, tcpi_rcv_rtt));
        assert_eq!(offset_of!(OldTcpInfo, total_retrans), 100);
        assert_eq!(offset_of!(OldTcpInfo, bytes_received), 128);
        assert_eq!(offset_of!(OldTcpInfo, notsent_bytes), 144);
        assert_eq!(size_of::<OldTcpInfo>(), 152);
        assert_eq!(offset_of!(TcpInfo, delivery_rate), 160);
        assert_eq!(offset_of!(TcpInfo, rcv_ooopack), 224);
        assert_eq!(size_of::<TcpInfo>(), 232);
    }

    #[test]
    fn a_connection_over_loopback_has_plausible_figures() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.write_all(&[7; 1000]).unwrap();
        server.read_exact(&mut [0; 1000]).unwrap();
        let (Some(sent), Some(received)) = (figures(&client), figures(&server)) else {
            return println!("skipped: this kernel is older than Linux 5.4");
        };
        assert_eq!((received.received_bytes, received.segments_in), (1000, 1));
        assert_eq!((sent.segments_out, sent.retransmits, sent.unsent_bytes), (1, 0, 0));
        assert!(sent.segment_bytes >= 536 && sent.peer_window_bytes > 1000, "{sent:?}");
        assert!(sent.min_rtt_us < 10_000_000 && sent.congestion_window_segments > 0, "{sent:?}");
    }

    #[test]
    fn the_kernels_version_is_read_from_its_release() {
        for (release, numbers) in [
            ("6.18.44-fc-v595", (6, 18)),
            ("5.4.0-1-amd64", (5, 4)),
            ("5.10", (5, 10)),
            ("4.18.0-553.el8_10.x86_64", (4, 18)),
            ("", (0, 0)),
            ("unknown", (0, 0)),
        ] {
            assert_eq!(version(release), numbers, "{release}");
        }
    }

    #[test]
    fn bytes_are_acknowledged_once_received_and_never_after_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut server = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (client, _) = listener.accept().unwrap();
        assert_eq!(acked(&server), Acked::All, "nothing was sent");
        server.set_nonblocking(true).unwrap();
        while server.write(&[7; 4096]).is_ok() {}
        assert!(matches!(acked(&server), Acked::Not { .. }), "{:?}", acked(&server));
        // Closing with unread bytes resets.
        drop(client);
        let mut polled = [nix::poll::PollFd::new(server.as_fd(), nix::poll::PollFlags::empty())];
        nix::poll::poll(&mut polled, nix::poll::PollTimeout::NONE).unwrap();
        assert_eq!(acked(&server), Acked::Lost);
    }
}
