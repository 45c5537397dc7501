//! The cursor on disk: how far records were delivered, and how far they were removed. Replaced
//! atomically (rename(2)), so a reader finds the old one or the new one, and never a part.

use super::SpoolError;
use super::directory::Directory;
use serde_json::{Value, json};
use std::fs;
use std::io::{self, Write as _};
use uuid::Uuid;

/// Two positions; `None` initially.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Cursor {
    /// All records up to this one were delivered.
    pub(super) delivered: Option<Uuid>,
    /// All records up to this one were removed. Distinguishes a removed position from one that
    /// never existed.
    pub(super) removed: Option<Uuid>,
}

impl Cursor {
    /// Loads the saved cursor.
    pub(super) fn load(directory: &Directory) -> Result<Self, SpoolError> {
        let path = directory.cursor();
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(SpoolError::io("cannot read", &path)(error)),
        };
        Self::read(&text).ok_or(SpoolError::Damaged { path, good_bytes: 0 })
    }

    /// Saves the cursor durably.
    pub(super) fn store(self, directory: &Directory) -> Result<(), SpoolError> {
        let (path, new) = (directory.cursor(), directory.cursor_new());
        let mut file = Directory::make(&new).map_err(SpoolError::io("cannot create", &new))?;
        let written = file.write_all(self.written().as_bytes()).and_then(|()| file.sync_all());
        written.map_err(SpoolError::io("cannot write", &new))?;
        fs::rename(&new, &path).map_err(SpoolError::io("replacing", &path))?;
        directory.sync()
    }

    fn written(self) -> String {
        let text = |position: Option<Uuid>| position.map(|position| position.to_string());
        let members = json!({"delivered": text(self.delivered), "removed": text(self.removed)});
        format!("{members}\n")
    }

    fn read(text: &[u8]) -> Option<Self> {
        let members: Value = serde_json::from_slice(text).ok()?;
        let position = |name| {
            let value = members.get(name)?;
            let parsed = value.as_str().and_then(|text| Uuid::try_parse(text).ok());
            if value.is_null() || parsed.is_some() { Some(parsed) } else { None }
        };
        Some(Self { delivered: position("delivered")?, removed: position("removed")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_written_cursor_is_read_back() {
        let position = Uuid::from_u128(7);
        for cursor in [
            Cursor::default(),
            Cursor { delivered: Some(position), removed: None },
            Cursor { delivered: Some(position), removed: Some(Uuid::nil()) },
        ] {
            let text = cursor.written();
            assert_eq!(Cursor::read(text.as_bytes()), Some(cursor), "{text}");
        }
        for text in ["", "{}", "[]", r#"{"delivered":null}"#, r#"{"delivered":"x","removed":null}"#]
        {
            assert_eq!(Cursor::read(text.as_bytes()), None, "{text}");
        }
    }
}
