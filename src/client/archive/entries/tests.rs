use super::*;
use proptest::prelude::*;

/// A header block in the pre-POSIX format, with its checksum.
fn block(name: &[u8], kind: u8, size: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let old = header.as_old_mut();
    old.name[..name.len()].copy_from_slice(name);
    old.linkflag = [kind];
    old.mode[..4].copy_from_slice(b"644\0");
    old.size[..size.len()].copy_from_slice(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut content = content.to_vec();
    content.resize(content.len().next_multiple_of(BLOCK_BYTES), 0);
    content
}

fn extended(records: &[u8]) -> Vec<u8> {
    [block(b"x", b'x', format!("{:o}", records.len()).as_bytes()), padded(records)].concat()
}

fn ended(pieces: &[Vec<u8>]) -> Vec<u8> {
    [pieces.concat(), vec![0; 2 * BLOCK_BYTES]].concat()
}

/// Reads every entry and its content.
fn read(archive: &[u8]) -> io::Result<Vec<(Entry, Vec<u8>)>> {
    let (mut entries, mut found) = (Entries::new(archive), Vec::new());
    while let Some(entry) = entries.next()? {
        let mut content = Vec::new();
        entries.read_to_end(&mut content)?;
        found.push((entry, content));
    }
    Ok(found)
}

fn kind(archive: &[u8]) -> ErrorKind {
    read(archive).expect_err("an error").kind()
}

#[test]
fn entries_are_read_with_their_metadata() {
    let archive = ended(&[
        block(b"a", b'0', b"3"),
        padded(b"abc"),
        block(b"d/", b'0', b"0"),
        extended(b"12 path=b\0c\n10 size=2\n19 linkpath=over\nx\n"),
        block(b"ignored", b'0', b"7777"),
        padded(b"hi"),
        block(b"link", b'1', b"3"),
        block(b"fifo", b'6', b"0"),
    ]);
    let found = read(&archive).unwrap();
    let io_error: Vec<_> = found
        .iter()
        .map(|(entry, content)| (entry.path.as_slice(), entry.kind, content.as_slice()))
        .collect();
    assert_eq!(
        io_error,
        [
            (&b"a"[..], Kind::File, &b"abc"[..]),
            (b"d/", Kind::Directory, b""),
            (b"b", Kind::File, b"hi"),
            (b"link", Kind::HardLink, b""),
            (b"fifo", Kind::Other, b""),
        ]
    );
    assert_eq!(found[0].0.mode, 0o644);
    assert_eq!(found[2].0.link, b"over\nx", "a line feed is part of a value");
    assert_eq!(found[2].0.size_bytes, 2);
}

#[test]
fn unread_content_is_skipped() {
    let archive = ended(&[
        block(b"a", b'0', b"2000"),
        padded(&[b'x'; 0o2000]),
        block(b"b", b'0', b"1"),
        padded(b"y"),
    ]);
    let mut entries = Entries::new(archive.as_slice());
    assert_eq!(entries.next().unwrap().unwrap().path, b"a");
    assert_eq!(entries.next().unwrap().unwrap().path, b"b");
    let mut content = String::new();
    entries.read_to_string(&mut content).unwrap();
    assert_eq!(content, "y");
    assert_eq!(entries.next().unwrap(), None);
}

#[test]
fn a_truncated_archive_is_an_error() {
    let archive = ended(&[block(b"a", b'0', b"3"), padded(b"abc"), extended(b"9 path=b\n")]);
    assert!(read(&ended(&[block(b"a", b'0', b"3"), padded(b"abc")])).is_ok());
    for end in 0..archive.len() {
        assert_eq!(kind(&archive[..end]), ErrorKind::UnexpectedEof, "cut at {end}");
    }
}

#[test]
fn the_input_is_read_to_its_end() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(ErrorKind::ConnectionReset.into())
        }
    }
    let archive = ended(&[block(b"a", b'0', b"0")]);
    let mut entries = Entries::new(archive.as_slice().chain(Fails));
    entries.next().unwrap();
    assert_eq!(entries.next().unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn an_invalid_archive_is_refused() {
    let with_sum = |change: fn(&mut [u8])| {
        let mut bytes = block(b"a", b'0', b"0");
        change(&mut bytes);
        ended(&[bytes])
    };
    for (name, archive) in [
        ("text", vec![b'x'; 4096]),
        ("a changed byte", with_sum(|bytes| bytes[0] = b'b')),
        ("a size of letters", ended(&[block(b"a", b'0', b"zz")])),
        ("a size beyond all numbers", {
            let mut size = [0xff; 12];
            size[0] = 0x80;
            ended(&[block(b"a", b'0', &size)])
        }),
        ("one block of zeros", [vec![0; BLOCK_BYTES], vec![b'x'; BLOCK_BYTES]].concat()),
        ("a record too long", ended(&[extended(b"99 path=b\n"), block(b"a", b'0', b"0")])),
        ("a record too short", ended(&[extended(b"5 path=b\n"), block(b"a", b'0', b"0")])),
        ("a record of length 0", ended(&[extended(b"0 path=b\n"), block(b"a", b'0', b"0")])),
        ("a record without a value", ended(&[extended(b"7 path\n"), block(b"a", b'0', b"0")])),
        ("an old sparse file", ended(&[block(b"a", b'S', b"0")])),
        ("a new sparse file", ended(&[extended(b"22 GNU.sparse.major=1\n")])),
    ] {
        assert_eq!(kind(&archive), ErrorKind::InvalidData, "{name}");
    }
}

#[test]
fn an_endless_name_uses_no_memory() {
    for kind_of_entry in *b"LKx" {
        let mut size = [0; 12];
        size[..2].copy_from_slice(&[0x80, 0]);
        size[6] = 1;
        // Endless content: only the size limit stops the reader.
        let start = block(b"a", kind_of_entry, &size);
        let mut entries = Entries::new(start.as_slice().chain(io::repeat(b'x')));
        assert_eq!(entries.next().unwrap_err().kind(), ErrorKind::InvalidData);
    }
}

proptest! {
    #[test]
    fn reading_never_panics(
        noise in prop::collection::vec(any::<u8>(), 0..1600),
        start in prop::sample::select(&b"0x125LKg"[..])
    ) {
        let archive = [block(b"a", start, b"1000"), noise.clone()].concat();
        prop_assert!(read(&archive).is_err());
        prop_assert!(read(&noise).is_err());
        let _ = Extensions::default().read(&noise);
    }
}
