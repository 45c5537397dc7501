//! Request heads to parse, of three sizes.

use rdv::http::head::HeadLimits;

/// The relay's default limits.
pub(crate) const LIMITS: HeadLimits = HeadLimits { bytes: 16 << 10, target_bytes: 8 << 10 };

/// What `curl -T` sends.
pub(crate) fn curl() -> Vec<u8> {
    b"PUT /stream/0f8fad5b-d9cb-469f-a165-70867728950e HTTP/1.1\r\nHost: localhost:8080\r\n\
      User-Agent: curl/8.14.1\r\nAccept: */*\r\nContent-Length: 5\r\n\r\n"
        .to_vec()
}

/// What a browser sends.
pub(crate) fn browser() -> Vec<u8> {
    b"GET /stream/0f8fad5b-d9cb-469f-a165-70867728950e HTTP/1.1\r\nHost: relay.example\r\n\
      Connection: keep-alive\r\nCache-Control: max-age=0\r\n\
      sec-ch-ua: \"Chromium\";v=\"140\", \"Not=A?Brand\";v=\"24\", \"Google Chrome\";v=\"140\"\r\n\
      sec-ch-ua-mobile: ?0\r\nsec-ch-ua-platform: \"Linux\"\r\nUpgrade-Insecure-Requests: 1\r\n\
      User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
      Chrome/140.0.0.0 Safari/537.36\r\n\
      Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n\
      Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-User: ?1\r\n\
      Sec-Fetch-Dest: document\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\
      Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nReferer: https://relay.example/upload\r\n\r\n"
        .to_vec()
}

/// A head of the maximum size, with the maximum number of fields.
pub(crate) fn longest() -> Vec<u8> {
    let mut head = b"PUT /stream/x HTTP/1.1\r\nHost: h\r\n".to_vec();
    let width = (LIMITS.bytes - head.len() - 2) / 99;
    for number in 0..99 {
        let name = format!("X-Field-{number:02}: ");
        head.extend_from_slice(name.as_bytes());
        head.extend(std::iter::repeat_n(b'v', width - name.len() - 2));
        head.extend_from_slice(b"\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head
}
