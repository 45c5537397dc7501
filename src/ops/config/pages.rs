//! The table of settings as text: effective values, the reference page, a commented sample file.

use super::table::{SettingKey, keys};
use super::{Configuration, NEEDS_RESTART};
use std::fmt::Write as _;

/// Formats the effective settings and their origins as a file that would produce them.
pub fn print(configuration: &Configuration) -> String {
    let mut page = String::new();
    for key in keys() {
        let given = configuration.given.get(key.name());
        let values = given.map_or_else(|| key.defaults(), |given| given.values.clone());
        let origin = given.map_or_else(|| "default".to_owned(), |given| given.origin.to_string());
        match (values.is_empty(), key.repeats()) {
            (true, false) => _ = writeln!(page, "# {} is not set", key.name()),
            _ => _ = writeln!(page, "{} = {}  # {origin}", key.name(), toml_value(&key, &values)),
        }
    }
    page
}

/// Returns the reference page, in Markdown.
pub fn reference() -> String {
    let mut page = String::from(REFERENCE_HEAD);
    let mut group = String::new();
    for key in keys() {
        if key.group() != group {
            key.group().clone_into(&mut group);
            let _ = write!(
                page,
                "\n## {group}\n\n| setting | value | default | |\n|---|---|---|---|\n"
            );
        }
        let defaults = key.defaults();
        let defaults: Vec<_> =
            defaults.iter().map(|text| format!("`{}`", text.escape_default())).collect();
        let mut help = key.help().replace('|', "\\|");
        if NEEDS_RESTART.contains(&key.name()) {
            help.push_str("; needs a restart");
        }
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {help} |",
            key.name(),
            key.placeholder().replace('|', "\\|"),
            defaults.join(", ")
        );
    }
    page
}

/// Returns a file with every setting at its default, commented out.
pub fn sample() -> String {
    let mut page = String::from(SAMPLE_HEAD);
    let mut group = String::new();
    for key in keys() {
        if key.group() != group {
            key.group().clone_into(&mut group);
            let _ = write!(page, "\n## {group}\n");
        }
        let _ = write!(page, "\n# {} ({})\n", key.help(), key.placeholder());
        let defaults = key.defaults();
        let value = if defaults.is_empty() && !key.repeats() {
            "\"\"".to_owned()
        } else {
            toml_value(&key, &defaults)
        };
        let _ = writeln!(page, "#{} = {value}", key.name());
    }
    page
}

fn toml_value(key: &SettingKey, values: &[String]) -> String {
    let one = |text: &String| {
        if key.is_switch() || text.parse::<u64>().is_ok() {
            text.clone()
        } else {
            // A JSON string is also a TOML string.
            serde_json::Value::from(text.as_str()).to_string()
        }
    };
    let values: Vec<String> = values.iter().map(one).collect();
    if key.repeats() { format!("[{}]", values.join(", ")) } else { values.concat() }
}

const REFERENCE_HEAD: &str = "\
# Settings

<!-- Made from the program's own table: `rdv print-config --reference`. A test compares the two. -->

Each setting can be given in three ways; the first one given wins:

1. as a flag, `--idle-timeout 1h`;
2. in the environment, `RDV_IDLE_TIMEOUT=1h`; several values are separated by commas;
3. in a TOML file, `idle-timeout = \"1h\"`; several values are a list, `listen = [\"127.0.0.1:80\", \"[::1]:80\"]`.

`RDV_RELAY`, `RDV_TOKEN`, `RDV_CLIENT_CONFIG` and `RDV_CACERT` are for clients; a relay ignores them.

The file is the one named by `--config` or `RDV_CONFIG`, else `/etc/rdv/rdv.toml` if it exists. [deploy/rdv.toml](../deploy/rdv.toml) is
a commented example with every setting. `rdv check-config` reports errors; `rdv print-config` shows effective values and
their sources. `SIGHUP` reloads: settings that need a restart keep their values, with a warning; an invalid file changes
nothing.

Times are written `250ms`, `60s`, `10m`, `6h`; sizes in bytes, or `64KiB`, `1MiB`; switches `true` or `false` (as a flag,
the name alone is `true`).
";

const SAMPLE_HEAD: &str = "\
# Settings of rdv: /etc/rdv/rdv.toml. Each #name line is a default;
# remove the # to change it. `rdv check-config` reports errors, `systemctl reload rdv` (SIGHUP) applies
# changes. Addresses, pipes and sockets need a restart.
# Times: 250ms, 60s, 10m, 6h. Sizes: bytes, or 64KiB, 1MiB. Flags and RDV_* variables take precedence.
";
