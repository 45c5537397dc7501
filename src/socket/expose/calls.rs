//! What is being served: counted, so that the end can wait for it, and told when it is over.

use crate::client::clock;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One request that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// The status of the answer; `None` if there was none, because whoever asked went away.
    pub status: Option<u16>,
    /// Bytes of the answer's body that were handed on.
    pub bytes: u64,
    /// How long it took from its head to the end of the answer.
    pub time: Duration,
    /// Its `X-Correlation-Id`.
    pub correlation: Option<String>,
    /// Whether the answer was handed on to its end.
    pub whole: bool,
}

/// Whoever is told.
type OnStatus = Box<dyn Fn(&Served) + Send + Sync>;

/// All requests that are being served.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

struct Inner {
    under_way: Mutex<usize>,
    fewer: Condvar,
    tell: OnStatus,
}

impl Calls {
    /// None so far; `tell` is called by the thread that served.
    pub fn new(tell: impl Fn(&Served) + Send + Sync + 'static) -> Self {
        let (under_way, fewer) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Inner { under_way, fewer, tell: Box::new(tell) }))
    }

    /// One begins.
    pub(super) fn begin<B>(&self, request: &http::Request<B>) -> Call {
        *self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let correlation = request.headers().get("x-correlation-id");
        let served = Served {
            method: request.method().as_str().to_owned(),
            path: path.to_owned(),
            status: None,
            bytes: 0,
            time: Duration::ZERO,
            correlation: correlation.map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned()),
            whole: false,
        };
        Call { calls: self.clone(), served, begun: clock::now() }
    }

    /// Waits until none is under way, at most for so long; whether none is.
    pub fn wait(&self, timeout: Duration) -> bool {
        let under_way = self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.fewer.wait_timeout_while(under_way, timeout, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

/// One request that is being served; it is over when this is dropped.
pub(super) struct Call {
    calls: Calls,
    served: Served,
    begun: Instant,
}

impl Call {
    /// The answer begins.
    pub(super) fn answered(&mut self, status: u16) {
        self.served.status = Some(status);
    }

    /// So many bytes of its body were handed on.
    pub(super) fn moved(&mut self, bytes: usize) {
        self.served.bytes += bytes as u64;
    }

    /// The answer was handed on to its end.
    pub(super) fn ended(&mut self) {
        self.served.whole = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.served.time = clock::now().saturating_duration_since(self.begun);
        // Told before it is no longer counted: whoever waits for the end sees all that was served.
        (self.calls.0.tell)(&self.served);
        *self.calls.0.under_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.calls.0.fewer.notify_all();
    }
}
