use super::*;
use crate::http::body::Malformed;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n\r\n";

const READY: Ready = Ready { source: true, destination: true };

/// Creates a transfer of a chunked upload of which `bytes` were read along with its head.
fn started(bytes: &[u8]) -> Transfer {
    let mut transfer = Transfer::new(Framing::Chunked, Delimiter::Chunks, HEAD.to_vec(), true);
    feed(&mut transfer, bytes);
    transfer
}

fn feed(transfer: &mut Transfer, bytes: &[u8]) {
    let mut pieces = Vec::new();
    transfer.received(bytes, &mut pieces);
    transfer.keep(bytes, &pieces);
}

/// Resumes the upload with its next destination.
fn resumed(transfer: Transfer) -> Transfer {
    let upload = transfer.give_upload_back();
    Transfer::resume(upload, Delimiter::Chunks, HEAD.to_vec(), true)
}

#[test]
fn an_upgraded_direction_ends_with_the_fin_of_its_source() {
    for splice in [true, false] {
        let mut transfer = Transfer::upgraded(b"head".to_vec(), splice);
        feed(&mut transfer, b"early");
        assert!(transfer.head_started(), "no side can be replaced");
        let blocked = Ready { source: false, ..READY };
        assert_eq!(transfer.next(blocked), Step::Send { more: false });
        assert_eq!(transfer.prefix(), b"headearly");
        transfer.sent(9);
        assert_eq!((transfer.transferred(), transfer.still_to_come()), (5, None));
        assert_eq!(matches!(transfer.next(READY), Step::Fill { .. }), splice);
        assert_eq!(matches!(transfer.next(READY), Step::Copy { .. }), !splice);
        transfer.filled(7);
        transfer.source_ended();
        assert_eq!(transfer.next(READY), Step::Drain { bytes: 7 });
        transfer.drained(7);
        assert_eq!(transfer.next(READY), Step::Done(TransferOutcome::Complete));
    }
    let mut transfer = Transfer::upgraded(Vec::new(), true);
    transfer.source_gone(Loss::Closed);
    let outcome = TransferOutcome::SourceGone(Loss::Closed);
    assert_eq!(transfer.next(READY), Step::Done(outcome), "a reset is not a FIN");
}

#[test]
fn a_fin_before_the_end_of_a_body_is_a_loss() {
    let mut transfer = started(b"5\r\nhel");
    transfer.source_ended();
    assert_eq!(transfer.next(READY), Step::Done(TransferOutcome::SourceGone(Loss::Closed)));
}

#[test]
fn a_returned_upload_resumes_within_its_framing() {
    let mut transfer = started(b"5\r\nhel");
    for _ in 0..3 {
        // Framed and blocked, or not even framed: the next destination gets the same.
        transfer.announce(0);
        transfer = resumed(transfer);
    }
    feed(&mut transfer, b"lo\r\n0\r\n\r\n");
    assert_eq!(transfer.next(READY), Step::Send { more: false });
    assert_eq!(transfer.prefix(), [HEAD, b"5\r\nhello"].concat());
}

#[test]
fn bytes_buffered_when_the_destination_is_lost_are_returned() {
    let mut transfer = started(b"a\r\n");
    let mut pieces = Vec::new();
    transfer.received(b"01234", &mut pieces);
    transfer.announce(5);
    transfer.gathered(0, b"01234", &pieces);
    transfer.destination_gone(Loss::Closed);
    let outcome = TransferOutcome::DestinationGone(Loss::Closed);
    assert_eq!(transfer.next(READY), Step::Done(outcome));
    assert_eq!(transfer.side_left(outcome), Some(Side::Destination));
    let mut transfer = resumed(transfer);
    feed(&mut transfer, b"56789\r\n0\r\n\r\n");
    assert_eq!(transfer.next(READY), Step::Send { more: false });
    assert_eq!(transfer.prefix(), [HEAD, b"a\r\n0123456789"].concat());
}

#[test]
fn invalid_framing_is_kept_when_the_destination_is_lost() {
    let mut transfer = started(b"5\r\nhello\r\nxyz");
    transfer.destination_gone(Loss::Closed);
    let upload = transfer.give_upload_back();
    assert!(upload.may_end_within(0), "it stays until it can be told");
    let mut transfer = Transfer::resume(upload, Delimiter::Chunks, HEAD.to_vec(), true);
    assert_eq!(transfer.next(READY), Step::Send { more: false });
    transfer.sent(transfer.prefix().len());
    assert!(matches!(transfer.next(READY), Step::Done(TransferOutcome::SourceBroken(_))));
}

