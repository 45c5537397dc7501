//! Bodies that reveal every lost, duplicated or misplaced byte.

/// `len` bytes that depend on their position and on `seed`, with no short period.
pub(crate) fn pattern(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state ^ (state >> 29)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Whether `bytes` are `pattern(seed, len)`; the error gives the first difference, without
/// megabytes of output.
pub(crate) fn is_pattern(seed: u64, len: usize, bytes: &[u8]) -> Result<(), String> {
    let wanted = pattern(seed, len);
    match bytes.iter().zip(&wanted).position(|(got, want)| got != want) {
        Some(at) => Err(format!("byte {at} of {len} differs ({} received)", bytes.len())),
        None if bytes.len() != len => Err(format!("{} bytes received, not {len}", bytes.len())),
        None => Ok(()),
    }
}

/// `data` in chunked coding, with chunks of `sizes` in rotation, including the last chunk.
pub(crate) fn chunks(data: &[u8], sizes: &[usize]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + data.len() / 8 + 64);
    let mut left = data;
    for size in sizes.iter().cycle() {
        if left.is_empty() {
            break;
        }
        let (now, later) = left.split_at((*size).clamp(1, left.len()));
        out.extend_from_slice(format!("{:x}\r\n", now.len()).as_bytes());
        out.extend_from_slice(now);
        out.extend_from_slice(b"\r\n");
        left = later;
    }
    out.extend_from_slice(b"0\r\n\r\n");
    out
}
