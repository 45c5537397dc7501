//! Requests as text, written field by field so that a test controls each byte.

/// A request builder; `bytes` returns the request.
#[derive(Clone)]
pub(crate) struct Ask {
    line: (String, String, &'static str),
    host: Option<String>,
    fields: Vec<(String, String)>,
    body: Vec<u8>,
}

/// An HTTP/1.1 request with only a `Host` field.
pub(crate) fn ask(method: &str, target: &str) -> Ask {
    Ask {
        line: (method.to_owned(), target.to_owned(), "HTTP/1.1"),
        host: Some("relay.test".to_owned()),
        fields: Vec::new(),
        body: Vec::new(),
    }
}

impl Ask {
    /// The same for another host.
    pub(crate) fn to_host(method: &str, target: &str, host: &str) -> Ask {
        Ask { host: Some(host.to_owned()), ..ask(method, target) }
    }

    /// The same as HTTP/1.0, without a `Host`.
    pub(crate) fn http10(mut self) -> Ask {
        self.line.2 = "HTTP/1.0";
        self.host = None;
        self
    }

    /// With one more header field.
    pub(crate) fn field(mut self, name: &str, value: &str) -> Ask {
        self.fields.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With `Content-Length`, independent of the body.
    pub(crate) fn length(self, length: usize) -> Ask {
        self.field("Content-Length", &length.to_string())
    }

    /// With `Transfer-Encoding: chunked`; the body is given encoded, or sent later.
    pub(crate) fn chunked(self) -> Ask {
        self.field("Transfer-Encoding", "chunked")
    }

    /// With these bytes after the head, and no field for them.
    pub(crate) fn raw_body(mut self, body: &[u8]) -> Ask {
        self.body = body.to_vec();
        self
    }

    /// With this body and its `Content-Length`.
    pub(crate) fn body(self, body: impl AsRef<[u8]>) -> Ask {
        let body = body.as_ref();
        self.length(body.len()).raw_body(body)
    }

    /// With `Connection: close`.
    pub(crate) fn closing(self) -> Ask {
        self.field("Connection", "close")
    }

    pub(crate) fn method(&self) -> &str {
        &self.line.0
    }

    /// The request on the wire.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let (method, target, version) = &self.line;
        let line = format!("{method} {target} {version}\r\n");
        let host = self.host.as_ref().map(|host| format!("Host: {host}\r\n"));
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let head: String = std::iter::once(line).chain(host).chain(fields).collect();
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}