#[test]
fn a_short_chunk_among_large_ones_is_spliced() {
    for (name, chunks, copied) in [
        ("large", "5000\r\n", false),
        ("short", "c\r\n", true),
        ("short after large", "1\r\nx\r\n5000\r\n|\r\nc\r\n", false),
        ("short after short", "5000\r\n|\r\n1\r\nx\r\nc\r\n", true),
    ] {
        let mut transfer = started(b"");
        for (index, part) in chunks.split('|').enumerate() {
            if index > 0 {
                transfer.filled(0x5000);
            }
            feed(&mut transfer, part.as_bytes());
        }
        assert_eq!(!transfer.splices(), copied, "{name}");
    }
}

#[test]
fn nothing_is_forwarded_after_an_error() {
    let mut transfer =
        Transfer::new(Framing::Chunked, Delimiter::Close, HEAD.to_vec(), true).at_most(5);
    feed(&mut transfer, b"5\r\nhello\r\n9\r\n");
    feed(&mut transfer, b"too large\r\n0\r\n\r\n");
    assert_eq!(rest(&mut transfer), [HEAD, b"hello"].concat());
    let outcome = TransferOutcome::SourceTooLarge(5);
    assert_eq!(transfer.next(READY), Step::Done(outcome));
}

#[test]
fn a_source_lost_before_any_byte_was_sent_keeps_the_destination() {
    for (name, handed_on, loss, left) in [
        ("closed", false, Loss::Closed, true),
        ("failed", false, Loss::Failed, true),
        ("stalled", false, Loss::Stalled, false),
        ("later", true, Loss::Closed, false),
    ] {
        let mut transfer = started(b"5\r\nhel");
        if handed_on {
            transfer.announce(0);
            transfer.sent(transfer.prefix().len());
        }
        transfer.source_gone(loss);
        let outcome = TransferOutcome::SourceGone(loss);
        assert_eq!(transfer.next(READY), Step::Done(outcome), "{name}");
        assert_eq!(transfer.side_left(outcome), left.then_some(Side::Source), "{name}");
    }
}

/// Everything that a transfer still sends, to a destination that is ready again.
fn rest(transfer: &mut Transfer) -> Vec<u8> {
    let mut sent = Vec::new();
    while let Step::Send { more } = transfer.next(Ready { source: false, ..READY }) {
        assert!(!more, "nothing is in the pipe");
        sent.extend_from_slice(transfer.prefix());
        transfer.sent(transfer.prefix().len());
    }
    sent
}

#[test]
fn bytes_moved_from_the_pipe_to_memory_are_sent_in_their_place() {
    let chunk = format!("{:x}\r\n", 20_000);
    let blocked = Ready { destination: false, ..READY };
    for (name, framing, delimiter, framed) in [
        ("a length", Framing::Length(20_000), Delimiter::Length, ""),
        ("chunks", Framing::Chunked, Delimiter::Chunks, &*chunk),
        ("until the end", Framing::Chunked, Delimiter::Close, ""),
    ] {
        let mut transfer = Transfer::new(framing, delimiter, HEAD.to_vec(), true);
        if framing == Framing::Chunked {
            feed(&mut transfer, chunk.as_bytes());
        }
        let body: Vec<u8> = (0..20_000_u32).map(|index| index.to_le_bytes()[0]).collect();
        transfer.filled(body.len());
        assert_eq!(
            transfer.next(Ready { source: false, ..READY }),
            Step::Send { more: true },
            "{name}"
        );
        // The head leaves, and 100 bytes of the body; then the destination blocks.
        transfer.sent(transfer.prefix().len());
        transfer.drained(100);
        assert_eq!(transfer.next(blocked), Step::Wait(Side::Destination), "{name}");
        transfer.pipe_emptied(body[100..].to_vec());
        assert_eq!((transfer.piped(), transfer.held()), (0, 19_900), "{name}");
        assert_eq!(transfer.next(blocked), Step::Wait(Side::Destination), "{name}");
        assert_eq!(rest(&mut transfer), body[100..], "{name}: after {framed:?}");
        assert_eq!((transfer.transferred(), transfer.spliced()), (20_000, 100), "{name}");
    }
}

#[test]
fn what_follows_a_pipe_follows_its_bytes_in_memory() {
    let blocked = Ready { destination: false, ..READY };
    for delimiter in [Delimiter::Chunks, Delimiter::Close] {
        let mut transfer = Transfer::new(Framing::Chunked, delimiter, HEAD.to_vec(), true);
        feed(&mut transfer, b"5000\r\nabc");
        transfer.filled(0x5000 - 3);
        feed(&mut transfer, b"\r\n5000\r\nxyz");
        assert_eq!(transfer.next(blocked), Step::Wait(Side::Destination));
        let piped = vec![b'p'; 0x5000 - 3];
        transfer.pipe_emptied(piped.clone());
        let sent = rest(&mut transfer);
        let parts: [&[u8]; 6] = match delimiter {
            Delimiter::Chunks => [HEAD, b"5000\r\n", b"abc", &piped, b"\r\n3\r\n", b"xyz"],
            Delimiter::Length | Delimiter::Close => [HEAD, b"", b"abc", &piped, b"", b"xyz"],
        };
        assert!(sent == parts.concat(), "{delimiter:?}");
        assert!(matches!(transfer.next(READY), Step::Fill { .. }), "{delimiter:?}: it goes on");
    }
}

