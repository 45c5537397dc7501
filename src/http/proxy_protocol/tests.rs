use super::*;

/// Parses a header, and checks that the verdict does not depend on how its bytes are split.
fn parsed(bytes: &[u8]) -> Parsed<Option<ProxyHeader>> {
    let verdict = parse(bytes);
    let first = (0..=bytes.len()).map(|len| parse(&bytes[..len])).find(|found| *found != Ok(None));
    assert_eq!(first.unwrap_or(Ok(None)), verdict, "{}", bytes.escape_ascii());
    verdict
}

fn address_of(bytes: &[u8]) -> String {
    match parsed(bytes) {
        Ok(Some(ProxyHeader { client: Some(client), .. })) => client.address.to_string(),
        Ok(Some(ProxyHeader { client: None, .. })) => "own".into(),
        Ok(None) => "incomplete".into(),
        Err(InvalidProxyHeader) => "invalid".into(),
    }
}

/// Writes a header of version 2.
fn version_2(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let len = u16::try_from(block.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &len, block].concat()
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).unwrap().to_be_bytes();
    [&[kind][..], &len, value].concat()
}

const V4: [u8; 12] = [192, 0, 2, 1, 10, 0, 0, 1, 0x12, 0x67, 0, 80];

#[test]
fn a_line_of_version_1_names_the_client() {
    let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_MAX_BYTES - 16));
    let too_long = format!("PROXY UNKNOWN {}\r\n", "f".repeat(V1_MAX_BYTES - 15));
    for (name, line, expected) in [
        ("IPv4", "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\r\nGET", "192.0.2.1:4711"),
        ("IPv6", "PROXY TCP6 2001:db8::1 ::1 65535 0\r\n", "[2001:db8::1]:65535"),
        ("IPv4-mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n", "192.0.2.1:1"),
        ("unknown", "PROXY UNKNOWN\r\n", "own"),
        ("unknown with more", "PROXY UNKNOWN any thing\r\n", "own"),
        ("the longest", &longest, "own"),
        ("longer", &too_long, "invalid"),
        ("half", "PROXY TCP4 192.0.2.1 10.0.", "incomplete"),
        ("nothing", "", "incomplete"),
        ("HTTP", "GET / HTTP/1.1\r\n", "invalid"),
        ("almost", "PROXX", "invalid"),
        ("another case", "proxy TCP4 192.0.2.1 10.0.0.1 4711 80\r\n", "invalid"),
        ("another transport", "PROXY UDP4 192.0.2.1 10.0.0.1 4711 80\r\n", "invalid"),
        ("bare LF", "PROXY TCP4 192.0.2.1 10.0.0.1 4711 80\n", "invalid"),
        ("the other family", "PROXY TCP4 2001:db8::1 ::1 1 2\r\n", "invalid"),
        ("leading zeros", "PROXY TCP4 192.0.02.1 10.0.0.1 1 2\r\n", "invalid"),
        ("leading zeros of a port", "PROXY TCP4 192.0.2.1 10.0.0.1 01 2\r\n", "invalid"),
        ("a port beyond", "PROXY TCP4 192.0.2.1 10.0.0.1 65536 2\r\n", "invalid"),
        ("a sign", "PROXY TCP4 192.0.2.1 10.0.0.1 +1 2\r\n", "invalid"),
        ("two spaces", "PROXY TCP4 192.0.2.1  10.0.0.1 1 2\r\n", "invalid"),
        ("a part too few", "PROXY TCP4 192.0.2.1 10.0.0.1 1\r\n", "invalid"),
        ("a part too many", "PROXY TCP4 192.0.2.1 10.0.0.1 1 2 3\r\n", "invalid"),
        ("no addresses", "PROXY TCP4\r\n", "invalid"),
    ] {
        assert_eq!(address_of(line.as_bytes()), expected, "{name}");
    }
    let header = parse(b"PROXY UNKNOWN\r\nGET").unwrap().unwrap();
    assert_eq!(header.len, 15);
}

