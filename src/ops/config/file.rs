//! A TOML file of settings; its keys are the names of the flags: `idle-timeout = "6h"`.

use super::{Layer, Origin, SourceValue, table};
use std::path::Path;
use std::sync::Arc;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Parses the settings in the file whose names are `wanted`.
///
/// # Errors
/// File, line, key, and what is expected.
pub fn layer(path: &Path, text: &str, wanted: fn(&str) -> bool) -> Result<Layer, String> {
    let place = |offset: usize| format!("{}:{}", path.display(), line_of(text, offset));
    let document = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        format!("{}: {}", place(offset), error.message().replace('\n', ", "))
    })?;
    let mut layer = Layer::new();
    let path: Arc<Path> = path.into();
    for (name, value) in document.get_ref() {
        let offset = name.span().start;
        let name = name.get_ref().as_ref();
        if !wanted(name) {
            continue;
        }
        let (key, values) = table::key(name)
            .and_then(|key| texts(value, key.repeats()).map(|values| (key, values)))
            .map_err(|why| format!("{}: {name}: {why}", place(offset)))?;
        key.check(&values)
            .map_err(|why| format!("{}: {name} = {}: {why}", place(offset), values.join(", ")))?;
        let origin = Origin::File(path.clone(), line_of(text, offset));
        layer.insert(name.to_owned(), SourceValue { values, origin });
    }
    Ok(layer)
}

/// Converts a value to the texts that the flag accepts.
fn texts(value: &Spanned<DeValue<'_>>, repeats: bool) -> Result<Vec<String>, String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(vec![text.to_string()]),
        DeValue::Integer(number) => Ok(vec![number.to_string()]),
        DeValue::Boolean(switch) => Ok(vec![switch.to_string()]),
        DeValue::Array(values) if repeats => {
            let texts: Result<Vec<_>, _> = values.iter().map(|value| texts(value, false)).collect();
            Ok(texts?.concat())
        }
        DeValue::Array(_) => Err("expected one value, not a list".into()),
        DeValue::Table(_) => Err("expected a value; tables are not supported".into()),
        DeValue::Float(_) | DeValue::Datetime(_) => {
            Err("expected a quoted string, an integer, true or false".into())
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}
