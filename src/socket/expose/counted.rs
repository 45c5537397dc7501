//! Response bodies sent through the WebSocket, counted as they are read.

use super::Api;
use super::calls::{Call, Calls};
use super::refusal::Refusal;
use crate::socket::Body;
use http::{Method, Request, Response};
use std::io::{self, Read};

/// Forwards a request and counts its response.
pub(super) fn forward(api: &Api, calls: &Calls, request: Request<Body>) -> Response<Body> {
    let mut call = calls.begin(&request);
    let head_only = *request.method() == Method::HEAD;
    let answer = match api.forwarded(request) {
        Ok(answer) => answer,
        // The client disconnected: no response is needed.
        Err(Refusal::NobodyWaits) => return Response::default(),
        Err(refusal) => api.refused(&refusal).map(Body::from),
    };
    call.answered(answer.status().as_u16());
    let length_bytes = answer.body().length_bytes();
    if head_only || length_bytes == Some(0) || matches!(answer.status().as_u16(), 204 | 304) {
        // The body is never read.
        call.ended();
    }
    answer.map(|body| {
        let counted = CountedBody { body, left: length_bytes, call };
        match length_bytes {
            Some(bytes) => Body::sized(counted, bytes),
            None => Body::from_reader(counted),
        }
    })
}

/// A body, and the call that ends with it.
struct CountedBody {
    body: Body,
    left: Option<u64>,
    call: Call,
}

impl Read for CountedBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.call.moved(count as u64);
        self.left = self.left.map(|left| left.saturating_sub(count as u64));
        let at_end = count == 0 && self.left.is_none() && !buffer.is_empty();
        if at_end || self.left == Some(0) {
            self.call.ended();
        }
        Ok(count)
    }
}
