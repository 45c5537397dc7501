//! Rust sources to the extent needed by the rules: statements, and the paths in them.

/// The statements of a file with their first lines, without comments and test modules; an import in
/// braces is one statement, however many lines it has.
pub(crate) fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements: Vec<(usize, String)> = Vec::new();
    let (mut open, mut in_test) = (false, false);
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        if in_test {
            // The formatter closes a module at the indentation of its start: the left edge.
            let one_line = !code.starts_with([' ', '#']) && code.trim_end().ends_with(';');
            in_test = !(code.starts_with('}') || one_line);
            continue;
        }
        if code.trim_end() == "#[cfg(test)]" {
            in_test = true;
            continue;
        }
        match statements.last_mut().filter(|_| open) {
            Some((_, statement)) => statement.push_str(code.trim()),
            None => statements.push((number + 1, code.trim().to_owned())),
        }
        let last = statements.last().map_or("", |(_, statement)| statement.as_str());
        open = without_visibility(last).starts_with("use ") && !last.contains(';');
    }
    statements
}

/// `use a;` of `pub(super) use a;`.
fn without_visibility(statement: &str) -> &str {
    let Some(rest) = statement.strip_prefix("pub") else { return statement };
    let end = if rest.starts_with('(') { rest.find(')').map_or(0, |at| at + 1) } else { 0 };
    rest[end..].trim_start()
}

/// Whether a statement declares a module, or re-exports a name.
pub(crate) fn declares_or_exports(statement: &str) -> bool {
    let item = without_visibility(statement);
    let is_module = item.starts_with("mod ") && item.ends_with(';');
    let is_export = item.starts_with("use ") && item != statement;
    statement.is_empty() || statement.starts_with('#') || is_module || is_export
}

/// Whether a statement names this crate.
pub(crate) fn names_crate(statement: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    statement.match_indices(name).any(|(at, _)| {
        !statement[..at].ends_with(is_part) && !statement[at + name.len()..].starts_with(is_part)
    })
}

/// The module of a file: `a::b` for `a/b.rs` and `a/b/mod.rs`.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The paths of this crate that a statement names through `crate::` or `super::`, each from the
/// crate root.
pub(crate) fn paths(file: &str, statement: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in statement.match_indices("crate::").chain(statement.match_indices("super::")) {
        let before = &statement[..at];
        // In `super::super::` the first one counts; `pub(in crate::a)` imports nothing.
        if before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':')
            || before.ends_with("pub(in ")
        {
            continue;
        }
        let (mut base, mut rest) = (module(file), &statement[at..]);
        if let Some(path) = rest.strip_prefix("crate::") {
            (base, rest) = (Vec::new(), path);
        }
        while let Some(path) = rest.strip_prefix("super::") {
            base.pop();
            rest = path;
        }
        expand(&base, rest, &mut found);
    }
    found
}

/// `a::b` is one path, `{a::b, c}` are two; the text after them is ignored.
fn expand(base: &[String], text: &str, found: &mut Vec<Vec<String>>) {
    if let Some(group) = text.strip_prefix('{') {
        for part in members(group) {
            expand(base, part.trim(), found);
        }
        return;
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == '*';
    let (segment, rest) = text.split_at(text.find(|c| !is_part(c)).unwrap_or(text.len()));
    let mut path = base.to_vec();
    if !segment.is_empty() && segment != "self" {
        path.push(segment.to_owned());
    }
    match rest.strip_prefix("::") {
        Some(rest) => expand(&path, rest, found),
        None => found.push(path),
    }
}

/// The members of a group, up to its closing brace.
fn members(group: &str) -> Vec<&str> {
    let (mut depth, mut start, mut members) = (0, 0, Vec::new());
    for (at, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                members.push(&group[start..at]);
                start = at + 1;
                if char == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    members.retain(|member| !member.trim().is_empty());
    members
}
