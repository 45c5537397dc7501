//! Makes names received from the sender safe for a new file, and text safe for a terminal. The
//! sender is trusted with neither.

use std::ffi::{OsStr, OsString};

/// Maximum length of a safe name, in bytes: that of a directory entry (`NAME_MAX`, pathconf(3)),
/// less the space for a suffix such as `.2.partial`.
pub const SAFE_MAX_BYTES: usize = 255 - SUFFIX_ROOM_BYTES;

/// Space reserved for a suffix, in bytes.
pub const SUFFIX_ROOM_BYTES: usize = 16;

/// Maximum length of an extension that is kept when a name is cut, in bytes with its dot.
const EXTENSION_MAX_BYTES: usize = 24;

/// Returns the name for a new file in the current directory; `None` if nothing of it is left, and
/// for `.` and `..`.
///
/// Separators become `_`, so the name stays in the directory; so does a leading `.`, which would
/// hide the file or make it a configuration file, and a leading `-`, which would make it an option.
/// Control characters and invisible ones are removed, as are blanks at either end and trailing
/// dots. A name that is too long is cut before its extension.
pub fn safe(name: &str) -> Option<String> {
    let visible: String = name.chars().filter(|&char| !is_deceptive(char)).collect();
    let mut name: String = trim_end(visible.trim_start()).replace(['/', '\\'], "_");
    if name.starts_with(['.', '-']) {
        name.replace_range(..1, "_");
    }
    if name.len() > SAFE_MAX_BYTES {
        name = shorten(&name);
    }
    (!name.is_empty()).then_some(name)
}

