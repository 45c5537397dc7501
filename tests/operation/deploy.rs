//! Consistency of the files in `deploy/` and the package with the program: what they name exists,
//! and their numbers suffice.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

use crate::support::{Process, Relay, parse, skip, unprivileged_command};
use nix::sys::signal::Signal;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn deployed(name: &str) -> String {
    let path = root().join("deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines that are not comments.
fn lines(name: &str) -> Vec<String> {
    let text = deployed(name);
    let line = |line: &str| line.trim().to_owned();
    text.lines().map(line).filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

/// All values of a key in a file of `KEY=VALUE` lines.
fn values(name: &str, key: &str) -> Vec<String> {
    let value = |line: &String| {
        let (found, value) = line.split_once('=')?;
        (found.trim() == key).then(|| value.trim().to_owned())
    };
    lines(name).iter().filter_map(value).collect()
}

/// The single value of a key.
fn value(name: &str, key: &str) -> String {
    let values = values(name, key);
    assert_eq!(values.len(), 1, "{key} in {name}: {values:?}");
    values.into_iter().next().unwrap_or_default()
}

fn number(name: &str, key: &str) -> u64 {
    value(name, key).parse().unwrap_or_else(|_| panic!("{key} in {name} is not a number"))
}

fn output(arguments: &[&str]) -> String {
    let finished = Process::rdv(arguments).finish();
    assert_eq!(finished.status.code(), Some(0), "{arguments:?}: {}", finished.stderr);
    finished.stdout
}

/// The default of a setting in the sample file.
fn default(setting: &str) -> String {
    let sample = output(&["print-config", "--sample"]);
    let prefix = format!("#{setting} = ");
    let line = sample.lines().find_map(|line| line.strip_prefix(&prefix));
    line.unwrap_or_else(|| panic!("{setting} in the sample")).trim_matches(['"', '[', ']']).into()
}

fn seconds(text: &str) -> u64 {
    text.trim_end_matches('s')
        .parse()
        .unwrap_or_else(|_| panic!("{text:?} is not a time in seconds"))
}

/// `[package.metadata.deb]` in Cargo.toml.
fn cargo_deb() -> Value {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let answer = cargo.current_dir(root()).output().expect("cargo");
    parse(&answer.stdout)["packages"][0]["metadata"]["deb"].clone()
}

/// Source and destination of each file of the package.
fn assets() -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let asset = |asset: &Value| (text(&asset[0]), text(&asset[1]));
    cargo_deb()["assets"].as_array().expect("assets").iter().map(asset).collect()
}

fn installed_path(source: &str) -> String {
    let target = assets().into_iter().find(|(from, _)| from == source);
    let (_, target) = target.unwrap_or_else(|| panic!("{source} is packed"));
    let name = if target.ends_with('/') { source.rsplit('/').next() } else { None };
    format!("/{target}{}", name.unwrap_or_default())
}

#[test]
fn every_packaged_file_exists_or_is_generated() {
    for (source, _) in assets() {
        let folder = source.rsplit_once("/*").map(|(folder, _)| PathBuf::from(folder));
        let made = source.starts_with("target/");
        let there = root().join(folder.unwrap_or_else(|| source.clone().into())).exists();
        assert!(made || there, "{source}");
    }
    let script = deployed("package");
    for name in ["rdv.bash", "_rdv", "rdv.fish", "man", "changelog", "rdv.cdx.json"] {
        assert!(script.contains(&format!("$made/{name}")), "deploy/package makes {name}");
    }
}

#[test]
fn the_installed_readme_links_to_installed_files() {
    let readme = fs::read_to_string(root().join("README.md")).expect("README.md");
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
    let assets = assets();
    for link in links.filter(|link| !link.is_empty() && !link.contains("://")) {
        let (folder, name) = link.rsplit_once('/').unwrap_or(("", link));
        let kind = name.rsplit('.').next().expect("a kind");
        let (all, target) = (format!("{folder}/*.{kind}"), format!("usr/share/doc/rdv/{folder}"));
        let is_there = assets.iter().any(|(source, there)| {
            (source == link || *source == all)
                && there.trim_end_matches('/') == target.trim_end_matches('/')
        });
        assert!(is_there, "{link}");
    }
}

#[test]
fn conffiles_are_packaged() {
    let table = cargo_deb();
    for file in table["conf-files"].as_array().expect("conf-files") {
        let file = file.as_str().expect("a path");
        assert!(assets().iter().any(|(_, target)| format!("/{target}") == file), "{file}");
    }
    assert_eq!(installed_path("deploy/rdv.toml"), "/etc/rdv/rdv.toml", "what the relay reads");
}

#[test]
fn the_service_starts_the_packaged_program() {
    let start = value("rdv.service", "ExecStart");
    let words: Vec<&str> = start.split_whitespace().collect();
    assert_eq!(words[0], installed_path("target/release/rdv"));
    output(&[&words[1..], &["--help"]].concat());
    assert_eq!(value("rdv.service", "Type"), "notify");
}

#[test]
fn flags_in_deploy_files_exist() {
    let help = ["serve", "doctor"].map(|command| output(&[command, "--help"])).concat();
    for name in ["rdv.service", "rdv.socket", "rdv.sysctl.conf", "rdv.logrotate"] {
        let text = deployed(name);
        let words = text.split(|c: char| !(c.is_alphanumeric() || c == '-'));
        // Flags of systemctl.
        let ours = |word: &&str| word.starts_with("--") && !["--now", "--signal"].contains(word);
        for flag in words.filter(ours) {
            assert!(help.contains(flag), "{flag} in {name}");
        }
    }
}

#[test]
fn directories_of_the_service_match_the_packaged_files() {
    let configuration = installed_path("deploy/rdv.toml");
    let folder = value("rdv.service", "ConfigurationDirectory");
    assert!(configuration.starts_with(&format!("/etc/{folder}/")), "{configuration}");
    let logs = format!("/var/log/{}/", value("rdv.service", "LogsDirectory"));
    assert!(lines("rdv.logrotate")[0].starts_with(&logs), "{logs}");
    assert!(deployed("debian/postrm").contains(logs.trim_end_matches('/')), "{logs}");
    let user = value("rdv.service", "User");
    assert!(deployed("debian/postinst").contains(&format!("getent passwd {user}")), "{user}");
}

#[test]
fn draining_ends_before_the_stop_timeout_of_systemd() {
    let stop = seconds(&value("rdv.service", "TimeoutStopSec"));
    let drain = seconds(&default("drain-timeout"));
    let linger = seconds(&default("linger-timeout"));
    assert!(stop > drain + linger, "{stop} > {drain} + {linger}");
}

#[test]
fn limits_are_sufficient_for_the_defaults() {
    // As root its pipes would be larger: it is exempt from the limit.
    let (mut command, _directory) = unprivileged_command();
    command.args(["doctor", "--listen", "127.0.0.1:0", "--json"]);
    let report = parse(Process::start(command).finish().stdout.as_bytes());
    let found = |name: &str| {
        let checks = report["checks"].as_array().expect("checks");
        let check = checks.iter().find(|check| check["name"] == name);
        check.and_then(|check| check["found"].as_str()).expect(name).to_owned()
    };
    let before = |text: &str, word: &str| -> u64 {
        let before = text.split(word).next().expect("a text").trim_end();
        before.rsplit([' ', ';']).next().and_then(|number| number.parse().ok()).expect(text)
    };
    let pages = before(&found("pipe-pages"), "needed");
    assert!(number("rdv.sysctl.conf", "fs.pipe-user-pages-soft") >= 2 * pages, "{pages}");
    let backlog = number("rdv.socket", "Backlog");
    assert!(number("rdv.sysctl.conf", "net.core.somaxconn") >= backlog, "{backlog}");
    let connections: u64 = default("max-connections").parse().expect("a number");
    let pipes: u64 = default("max-pipes").parse().expect("a number");
    let lingering: u64 = default("max-lingering").parse().expect("a number");
    let needed = connections + 2 * pipes + lingering;
    assert!(number("rdv.service", "LimitNOFILE") > needed + 64, "{needed}");
}

#[test]
fn sysctls_exist() {
    for line in lines("rdv.sysctl.conf") {
        let (key, _) = line.split_once('=').expect("KEY = VALUE");
        let path = format!("/proc/sys/{}", key.trim().replace('.', "/"));
        assert!(Path::new(&path).exists(), "{path}");
    }
}

#[test]
fn the_module_of_kernel_tls_is_loaded_at_boot() {
    assert_eq!(lines("rdv.modules.conf"), ["tls"]);
    assert_eq!(installed_path("deploy/rdv.modules.conf"), "/usr/lib/modules-load.d/rdv.conf");
    assert!(!deployed("rdv.service").contains("modprobe"), "the service starts without it");
}

#[test]
fn the_socket_has_the_default_address() {
    assert_eq!(values("rdv.socket", "ListenStream"), [default("listen")]);
}

/// Whether a relay handles a signal, and does not die of it: signals read as events are blocked.
fn assert_handled(name: &str) {
    let signal = Signal::from_str(name).unwrap_or_else(|_| panic!("{name} is not a signal"));
    let relay = Relay::start(&[]);
    let path = format!("/proc/{}/status", relay.process().id());
    let status = fs::read_to_string(path).expect("the relay's status");
    let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).expect("SigBlk");
    let mask = u64::from_str_radix(mask.trim(), 16).expect("a mask");
    assert_ne!(mask & 1 << (signal as u32 - 1), 0, "{name} is taken: {mask:x}");
}

#[test]
fn the_service_sends_signals_that_the_relay_handles() {
    assert_handled(&value("rdv.service", "KillSignal"));
    let reload = value("rdv.service", "ExecReload");
    let signal = reload.split(" -").nth(1).and_then(|rest| rest.split(' ').next());
    assert_handled(&format!("SIG{}", signal.expect("kill -SIGNAL")));
}

/// Runs the script with a service manager whose service is this process, and with its user present.
fn upgrade(main_process: u32) {
    let directory = tempfile::tempdir().expect("a directory");
    let place = |name: &str, text: &str| {
        let path = directory.path().join(name);
        let written = path.with_extension("text");
        fs::write(&written, text).expect(name);
        // Another process copies it: a child started by another test at the same time would inherit
        // the open file, and a file open for writing cannot be executed.
        let copied = Command::new("install").args(["-m", "755"]).args([&written, &path]).status();
        assert!(copied.expect("install").success(), "{name}");
    };
    place("getent", "#!/bin/sh\n");
    place("systemctl", &format!("#!/bin/sh\n[ $1 != show ] || echo {main_process}\n"));
    let booted = directory.path().to_str().expect("a path");
    let script = deployed("debian/postinst").replace("/run/systemd/system", booted);
    let path = format!("{booted}:{}", std::env::var("PATH").expect("PATH"));
    let arguments = ["-c", &script, "postinst", "configure", "0.0.1"];
    let done = Command::new("sh").args(arguments).env("PATH", path).status().expect("sh");
    assert!(done.success());
}

#[test]
fn a_package_upgrade_hands_over() {
    let mut service = Command::new("sleep").arg("600").spawn().expect("sleep");
    upgrade(service.id());
    let status = service.wait().expect("wait");
    assert_eq!(status.signal(), Some(Signal::SIGUSR2 as i32));
    assert_handled("SIGUSR2");
    // A service that is not running.
    upgrade(0);
}

#[test]
fn logrotate_sends_a_signal_that_the_relay_handles() {
    let text = deployed("rdv.logrotate");
    let signal = text.split("--signal=").nth(1).and_then(|rest| rest.split(' ').next());
    assert_handled(signal.expect("--signal=SIGNAL"));
}

#[test]
fn the_system_call_filter_permits_what_the_relay_needs() {
    let filters = values("rdv.service", "SystemCallFilter");
    assert_eq!(filters[0], "@system-service", "it has epoll, sockets and splice");
    assert!(filters.contains(&"prlimit64".to_owned()), "{filters:?}");
    let families = value("rdv.service", "RestrictAddressFamilies");
    for family in ["AF_INET", "AF_INET6", "AF_UNIX"] {
        assert!(families.split(' ').any(|listed| listed == family), "{family}");
    }
}

#[test]
fn maintainer_scripts_are_valid_shell() {
    for name in ["debian/postinst", "debian/prerm", "debian/postrm"] {
        let path = root().join("deploy").join(name);
        let checked = Command::new("sh").arg("-n").arg(&path).status().expect("sh");
        assert!(checked.success(), "{name}");
    }
    let checked = Command::new("bash").arg("-n").arg(root().join("deploy/package")).status();
    assert!(checked.expect("bash").success());
}

#[test]
fn the_settings_file_is_valid() {
    let path = root().join("deploy/rdv.toml");
    output(&["check-config", "--config", path.to_str().expect("a path")]);
}

/// Checks the units with systemd, if it is installed.
#[test]
fn systemd_accepts_the_units() {
    let directory = tempfile::tempdir().expect("a directory");
    // It checks that the program exists.
    let service = deployed("rdv.service").replace("/usr/bin/rdv", env!("CARGO_BIN_EXE_rdv"));
    let units = [("rdv.service", service), ("rdv.socket", deployed("rdv.socket"))];
    let paths = units.map(|(name, text)| {
        let path = directory.path().join(name);
        fs::write(&path, text).expect("a unit");
        path
    });
    let mut command = Command::new("systemd-analyze");
    let Ok(verified) = command.args(["verify", "--man=no"]).args(paths).output() else {
        return skip("systemd", "systemd-analyze is not installed");
    };
    let printed = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && printed.trim().is_empty(), "{printed}");
}
