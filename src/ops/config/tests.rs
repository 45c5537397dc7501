use super::*;
use crate::api::permission::Scope;
use crate::ops::tokens::file_of;
use clap::{Args as _, Command};

fn sources(flags: &[&str], variables: &[(&str, &str)], file: Option<&Path>) -> Sources {
    let command = Settings::augment_args(Command::new("rdv").no_binary_name(true));
    let matches = command.try_get_matches_from(flags).unwrap();
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    let nowhere = PathBuf::from("/nonexistent/rdv.toml");
    let mut sources = Sources::new(&matches, variables, file.map(Path::to_owned));
    if file.is_none() {
        sources.file = (nowhere, false);
    }
    sources
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

fn value(configuration: &Configuration, key: &str) -> (Vec<String>, String) {
    let given = &configuration.given[key];
    (given.values.clone(), given.origin.to_string())
}

#[test]
fn the_source_with_the_highest_precedence_wins() {
    let file = written("ttl = \"1s\"\nretention = \"1s\"\n\nidle-timeout = \"1s\"\n");
    let path = file.path().to_owned();
    let variables = [("RDV_TTL", "2s"), ("RDV_RETENTION", "2s"), ("OTHER", "x")];
    let configuration = sources(&["--ttl", "3s"], &variables, Some(&path)).read().unwrap();
    assert_eq!(value(&configuration, "ttl"), (vec!["3s".into()], "flag".into()));
    assert_eq!(value(&configuration, "retention").1, "environment RDV_RETENTION");
    assert_eq!(value(&configuration, "idle-timeout").1, format!("{}:4", path.display()));
    let Settings { ttl, retention, idle_timeout, header_timeout, .. } = configuration.settings;
    assert_eq!([ttl, retention, idle_timeout, header_timeout].map(|t| t.as_secs()), [3, 2, 1, 10]);
    assert_eq!(configuration.file, Some(path));
}

#[test]
fn lists_and_switches_can_be_set_in_every_source() {
    let file =
        written("trusted = [\"10.0.0.0/8\", \"fd00::/8\"]\nno-splice = true\nmax-streams = 7\n");
    let of_file = sources(&[], &[], Some(file.path())).read().unwrap().settings;
    assert_eq!(of_file.trusted.len(), 2);
    assert!(of_file.no_splice);
    assert_eq!(of_file.max_streams, 7);
    let variables = [("RDV_TRUSTED", "10.0.0.0/8, fd00::/8"), ("RDV_NO_SPLICE", "true")];
    let of_environment = sources(&[], &variables, None).read().unwrap().settings;
    assert_eq!(of_environment.trusted, of_file.trusted);
    assert!(of_environment.no_splice);
    let flags = ["--trusted", "10.0.0.0/8", "--trusted", "fd00::/8", "--no-splice"];
    let of_flags = sources(&flags, &[], None).read().unwrap().settings;
    assert_eq!(of_flags.trusted, of_file.trusted);
    assert!(of_flags.no_splice);
    let undone = sources(&["--no-splice=false"], &[], Some(file.path())).read().unwrap().settings;
    assert!(!undone.no_splice, "a flag can take back what a file says");
}

#[test]
fn an_error_names_its_place_and_a_correction() {
    for (name, text, wanted) in [
        (
            "a wrong value",
            "ttl = \"60s\"\nretention = 60",
            ":2: retention = 60: expected a number with a unit, such as 250ms",
        ),
        ("a misspelt key", "\nttll = \"60s\"", ":2: ttll: unknown setting; did you mean ttl?"),
        (
            "a key with underscores",
            "max_streams = 1",
            ":1: max_streams: unknown setting; did you mean max-streams?",
        ),
        (
            "a key nobody knows",
            "colour = \"red\"",
            ":1: colour: unknown setting; 'rdv print-config' lists all settings",
        ),
        ("a list", "ttl = [\"60s\"]", ":1: ttl: expected one value, not a list"),
        ("a table", "[access]\nlog = true", ":1: access: unknown setting"),
        (
            "a known key as a table",
            "[ttl]\nx = 1",
            ":1: ttl: expected a value; tables are not supported",
        ),
        ("a float", "ttl = 1.5", ":1: ttl: expected a quoted string"),
        (
            "an address",
            "listen = \"localhost\"",
            ":1: listen = localhost: expected an address and a port, such as 127.0.0.1:8080",
        ),
        (
            "one of several",
            "trusted = [\"10.0.0.0/8\", \"x\"]",
            ":1: trusted = 10.0.0.0/8, x: expected a network",
        ),
        ("no TOML", "ttl = \n", ":1: "),
        ("given twice", "ttl = \"1s\"\nttl = \"2s\"", ":2: duplicate key"),
    ] {
        let file = written(text);
        let error = sources(&[], &[], Some(file.path())).read().unwrap_err();
        let wanted = format!("{}{wanted}", file.path().display());
        assert!(error.starts_with(&wanted), "{name}: {error}");
        assert_eq!(error.lines().count(), 1, "{name}: {error}");
    }
    for (name, value, wanted) in [
        ("RDV_TTL", "60", "RDV_TTL=60: expected a number with a unit"),
        ("RDV_TTLL", "60s", "RDV_TTLL: did you mean RDV_TTL?"),
        ("RDV_ttl", "60s", "RDV_ttl: did you mean RDV_TTL?"),
    ] {
        let error = sources(&[], &[(name, value)], None).read().unwrap_err();
        assert!(error.starts_with(wanted), "{error}");
    }
    assert!(sources(&[], &[("RDV_SERVICE_PORT", "x")], None).read().is_ok(), "another's variable");
    let missing = sources(&[], &[], Some(Path::new("/nonexistent/x.toml"))).read().unwrap_err();
    assert!(missing.starts_with("/nonexistent/x.toml: no such file"), "{missing}");
}

#[test]
fn variables_of_other_commands_are_ignored() {
    let keys = table::keys();
    for name in NO_SETTINGS {
        assert!(!table::is_ours(name.as_ref()), "{name}");
        assert!(keys.iter().all(|key| key.variable() != name), "{name} is a setting");
        // Paths can be invalid UTF-8.
        let value = std::os::unix::ffi::OsStringExt::from_vec(b"/\xff".to_vec());
        let command = Settings::augment_args(Command::new("rdv").no_binary_name(true));
        let matches = command.try_get_matches_from([""; 0]).unwrap();
        let mut sources = Sources::new(&matches, std::iter::once((name.into(), value)), None);
        sources.file.0 = "/nonexistent/rdv.toml".into();
        let read = sources.read().map(|configuration| configuration.given);
        assert_eq!(read, Ok(Layer::new()), "{name}");
    }
}

#[test]
fn a_reload_keeps_settings_that_need_a_restart() {
    let file = written("ttl = \"1s\"\nmax-pipes = 5\n");
    let mut running = sources(&[], &[], Some(file.path())).read().unwrap();
    std::fs::write(file.path(), "\nttl = \"2s\"\nmax-pipes = 6\nretention = \"60s\"\n").unwrap();
    let newer = sources(&[], &[], Some(file.path())).read().unwrap();
    let changes = running.reload(newer).unwrap();
    assert_eq!(changes, Changes { applied: vec!["ttl".into()], kept: vec!["max-pipes".into()] });
    assert_eq!(running.settings.ttl.as_secs(), 2);
    assert_eq!(running.settings.max_pipes, 5);
}

#[test]
fn a_reload_applies_tokens_as_read_at_that_time() {
    let tokens = file_of(&[("old-0123456789", "create")]);
    let path = tokens.path().to_str().unwrap();
    let allows = |configuration: &Configuration, token: &str| {
        let table = configuration.settings.tokens.tokens.as_ref();
        table.is_none_or(|table| table.find(token.as_bytes()).is_some())
    };
    let flags = ["--tokens", path];
    let sources_with_tokens = sources(&flags, &[], None);
    let mut running = sources_with_tokens.read().unwrap();
    assert!(allows(&running, "old-0123456789") && !allows(&running, "new"));
    let page = print(&running);
    assert!(page.contains(path) && !page.contains("old-0123456789"), "{page}");

    std::fs::copy(file_of(&[("new", "agent")]).path(), tokens.path()).unwrap();
    let newer = sources_with_tokens.read().unwrap();
    std::fs::write(tokens.path(), "hush\n").unwrap();
    let changes = running.reload(newer.clone()).unwrap();
    assert_eq!(changes, Changes { applied: vec!["tokens".into()], kept: vec![] });
    assert!(!allows(&running, "old-0123456789") && allows(&running, "new"));
    assert_eq!(running.reload(newer).unwrap(), Changes { applied: vec![], kept: vec![] });

    let error = sources_with_tokens.read().unwrap_err();
    assert!(error.contains(&format!("{path}:1: expected NAME SCOPES SHA256")), "{error}");
    assert!(!error.contains("hush"), "{error}");
    let none = sources(&[], &[], None).read().unwrap();
    assert_eq!(running.reload(none).unwrap().applied, ["tokens"], "named once");
    assert!(allows(&running, "hush"), "without a file none is needed");
}

#[test]
fn scopes_need_a_file_of_tokens() {
    let tokens = file_of(&[]);
    let path = tokens.path().to_str().unwrap();
    let error = sources(&["--require=create"], &[], None).read().unwrap_err();
    assert!(error.starts_with("require: "), "{error}");
    let file = written(&format!("require = [\"send\", \"list\"]\ntokens = \"{path}\"\n"));
    let mut running = sources(&[], &[], Some(file.path())).read().unwrap();
    assert_eq!(running.settings.tokens.require, [Scope::Send, Scope::List]);
    let newer = sources(&["--require=call"], &[("RDV_TOKENS", path)], None).read().unwrap();
    let changes = running.reload(newer).unwrap();
    assert_eq!(changes.applied, ["require"]);
    assert_eq!(running.settings.tokens.required(), [Scope::Call]);
}

#[test]
fn a_setting_of_an_earlier_version_has_a_hint() {
    let file = written("socket-tokens = \"/x\"\n");
    for sources in
        [sources(&[], &[], Some(file.path())), sources(&[], &[("RDV_SOCKET_TOKENS", "/x")], None)]
    {
        let error = sources.read().unwrap_err();
        assert!(error.contains("was replaced by tokens"), "{error}");
    }
}

#[test]
fn keys_that_need_a_restart_exist() {
    for name in NEEDS_RESTART {
        assert!(table::key(name).is_ok(), "{name}");
    }
}

#[test]
fn a_printed_configuration_is_equivalent_when_read() {
    let flags = ["--ttl", "90s", "--trusted", "10.0.0.0/8", "--max-streams", "12"];
    let first = sources(&flags, &[], None).read().unwrap();
    let file = written(&print(&first));
    let second = sources(&[], &[], Some(file.path())).read().unwrap();
    let strip = |page: String| {
        page.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(strip(print(&first)), strip(print(&second)));
    assert!(print(&first).contains("ttl = \"90s\"  # flag\n"));
    assert!(print(&first).contains("idle-timeout = \"6h\"  # default\n"));
}

#[test]
fn the_sample_contains_the_defaults() {
    let commented = sample();
    let lines = commented.lines().map(|line| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase()) => rest,
        _ => line,
    });
    let lines = lines.filter(|line| !line.ends_with("= \"\""));
    let file = written(&lines.collect::<Vec<_>>().join("\n"));
    let mut all = sources(&[], &[], Some(file.path())).read().unwrap();
    let none = sources(&[], &[], None).read().unwrap();
    assert!(
        all.given.len() + 15 > table::keys().len(),
        "all but those without a default are there"
    );
    assert_eq!(all.reload(none).unwrap(), Changes { applied: vec![], kept: vec![] });
}

#[test]
fn the_pages_in_the_tree_match_the_generated_ones() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (path, page) in [("docs/settings.md", reference()), ("deploy/rdv.toml", sample())] {
        let written = std::fs::read_to_string(root.join(path)).unwrap_or_default();
        assert!(
            written == page,
            "{path} is not what the table of settings makes; make it again: rdv print-config --reference > docs/settings.md; rdv print-config --sample > deploy/rdv.toml"
        );
    }
}
