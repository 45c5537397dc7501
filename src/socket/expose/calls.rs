//! The requests in progress: counted, so that shutdown can wait for them, and reported at their
//! end.

use crate::client::clock;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A finished request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// Its method.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Status of the response; `None` if the client disconnected before it.
    pub status: Option<u16>,
    /// Bytes of the response body that were forwarded.
    pub bytes: u64,
    /// Time from the request head to the end of the response.
    pub time: Duration,
    /// Its `X-Correlation-Id`.
    pub correlation: Option<String>,
    /// Whether the response was forwarded completely.
    pub whole: bool,
}

/// The callback for finished requests.
type OnStatus = Box<dyn Fn(&Served) + Send + Sync>;

/// The requests in progress.
#[derive(Clone)]
pub struct Calls(Arc<Inner>);

struct Inner {
    under_way: Mutex<usize>,
    fewer: Condvar,
    tell: OnStatus,
}

impl Calls {
    /// Creates an empty set; `tell` is called on the thread that served the request.
    pub fn new(tell: impl Fn(&Served) + Send + Sync + 'static) -> Self {
        let (under_way, fewer) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Inner { under_way, fewer, tell: Box::new(tell) }))
    }

    /// Registers a request.
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

    /// Waits up to `timeout` until none is in progress, and returns whether that is so.
    pub fn wait(&self, timeout: Duration) -> bool {
        let under_way = self.0.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.fewer.wait_timeout_while(under_way, timeout, |count| *count > 0);
        *waited.unwrap_or_else(PoisonError::into_inner).0 == 0
    }
}

/// A request in progress; it ends when this is dropped.
pub(super) struct Call {
    calls: Calls,
    served: Served,
    begun: Instant,
}

impl Call {
    /// Records the status of the response.
    pub(super) fn answered(&mut self, status: u16) {
        self.served.status = Some(status);
    }

    /// Adds `bytes` forwarded bytes of the response body.
    pub(super) fn moved(&mut self, bytes: u64) {
        self.served.bytes += bytes;
    }

    /// Records that the response is complete.
    pub(super) fn ended(&mut self) {
        self.served.whole = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.served.time = clock::now().saturating_duration_since(self.begun);
        // Reported before the count drops: after a wait, every request has been reported.
        (self.calls.0.tell)(&self.served);
        *self.calls.0.under_way.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.calls.0.fewer.notify_all();
    }
}
