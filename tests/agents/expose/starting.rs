//! Starting the command: arguments as usually typed, and a name that is still reserved.

use nix::sys::signal::Signal;

use crate::expose::command::{echo, end, expose, url};
use crate::expose::through_relay::exposed;
use crate::support::{Process, Relay, ask, eventually};

#[test]
fn the_api_is_a_port_or_a_host_with_one() {
    let (api, relay) = (echo(), Relay::start(&[]));
    let port = api.address().port();
    for address in [port.to_string(), format!(":{port}"), format!("localhost:{port}")] {
        let process = exposed(&address, &relay, &[]);
        let response = relay.exchange(&ask("PUT", "/api/billing/a").body("hello"));
        assert_eq!((response.status(), response.text()), (200, "hello"), "{address}");
        end(process);
    }
}

#[test]
fn an_api_without_a_name_is_reached_by_the_id_of_its_connection() {
    let (api, relay) = (echo(), Relay::start(&[]));
    let port = api.address().port().to_string();
    let process = Process::rdv(&["expose", &port, "--relay", &relay.url("")]);
    let below = relay.url("/socket/");
    let id = eventually("the URL is printed", || {
        Some(process.stdout().strip_prefix(&below)?.strip_suffix('\n')?.to_owned())
    });
    let response = relay.exchange(&ask("PUT", &format!("/socket/{id}/a")).body("hello"));
    assert_eq!((response.status(), response.text()), (200, "hello"));
    let stderr = end(process).stderr;
    assert!(stderr.contains(" without a name\n"), "{stderr}");
}

#[test]
fn after_a_crash_the_name_is_awaited() {
    let (api, relay) = (echo(), Relay::start(&["--name-lease", "2s"]));
    let crashed = exposed(&url(&api), &relay, &[]);
    crashed.signal(Signal::SIGKILL);
    crashed.finish();
    let refused = expose(&url(&api), &relay.url(""), &["--name-timeout", "0s"]).finish();
    assert_eq!(refused.status.code(), Some(5), "{}", refused.stderr);
    let next = exposed(&url(&api), &relay, &[]);
    assert_eq!(relay.exchange(&ask("GET", "/api/billing/")).status(), 200);
    let stderr = end(next).stderr;
    assert_eq!(stderr.matches("waiting 120s at most").count(), 1, "{stderr}");
}