/// Returns text from the other side for a terminal, in one line: control characters and invisible
/// ones become escapes such as `\n` and `\u{1b}`, which are harmless and visible.
pub fn printable(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if is_deceptive(char) {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

/// Whether a character affects the terminal, or makes a text look like another.
fn is_deceptive(char: char) -> bool {
    char.is_control()
        || matches!(char,
            // Soft hyphen, joiners, fillers: invisible.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
            // Marks, overrides and isolates, which make `gpj.exe` look like `exe.jpg`.
            | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{206f}'
            // Line and paragraph separators.
            | '\u{2028}' | '\u{2029}')
}

/// Returns the name with a number before its extension: `big (1).bin`.
pub(super) fn numbered(name: &OsStr, number: u32) -> OsString {
    let suffix = format!(" ({number})");
    let Some(text) = name.to_str() else {
        let mut name = name.to_owned();
        name.push(suffix);
        return name;
    };
    match split_extension(text) {
        // A hidden file has no other name than its extension.
        ("", hidden) => format!("{hidden}{suffix}").into(),
        (stem, extension) => format!("{stem}{suffix}{extension}").into(),
    }
}

fn trim_end(name: &str) -> &str {
    name.trim_end_matches(|char: char| char.is_whitespace() || char == '.')
}

/// Cuts a name that is too long, keeping its extension.
fn shorten(name: &str) -> String {
    let (stem, extension) = split_extension(name);
    let end = stem.floor_char_boundary(SAFE_MAX_BYTES - extension.len());
    format!("{}{extension}", trim_end(&stem[..end]))
}

/// Splits a name into stem and extension, with the dot; `.tar.gz` and the like are one extension.
/// One that is too long counts as part of the stem.
fn split_extension(name: &str) -> (&str, &str) {
    let Some(dot) = name.rfind('.') else { return (name, "") };
    let at = name[..dot].strip_suffix(".tar").map_or(dot, str::len);
    if name.len() - at > EXTENSION_MAX_BYTES { (name, "") } else { name.split_at(at) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_sanitized() {
        for (case, name, expected) in [
            ("harmless", "My report (1).pdf", Some("My report (1).pdf")),
            ("umlauts", "Größe.txt", Some("Größe.txt")),
            ("an emoji", "🎉.png", Some("🎉.png")),
            ("a path", "a/b", Some("a_b")),
            ("a path upwards", "../../etc/passwd", Some("_._.._etc_passwd")),
            ("an absolute path", "/etc/passwd", Some("_etc_passwd")),
            ("another system's path", "C:\\a\\b", Some("C:_a_b")),
            ("hidden", ".bashrc", Some("_bashrc")),
            ("hidden behind a blank", " .bashrc", Some("_bashrc")),
            ("hidden behind nothing to see", "\u{200b}.bashrc", Some("_bashrc")),
            ("an option", "-rf", Some("_rf")),
            ("here", ".", None),
            ("above", "..", None),
            ("above, with nothing between", ".\u{200b}.", None),
            ("dots", "....", None),
            ("empty", "", None),
            ("blanks", " \t\u{a0}", None),
            ("controls alone", "\0\x1b\n", None),
            ("blanks and dots behind", "a. . ", Some("a")),
            ("wide blanks around", "\u{3000}a\u{2003}", Some("a")),
            ("line breaks", "a\r\nb", Some("ab")),
            ("a terminal escape", "a\x1b[31mb", Some("a[31mb")),
            ("a C1 escape", "a\u{9b}31mb", Some("a31mb")),
            ("a zero byte", "a\0.exe", Some("a.exe")),
            ("an override", "a\u{202e}gpj.exe", Some("agpj.exe")),
            ("a separator of lines", "a\u{2028}b", Some("ab")),
            ("tags", "a\u{e0041}b", Some("ab")),
        ] {
            assert_eq!(safe(name).as_deref(), expected, "{case}");
        }
    }

    #[test]
    fn a_number_comes_before_the_extension() {
        for (name, expected) in [
            ("big.bin", "big (1).bin"),
            ("a.tar.gz", "a (1).tar.gz"),
            ("tree", "tree (1)"),
            (".env", ".env (1)"),
        ] {
            assert_eq!(numbered(OsStr::new(name), 1), expected);
        }
    }

    #[test]
    fn a_long_name_is_truncated_before_its_extension() {
        let long = "x".repeat(300);
        let cut = |extension: &str| {
            format!("{}{extension}", "x".repeat(SAFE_MAX_BYTES - extension.len()))
        };
        for (case, name, expected) in [
            ("no extension", long.clone(), cut("")),
            ("one", format!("{long}.txt"), cut(".txt")),
            ("two", format!("{long}.tar.gz"), cut(".tar.gz")),
            ("too long to be one", format!("{long}.{long}"), cut("")),
            ("just long enough", "x".repeat(SAFE_MAX_BYTES), "x".repeat(SAFE_MAX_BYTES)),
            ("a blank at the cut", format!("{} {long}.c", "x".repeat(SAFE_MAX_BYTES - 3)), {
                format!("{}.c", "x".repeat(SAFE_MAX_BYTES - 3))
            }),
        ] {
            assert_eq!(safe(&name), Some(expected), "{case}");
        }
        let cut = safe(&"ü".repeat(300)).unwrap();
        assert_eq!(cut, "ü".repeat(SAFE_MAX_BYTES / 2), "no character is cut in two");
    }

    #[test]
    fn control_characters_are_escaped_for_the_terminal() {
        for (case, text, expected) in [
            ("harmless", "ok: ü €", "ok: ü €"),
            ("a colour", "\x1b[31mred", "\\u{1b}[31mred"),
            ("a title", "\u{9d}0;x\x07", "\\u{9d}0;x\\u{7}"),
            ("two lines", "a\r\nb", "a\\r\\nb"),
            ("an override", "\u{202e}x", "\\u{202e}x"),
        ] {
            assert_eq!(printable(text), expected, "{case}");
        }
    }

    proptest! {
        #[test]
        fn a_sanitized_name_is_valid_and_stays_unchanged(name in prop_oneof![
            any::<String>(),
            "[./\\\\ \\-\u{200b}a\\x1b]{0,8}",
            "(a|ü|\\.|€| |\u{1F389}){200,400}",
        ]) {
            if let Some(safe_name) = safe(&name) {
                prop_assert!((1..=SAFE_MAX_BYTES).contains(&safe_name.len()));
                prop_assert!(!safe_name.starts_with(['.', '-', ' ']));
                prop_assert!(!safe_name.ends_with(['.', ' ']));
                prop_assert!(!safe_name.contains(['/', '\\', '\0']));
                prop_assert_eq!(printable(&safe_name), safe_name.clone());
                prop_assert_eq!(safe(&safe_name), Some(safe_name));
            }
        }
    }
}
