//! Which relay is used: the flag, the environment, or the configuration file, in this order.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use crate::support::{Process, Relay, UNKNOWN, unprivileged_command};
use crate::workdir::{Workdir, assert_complete, assert_ended, stream_of_sender, without_root};

/// Sends with this environment, and receives by identifier only.
fn passes(relay: &Relay, what: &str, prepare: impl Fn(&Workdir, &mut Command)) {
    let (here, there) = (Workdir::at(relay), Workdir::at(relay));
    here.put("a", "abc");
    let start = |workdir: &Workdir, arguments: &[&str]| {
        let mut command = workdir.command(arguments);
        command.env_remove("RDV_RELAY").env_remove("RDV_CLIENT_CONFIG");
        command.env("HOME", "/nonexistent").env_remove("XDG_CONFIG_HOME");
        prepare(workdir, &mut command);
        Process::start(command)
    };
    let sending = start(&here, &["send", "a"]);
    let receiving = start(&there, &["receive", &stream_of_sender(&sending), "-o", "a"]);
    let got = receiving.finish();
    assert_complete(what, &got);
    assert_complete(what, &sending.finish());
    assert_eq!(there.read("a"), b"abc", "{what}");
}

/// A configuration file that names this relay.
fn file_with(relay: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(directory.path().join(".config/rdv")).expect("directories");
    fs::create_dir_all(directory.path().join("rdv")).expect("directories");
    for place in [".config/rdv/client.toml", "rdv/client.toml", "own"] {
        fs::write(directory.path().join(place), format!("relay = \"{relay}\"\n")).expect("a file");
    }
    directory
}

#[test]
fn the_relay_is_taken_from_the_source_with_the_highest_precedence() {
    let relay = Relay::start(&[]);
    let url = relay.url("");
    let (right, wrong) = (file_with(&url), file_with("http://127.0.0.1:1"));
    let own = |directory: &tempfile::TempDir| directory.path().join("own");
    passes(&relay, "the environment", |_, rdv| {
        rdv.env("RDV_RELAY", &url);
    });
    passes(&relay, "without http://, and with a path", |_, rdv| {
        rdv.env("RDV_RELAY", format!("{}/", relay.address()));
    });
    passes(&relay, "a flag", |_, rdv| {
        rdv.env("RDV_RELAY", "http://127.0.0.1:1").args(["--relay", &url]);
    });
    passes(&relay, "the own file", |_, rdv| {
        rdv.env("HOME", right.path());
    });
    passes(&relay, "the file of XDG_CONFIG_HOME", |_, rdv| {
        rdv.env("HOME", wrong.path()).env("XDG_CONFIG_HOME", right.path());
    });
    passes(&relay, "a file by its name", |_, rdv| {
        rdv.env("XDG_CONFIG_HOME", wrong.path()).env("RDV_CLIENT_CONFIG", own(&right));
    });
    passes(&relay, "the environment before the file", |_, rdv| {
        rdv.env("RDV_CLIENT_CONFIG", own(&wrong)).env("RDV_RELAY", &url);
    });
    passes(&relay, "empty variables are none", |_, rdv| {
        rdv.env("RDV_CLIENT_CONFIG", "").env("RDV_RELAY", "").env("HOME", right.path());
    });
}

#[test]
fn a_home_that_cannot_be_entered_is_none_unless_its_file_is_named() {
    let relay = Relay::start(&[]);
    let url = relay.url("");
    let home = tempfile::tempdir().expect("a directory");
    fs::write(home.path().join(".config"), "no directory").expect("a file");
    passes(&relay, "a file in place of the directory", |_, rdv| {
        rdv.env("HOME", home.path()).env("RDV_RELAY", &url);
    });
    symlink("loop", home.path().join("loop")).expect("a link");
    passes(&relay, "a link to itself", |_, rdv| {
        rdv.env("HOME", home.path().join("loop")).env("RDV_RELAY", &url);
    });
    let closed = tempfile::tempdir().expect("a directory");
    fs::set_permissions(closed.path(), fs::Permissions::from_mode(0o700)).expect("permissions");
    let (program, _binary) = unprivileged_command();
    for (what, name, exit, words) in [
        ("nothing named", "", 5, "does not exist"),
        ("a file named", "client.toml", 2, "client.toml: permission denied"),
    ] {
        let mut command = Command::new(program.get_program());
        command.args(program.get_args()).args(["status", UNKNOWN]).env("RDV_RELAY", &url);
        command.env("HOME", closed.path()).env_remove("XDG_CONFIG_HOME");
        let file = closed.path().join(name);
        command
            .env("RDV_CLIENT_CONFIG", if name.is_empty() { "".as_ref() } else { file.as_os_str() });
        without_root(&mut command);
        assert_ended(what, &Process::start(command).finish(), exit, words);
    }
}

#[test]
fn an_invalid_file_is_named() {
    let relay = Relay::start(&[]);
    let here = Workdir::at(&relay);
    here.put("a", "abc");
    here.put("client.toml", "relay = 7\n");
    for (what, file, words) in [
        ("a wrong value", "client.toml", "client.toml: the value of relay must be a string"),
        ("a missing file", "none", "none: no such file (RDV_CLIENT_CONFIG)"),
        ("a directory", ".", "directory"),
    ] {
        for arguments in [
            &["send", "a"][..],
            &["receive", crate::support::UNKNOWN],
            &["status", crate::support::UNKNOWN],
            &["cancel", crate::support::UNKNOWN],
        ] {
            let mut command = here.command(arguments);
            command.env("RDV_CLIENT_CONFIG", file);
            let got = Process::start(command).finish();
            assert_ended(&format!("{what} {arguments:?}"), &got, 2, words);
            assert_eq!(got.stderr.lines().count(), 1, "{}", got.stderr);
        }
    }
    assert_eq!(relay.admin_get("/stream").json(), serde_json::json!([]), "no stream was made");
}
