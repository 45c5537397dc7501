//! Fields with which one response affects its entire origin, which is shared by the streams of other
//! people, the APIs of agents and the relay's own pages.

/// Storage, transport and service workers of the origin, where its errors are reported, and what a
/// browser keeps sending to it. `Set-Cookie` is separate: its effect can be confined to a path.
const ORIGIN_WIDE: [&str; 14] = [
    "Accept-CH",
    "Alt-Svc",
    "Clear-Site-Data",
    "Expect-CT",
    "NEL",
    "Public-Key-Pins",
    "Public-Key-Pins-Report-Only",
    "Report-To",
    "Reporting-Endpoints",
    "Service-Worker-Allowed",
    "Set-Cookie2",
    "Set-Login",
    "Strict-Transport-Security",
    "Use-As-Dictionary",
];

/// Whether a field of this name affects the entire origin, whatever its value.
pub fn is_origin_wide(name: &str) -> bool {
    ORIGIN_WIDE.iter().any(|wide| wide.eq_ignore_ascii_case(name))
}
