use super::*;

fn body(seed: u64, position: u64, count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    Pattern::new(seed).append(position, count, &mut out);
    out
}

#[test]
fn a_body_is_the_same_in_any_pieces() {
    let complete = body(7, 0, 3000);
    for position in 0..3000 {
        let rest = &complete[position..];
        let piece = body(7, position as u64, rest.len().min(600));
        assert_eq!(piece, rest[..piece.len()], "from {position}");
        assert_eq!(Pattern::new(7).first_difference(position as u64, &piece), None);
    }
}

#[test]
fn bytes_of_another_stream_or_position_differ() {
    let pattern = Pattern::new(7);
    assert!(pattern.first_difference(0, &body(8, 0, 16)).is_some(), "of another stream");
    assert!(pattern.first_difference(0, &body(7, 1, 16)).is_some(), "of the next position");
    // The noise repeats after this number of bytes; the stamps do not.
    assert!(pattern.first_difference(0, &body(7, NOISE_BYTES, 1024)).is_some(), "a period later");
}

#[test]
fn the_first_difference_is_reported() {
    let mut bytes = body(7, 100, 2000);
    bytes[1234] ^= 1;
    assert_eq!(Pattern::new(7).first_difference(100, &bytes), Some(1334));
}