#[test]
fn chunks_read_ahead_follow_the_framed_bytes_in_memory() {
    let mut transfer = started(b"5\r\nhello");
    let blocked = Ready { destination: false, ..READY };
    assert_eq!(transfer.next(blocked), Step::Wait(Side::Destination));
    transfer.next(READY);
    transfer.sent(transfer.prefix().len() - 2);
    feed(&mut transfer, b"\r\n3\r\nabc\r\n2\r\nde");
    assert_eq!(transfer.next(blocked), Step::Wait(Side::Destination));
    assert_eq!(rest(&mut transfer), b"lo\r\n5\r\nabcde");
    feed(&mut transfer, b"\r\n0\r\n\r\n");
    transfer.source_out_of_step();
    assert_eq!(rest(&mut transfer), b"", "the end is not framed");
    let outcome = TransferOutcome::SourceGone(Loss::Failed);
    assert_eq!(transfer.next(READY), Step::Done(outcome));
}

#[test]
fn an_upload_whose_bytes_left_the_pipe_can_be_returned() {
    let mut transfer = started(b"5000\r\nabc");
    transfer.filled(0x5000 - 3);
    feed(&mut transfer, b"\r\n5\r\nxyz");
    transfer.announce(0);
    let piped = vec![b'p'; 0x5000 - 3];
    transfer.pipe_emptied(piped.clone());
    transfer.destination_gone(Loss::Closed);
    let outcome = TransferOutcome::DestinationGone(Loss::Closed);
    assert_eq!(transfer.side_left(outcome), Some(Side::Destination), "no byte is lost");
    let mut transfer = resumed(transfer);
    let sent = rest(&mut transfer);
    assert!(sent == [HEAD, b"5003\r\nabc", &piped, b"xyz"].concat());
}

/// Creates the transfer of a form.
fn of_form(framing: Framing, delimiter: Delimiter) -> Transfer {
    let upload = PartialUpload::of_form(framing, FirstPart::new(b"b"), u64::MAX);
    Transfer::resume(upload, delimiter, HEAD.to_vec(), true)
}

/// Sends all that is pending, and returns it with the step after it.
fn sent(transfer: &mut Transfer) -> (Vec<u8>, Step) {
    let mut all = Vec::new();
    loop {
        let step = transfer.next(READY);
        if !matches!(step, Step::Send { .. }) {
            return (all, step);
        }
        let prefix = transfer.prefix().to_vec();
        transfer.sent(prefix.len());
        all.extend(prefix);
    }
}

#[test]
fn only_the_first_part_of_a_form_is_passed_on() {
    const FORM: &[u8] = b"--b\r\nContent-Type: a/b\r\n\r\nhi\r\nho\r\n--b\r\n\r\nmore\r\n--b--\r\n";
    for length in 1..=FORM.len() {
        let upload = Framing::Length(FORM.len() as u64);
        let mut transfer = of_form(upload, Delimiter::Close);
        for piece in FORM.chunks(length) {
            feed(&mut transfer, piece);
        }
        let (all, step) = sent(&mut transfer);
        let expected = &b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\nhi\r\nho"[..];
        assert_eq!(all.escape_ascii().to_string(), expected.escape_ascii().to_string());
        assert_eq!(step, Step::Done(TransferOutcome::Complete), "{length}");
        assert_eq!(transfer.transferred(), 6);
    }
}

#[test]
fn a_form_is_continued_with_its_next_destination() {
    let mut transfer = of_form(Framing::Length(39), Delimiter::Chunks);
    feed(&mut transfer, b"--b\r\nContent-Type: a/b\r\n\r\nhi\r");
    transfer.announce(0);
    let mut transfer = resumed(transfer);
    feed(&mut transfer, b"\n--b--\r\n-\r\n");
    let (all, step) = sent(&mut transfer);
    let expected = b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\n\r\n2\r\nhi\r\n0\r\n\r\n";
    assert_eq!(all, expected, "{}", all.escape_ascii());
    assert_eq!(step, Step::Done(TransferOutcome::Complete));
}

#[test]
fn a_form_that_ends_within_its_first_part_is_broken() {
    for form in [&b""[..], b"--b\r\n", b"--b\r\n\r\nhi", b"--b\r\n\r\nhi\r\n--"] {
        let upload = Framing::Length(form.len() as u64);
        let mut transfer = of_form(upload, Delimiter::Chunks);
        feed(&mut transfer, form);
        let (all, step) = sent(&mut transfer);
        assert!(!all.ends_with(b"0\r\n\r\n"), "it looks complete");
        let broken = matches!(step, Step::Done(TransferOutcome::SourceBroken(Malformed::Form(_))));
        assert!(broken && !transfer.upload_complete(), "{step:?}");
    }
}
