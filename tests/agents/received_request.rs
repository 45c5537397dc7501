//! A request as received by an agent.

/// A request with its complete body.
#[derive(Debug)]
pub(crate) struct ReceivedRequest {
    /// The exchange id; 0 on a tunnel.
    pub(crate) number: u32,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl ReceivedRequest {
    /// The request line without the version.
    pub(crate) fn line(&self) -> &str {
        let line = self.head.lines().next().unwrap_or_default();
        line.strip_suffix(" HTTP/1.1").unwrap_or_else(|| panic!("a request line: {line:?}"))
    }

    /// All values of this field.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        let same = fields.filter(|(key, _)| key.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.trim()).collect()
    }

    /// The value of this field, which must occur at most once.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let values = self.all(name);
        assert!(values.len() < 2, "{name} occurs {} times: {values:?}", values.len());
        values.first().copied()
    }
}
