//! Responses that a proxy before the relay generates itself: those of the relay have a name.

/// The statuses of such responses, and the settings that they depend on.
const SETTINGS: [(u16, &str); 6] = [
    (408, "HAProxy: timeout http-request, timeout client; nginx: client_body_timeout"),
    (413, "nginx: client_max_body_size 0"),
    (426, UPGRADE),
    (502, "it cannot reach the relay, or does not stream: nginx: proxy_request_buffering off"),
    (503, "it has no relay that passes its check: HAProxy: server"),
    (
        504,
        "nginx: proxy_read_timeout, proxy_send_timeout; HAProxy: timeout server; or at the relay: \
         heartbeat",
    ),
];

/// The settings of a proxy that passes upgrades.
const UPGRADE: &str = "nginx: proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade, \
                       proxy_set_header Connection upgrade";

/// Returns what to do about a response without the mark of the relay.
pub fn advice(status: u16) -> Option<String> {
    let (_, settings) = SETTINGS.iter().find(|(known, _)| *known == status)?;
    Some(format!("the answer is not the relay's but of a proxy before it ({settings})"))
}

/// Returns what to do about such a response to an upgrade: proxies drop it by default.
#[cfg(feature = "socket")]
pub fn advice_on_upgrade(status: u16) -> Option<String> {
    advice(if status == 400 { 426 } else { status })
}
