//! The fields after the addresses of a header of version 2 (section 2.2, from 2.2.1 on).

use super::{ClientTls, InvalidProxyHeader, Parsed};

/// Types of fields, and of those in the field of TLS.
const CRC32C: u8 = 0x03;
const UNIQUE_ID: u8 = 0x05;
const SSL: u8 = 0x20;
const SSL_VERSION: u8 = 0x21;
const SSL_CN: u8 = 0x22;

/// Maximum length of a unique id (section 2.2.5).
const UNIQUE_ID_MAX_BYTES: usize = 128;

/// Flag of a client that uses TLS (section 2.2.6).
const CLIENT_SSL: u8 = 0x01;

/// The fields that the relay uses.
#[derive(Debug, Default)]
pub(super) struct Tlvs<'b> {
    /// The client's TLS session.
    pub tls: Option<ClientTls>,
    /// The proxy's identifier of the connection.
    pub unique_id: Option<&'b [u8]>,
    /// The checksum, and how many bytes of the fields follow it.
    sum: Option<(u32, usize)>,
}

impl<'b> Tlvs<'b> {
    /// Parses all fields; unknown ones are skipped.
    pub fn parse(mut rest: &'b [u8]) -> Parsed<Self> {
        let mut found = Self::default();
        while let Some((kind, value)) = next(&mut rest)? {
            match kind {
                CRC32C => {
                    let sum = value.try_into().map_err(|_| InvalidProxyHeader)?;
                    found.sum = Some((u32::from_be_bytes(sum), rest.len()));
                }
                UNIQUE_ID if value.len() > UNIQUE_ID_MAX_BYTES => return Err(InvalidProxyHeader),
                UNIQUE_ID => found.unique_id = Some(value),
                SSL => found.tls = tls(value)?,
                _ => {}
            }
        }
        Ok(found)
    }

    /// Checks the checksum of the complete header, if it has one (section 2.2.3).
    pub fn check_sum(&self, header: &[u8]) -> Parsed<()> {
        let Some((sum, after)) = self.sum else { return Ok(()) };
        let end = header.len() - after;
        let parts = [&header[..end - 4], &[0; 4], &header[end..]];
        if crc32c(parts.into_iter().flatten()) == sum { Ok(()) } else { Err(InvalidProxyHeader) }
    }
}

/// Takes the next field: its type and its value.
fn next<'b>(rest: &mut &'b [u8]) -> Parsed<Option<(u8, &'b [u8])>> {
    let [kind, high, low, after @ ..] = *rest else {
        return if rest.is_empty() { Ok(None) } else { Err(InvalidProxyHeader) };
    };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let (value, after) = after.split_at_checked(len).ok_or(InvalidProxyHeader)?;
    *rest = after;
    Ok(Some((*kind, value)))
}

/// Parses the field of TLS: flags, the result of verifying the certificate, then fields of its own.
fn tls(value: &[u8]) -> Parsed<Option<ClientTls>> {
    let (fixed, mut rest) = value.split_at_checked(5).ok_or(InvalidProxyHeader)?;
    let is_verified = fixed[1..] == [0; 4];
    let mut tls = ClientTls { version: "".into(), common_name: None };
    while let Some((kind, value)) = next(&mut rest)? {
        let text = || String::from_utf8_lossy(value).into_owned().into_boxed_str();
        match kind {
            SSL_VERSION => tls.version = text(),
            SSL_CN if is_verified => tls.common_name = Some(text()),
            _ => {}
        }
    }
    Ok((fixed[0] & CLIENT_SSL != 0).then_some(tls))
}

/// Returns the CRC-32C (RFC 4960, appendix B: Castagnoli) of at most some hundred bytes.
pub(super) fn crc32c<'b>(bytes: impl Iterator<Item = &'b u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
    !bytes.fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}
