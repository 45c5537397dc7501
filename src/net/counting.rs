//! What the relay tells its metrics: which request was answered how, what was refused, and how
//! things stand when somebody asks.

use super::admin::Realm;
use super::conn::Phase;
use super::relay::Relay;
use super::token::ConnId;
use crate::api::{Busy, Failure, RouteName};
use crate::http::head::RequestHead;
use crate::ops::metrics::{ConnPhase, Figures, Form};

impl Relay {
    /// The request at hand is answered with this status; what follows is unread so far.
    pub(super) fn answered(&mut self, id: ConnId, status: u16) {
        let Some(conn) = self.conn(id) else { return };
        let route = conn.counts_as.replace(RouteName::Unread);
        if let Some(route) = route {
            self.metrics.answered(route, status);
        }
    }

    /// The request at hand, or its connection, is refused. Where nothing but the load is wrong with
    /// it, a flood of them should cost one addition each: so that is all that is counted of it,
    /// unless the operator wants more.
    pub(super) fn refused(&mut self, id: ConnId, failure: &Failure) {
        let Failure::TooBusy(busy) = failure else { return };
        self.metrics.refused(*busy);
        let early = self.settings.metrics.early_instrumentation;
        if let Some(conn) = self.conn(id)
            && !early
        {
            conn.counts_as = None;
        }
    }

    /// A connection was refused with the spare descriptor.
    pub(super) fn refused_unseen(&mut self, busy: Busy, status: u16) {
        self.metrics.refused(busy);
        if self.settings.metrics.early_instrumentation {
            self.metrics.answered(RouteName::Unread, status);
        }
    }

    /// `GET /metrics`, in the form its client wants.
    pub(super) fn answer_metrics(&mut self, id: ConnId, head: &RequestHead<'_, '_>, read: bool) {
        let form = Form::accepted(head.fields.all("Accept"));
        let text = form.of(self.render_metrics());
        self.answer_typed(id, form.content_type(), &text, read);
    }

    /// All metrics as they stand now: OpenMetrics text, of [`crate::ops::metrics::CONTENT_TYPE`].
    /// One look at each connection is all it costs that grows: 0.1 ms for 10,000.
    pub(super) fn render_metrics(&mut self) -> String {
        let mut connections = [0; ConnPhase::ALL.len()];
        for (_, conn) in self.conns.iter().filter(|(_, conn)| conn.realm != Realm::Admin) {
            connections[ConnPhase::from(&conn.phase) as usize] += 1;
        }
        self.metrics.render(&Figures {
            streams: self.registry.tally(),
            connections,
            pipes: self.pool.stock(),
            run_queue: self.run_queue.len(),
            held_bytes: self.held,
            max_connections: self.max_connections,
            max_streams: self.settings.max_streams,
            dropped_lines: self.dropped_lines(),
        })
    }
}

impl From<&Phase> for ConnPhase {
    fn from(phase: &Phase) -> Self {
        match phase {
            Phase::Head => Self::Head,
            Phase::Json(_) => Self::Json,
            Phase::Pushing(_) | Phase::Handing => Self::Pushing,
            Phase::Waiting { .. } => Self::Waiting,
            Phase::Streaming { .. } => Self::Streaming,
            Phase::Answering(_) => Self::Answering,
            Phase::Listing(_) => Self::Listing,
            Phase::Following(_) | Phase::Watching(_) => Self::Following,
            Phase::Agent(_) => Self::Agent,
            Phase::Calling(_) => Self::Calling,
            Phase::Carried(carried) if carried.is_client() => Self::Calling,
            Phase::Spare(_) | Phase::Carried(_) => Self::Spare,
            Phase::Asking(_) => Self::Asking,
            Phase::Lingering { .. } => Self::Lingering,
        }
    }
}