#[test]
fn version_2_names_the_client() {
    let v6 = [[0x20, 1, 0xd, 0xb8].as_slice(), &[0; 11], &[1], &[0; 16], &[0, 7, 0, 80]].concat();
    let spaced = [&V4[..], &field(4, &[0; 10])].concat();
    for (name, header, expected) in [
        ("TCP and IPv4", version_2(0x21, 0x11, &V4), "192.0.2.1:4711"),
        ("TCP and IPv6", version_2(0x21, 0x21, &v6), "[2001:db8::1]:7"),
        ("padding", version_2(0x21, 0x11, &spaced), "192.0.2.1:4711"),
        ("LOCAL", version_2(0x20, 0, &[]), "own"),
        ("LOCAL with addresses", version_2(0x20, 0x11, &V4), "own"),
        ("LOCAL with noise", version_2(0x20, 0x11, b"noise"), "own"),
        ("unspecified", version_2(0x21, 0, &[]), "own"),
        ("a Unix socket", version_2(0x21, 0x31, &[0; 216]), "own"),
        ("UDP", version_2(0x21, 0x12, &V4), "own"),
        ("another command", version_2(0x22, 0x11, &V4), "invalid"),
        ("another version", version_2(0x11, 0x11, &V4), "invalid"),
        ("another family", version_2(0x21, 0x41, &[0; 216]), "invalid"),
        ("another transport", version_2(0x21, 0x13, &V4), "invalid"),
        ("too short for its addresses", version_2(0x21, 0x21, &V4), "invalid"),
        ("half a field", version_2(0x21, 0x11, &spaced[..spaced.len() - 1]), "invalid"),
        ("two bytes of a field", version_2(0x21, 0x11, &spaced[..14]), "invalid"),
        ("the longest", version_2(0x20, 0, &[0; MAX_BYTES - 16]), "own"),
        ("longer", version_2(0x20, 0, &[0; MAX_BYTES - 15]), "invalid"),
        ("half", version_2(0x21, 0x11, &V4)[..27].to_vec(), "incomplete"),
        ("another signature", b"\r\n\r\n\0\r\nQUIX".to_vec(), "invalid"),
    ] {
        assert_eq!(address_of(&header), expected, "{name}");
    }
}

#[test]
fn version_2_describes_the_tls_session_and_identifies_the_connection() {
    let names = [field(0x21, b"TLSv1.3"), field(0x22, "caf\u{e9}".as_bytes()), field(0x23, b"x")];
    let ssl = |flags: u8, verify: u8| {
        field(0x20, &[&[flags, 0, 0, 0, verify][..], &names.concat()].concat())
    };
    let client = |fields: &[u8]| {
        let header = parsed(&version_2(0x21, 0x11, &[&V4[..], fields].concat()));
        header.map(|header| header.unwrap().client.unwrap())
    };
    for (name, flags, verify, expected) in [
        ("a verified certificate", 7, 0, Some(("TLSv1.3", Some("caf\u{e9}")))),
        ("an unverified one", 7, 1, Some(("TLSv1.3", None))),
        ("no TLS", 0, 0, None),
    ] {
        let tls = client(&ssl(flags, verify)).unwrap().tls;
        let found = tls.as_ref().map(|tls| (&*tls.version, tls.common_name.as_deref()));
        assert_eq!(found, expected, "{name}");
    }
    assert_eq!(client(&field(0x20, &[1, 0, 0, 0])), Err(InvalidProxyHeader), "too short");
    let overrun = field(0x20, &[1, 0, 0, 0, 0, 0x21, 0, 9, b'x']);
    assert_eq!(client(&overrun), Err(InvalidProxyHeader), "a field beyond its own");

    let id = client(&field(5, b"\x00id")).unwrap().unique_id;
    assert_eq!(id.as_deref(), Some(&b"\x00id"[..]));
    assert!(client(&field(5, &[b'x'; 128])).is_ok());
    assert_eq!(client(&field(5, &[b'x'; 129])), Err(InvalidProxyHeader), "too long");
}

#[test]
fn a_checksum_is_verified() {
    assert_eq!(tlv::crc32c(b"123456789".iter()), 0xe306_9283, "the check value of CRC-32C");
    let fields = [field(5, b"id"), field(3, &[0; 4]), field(4, b"more")].concat();
    let mut header = version_2(0x21, 0x11, &[&V4[..], &fields].concat());
    assert_eq!(address_of(&header), "invalid", "0 is wrong");
    let at = header.len() - 11;
    let sum = tlv::crc32c(header.iter());
    header[at..at + 4].copy_from_slice(&sum.to_be_bytes());
    assert_eq!(address_of(&header), "192.0.2.1:4711");
    header[17] ^= 1;
    assert_eq!(address_of(&header), "invalid", "a changed address");
    let short = version_2(0x21, 0x11, &[&V4[..], &field(3, &[0; 3])].concat());
    assert_eq!(address_of(&short), "invalid", "three bytes");
}
