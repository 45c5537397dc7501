//! Requests: bytes -> head -> route -> service.

use super::EventLoop;
use super::workers::Worker;
use crate::api::access::{self, Arrival, Policy};
use crate::api::permission::Scope;
use crate::api::preview::is_preview;
use crate::api::{Audience, Busy, Control, Failure, Misdirected, PathRoute, Route};
use crate::api::{agent_host, creation, misdirected, paths, route};
use crate::http::head::{FieldSlots, KeptHead, RequestHead};
use crate::http::host::Authority;
use crate::http::negotiate::names_html;
use crate::ops::NodeSettings;
use crate::ops::metrics::MetricsFormat;
use crate::relay::http1::{self, CreateRequest, HeadReader, JsonPurpose, Request, Step, answer};
use crate::relay::io::{ConnId, Http, Io, ListenerKind, Role};
use crate::relay::pages;
use crate::web;
use serde_json::json;

/// Maximum pipelined requests of one connection in one turn, before others have theirs.
const REQUESTS_PER_TURN: usize = 16;

impl EventLoop {
    /// Carries out the result of an HTTP/1 turn.
    pub(super) fn step(&mut self, id: ConnId, step: Step) {
        match step {
            Step::Wait => {}
            Step::Heads => self.serve_requests(id),
            Step::Body(purpose, body) => self.streams.json(&mut self.io, id, purpose, &body),
        }
    }

    /// Reads and handles requests while there are any.
    fn serve_requests(&mut self, id: ConnId) {
        for _ in 0..REQUESTS_PER_TURN {
            let next = self.serve_request(id);
            if !next || self.io.conns[id].role != Role::Http(Http::Head) {
                return;
            }
        }
        self.io.conns.requeue(id);
    }

    /// Reads and handles one request; `false`: it is incomplete, or the connection ends.
    fn serve_request(&mut self, id: ConnId) -> bool {
        let mut reader = self.http1.reader(&mut self.io, id);
        loop {
            if reader.is_worth_parsing() {
                let mut slots = FieldSlots::new();
                match reader.parse(&mut slots) {
                    Ok(Some(head)) => {
                        if let Some(to) = self.other_worker(id, &head) {
                            let kept = KeptHead::keep(&head, reader.received());
                            return self.send_away((id, to), kept, reader);
                        }
                        let request = Request { head: &head, rest: reader.after_head(&head) };
                        let used = head.len + self.act(id, request);
                        self.http1.finish(&mut self.io, id, reader, used);
                        return !self.io.conns[id].is_closing();
                    }
                    Ok(None) => {}
                    Err(reject) => {
                        let why = Failure::Rejected(reject);
                        http1::refuse_unread(&mut self.io, id, reader.received(), &why);
                        return false;
                    }
                }
            }
            if !reader.read(&mut self.io, id) {
                self.http1.suspend(&mut self.io, id, reader);
                return false;
            }
        }
    }

    /// Returns the worker that serves a request, if it is another one.
    fn other_worker(&self, id: ConnId, head: &RequestHead<'_, '_>) -> Option<u8> {
        let worker = self.worker.as_ref()?;
        let route = self.route(head, self.audience(id, head));
        worker.destination(&self.io, &route, head)
    }

    /// Sends a connection with its request to another worker. Always `false`: nothing is read here
    /// any more.
    fn send_away(&mut self, place: (ConnId, u8), head: KeptHead, reader: HeadReader) -> bool {
        let bytes = self.http1.take_bytes(&mut self.io, place.0, reader);
        let Self { io, worker: Some(worker), .. } = self else {
            unreachable!("only one of several workers sends a connection to another")
        };
        if let Err(received) = worker.depart(io, place, (head, bytes)) {
            let why = Failure::TooBusy(Busy::Worker);
            http1::refuse_unread(&mut self.io, place.0, &received, &why);
        }
        false
    }

    /// Serves a request whose head another worker has parsed, and those that follow it.
    #[cold]
    pub(super) fn serve_moved(&mut self, id: ConnId, kept: &KeptHead) {
        let reader = self.http1.reader(&mut self.io, id);
        if !http1::recount(&mut self.io, id) {
            let why = Failure::TooBusy(Busy::AddressConnections);
            return http1::refuse_unread(&mut self.io, id, reader.received(), &why);
        }
        let fields = kept.fields(reader.received());
        let head = kept.head(reader.received(), &fields);
        let request = Request { head: &head, rest: reader.after_head(&head) };
        let used = head.len + self.act(id, request);
        self.http1.finish(&mut self.io, id, reader, used);
        if !self.io.conns[id].is_closing() && self.io.conns[id].role == Role::Http(Http::Head) {
            self.serve_requests(id);
        }
    }

    /// Handles a request; returns how many of the bytes after its head are consumed.
    #[inline]
    fn act(&mut self, id: ConnId, request: Request<'_, '_>) -> usize {
        let audience = self.audience(id, request.head);
        let route = self.route(request.head, audience);
        let cors_origins = &self.io.settings.cors_origin;
        let may = access::check_worker(request.head, &route, audience)
            .and_then(|()| access::check_path(request.head, &route, cors_origins))
            .map_err(Failure::Denied);
        let guard = route.stream().and_then(|(stream, _)| self.streams.guard(stream));
        let begun = http1::begin(&mut self.io, id, request, &route);
        if begun.is_ok() && self.redirects(id, request.head) {
            // First: a token is not to be sent again without TLS.
            return self.redirect(id, request);
        }
        let begun = begun
            .and_then(|()| self.check_node(id, request.head, &route))
            .and(may)
            .and_then(|()| http1::authorize(&mut self.io, id, (request.head, &route), guard))
            .and_then(|()| self.check_access(id, request.head, &route));
        if self.io.settings.no_pages || !audience.has_pages() {
            self.io.conns[id].reply.form.exclude_page();
        }
        match begun {
            Ok(()) => self.dispatch(id, request, route),
            Err(failure) => request.refuse(&mut self.io, id, &failure),
        }
    }

    /// Whether a request is redirected to HTTPS.
    fn redirects(&self, id: ConnId, head: &RequestHead<'_, '_>) -> bool {
        let (conn, settings) = (&self.io.conns[id], &self.io.settings);
        settings.tls.http_redirect
            && self.https_port.is_some()
            && conn.listener == ListenerKind::Public
            && !conn.is_secured()
            && !(settings.proxies.includes(conn.peer.ip())
                && head.fields.get("X-Forwarded-Proto").is_some_and(|scheme| scheme == b"https"))
    }

    /// Redirects a request to HTTPS, with its method and body (308).
    fn redirect(&mut self, id: ConnId, request: Request<'_, '_>) -> usize {
        let location = self.https_port.and_then(|port| https_location(request.head, port));
        let Some(location) = location else {
            return request.refuse(&mut self.io, id, &Failure::NO_HOST);
        };
        let (used, read) = request.without_body();
        answer::respond(&mut self.io, id, (308, read), b"", |head| {
            head.field("Location", location.as_bytes()).content_length(0)
        });
        used
    }

    /// Checks that no other node serves this request: that one checks what the client may do. Operators
    /// are not redirected: its URL is not that of its admin listener.
    ///
    /// # Errors
    /// Returns where it is served.
    fn check_node(
        &self,
        id: ConnId,
        head: &RequestHead<'_, '_>,
        route: &Route<'_>,
    ) -> Result<(), Failure> {
        let NodeSettings { node_id: Some(own), node_url } = &self.io.settings.nodes else {
            return Ok(());
        };
        let Some(node) = misdirected::other_node(*own, head, route) else { return Ok(()) };
        let redirects = self.io.conns[id].listener != ListenerKind::Admin;
        let target = redirects.then(|| head.path_and_query());
        Err(Failure::Misdirected(Misdirected::to(node, node_url.as_ref(), target)))
    }

    /// Returns the route of a request, as this relay is configured.
    fn route<'h>(&self, head: &RequestHead<'_, 'h>, audience: Audience<'h>) -> Route<'h> {
        let route = route(head, audience);
        let settings = &self.io.settings;
        if route.is_page() && settings.no_pages {
            return Route::Nothing;
        }
        // Otherwise a link in a chat would be used up before its receiver sees it.
        if let Route::Destination(stream) = route
            && is_preview(head)
        {
            return Route::ReceivePage(stream);
        }
        if matches!(route, Route::Path(PathRoute::Download(_))) && is_preview(head) {
            return Route::Path(PathRoute::About);
        }
        route
    }

    /// Returns the audience of a request.
    fn audience<'h>(&self, id: ConnId, head: &RequestHead<'_, 'h>) -> Audience<'h> {
        match (self.io.conns[id].listener, self.intake.path(head.path)) {
            (ListenerKind::Admin, _) => Audience::Operators,
            (ListenerKind::Agents, _) => Audience::Agents,
            (ListenerKind::Public | ListenerKind::Api, Some((here, compat))) => {
                Audience::Senders { here, compat }
            }
            (ListenerKind::Public | ListenerKind::Api, None) => {
                let hosts = &self.io.settings.sockets.agent_host;
                let public = Audience::Public { paths: self.io.settings.paths };
                agent_host::audience(hosts, head).unwrap_or(public)
            }
        }
    }

    /// Dispatches a request to its service: the only place that knows all routes.
    fn dispatch(&mut self, id: ConnId, request: Request<'_, '_>, route: Route<'_>) -> usize {
        let head = request.head;
        let Self { io, transfers, streams, agents, intake, .. } = self;
        let (used, read) = request.without_body();
        match route {
            // Their bodies are needed, or may follow.
            Route::Push => return intake.request(io, id, request),
            Route::Attach => return agents.attach(io, id, request),
            Route::AttachTunnel => return agents.attach_tunnel(io, id, request),
            Route::Call { callee, rest } => {
                return agents.call(io, transfers, id, (callee, rest), request);
            }
            Route::Create => return self.expect_stream(id, request),
            Route::Report(Some(stream)) => {
                return self.expect_json(id, request, JsonPurpose::Report(stream));
            }
            Route::Receipt(Some(stream)) => {
                return self.expect_json(id, request, JsonPurpose::Receipt(stream));
            }
            Route::Source(Some(stream), name) => {
                return streams.connect_source(io, transfers, id, (stream, name), request);
            }
            Route::Destination(Some(stream)) => {
                return streams.connect_destination(io, transfers, id, stream, request);
            }
            Route::Path(route) => return self.dispatch_path(id, request, route),
            // The following routes need no body.
            Route::Exists(stream) => streams.exists(io, id, (stream, head.query), read),
            Route::Status(Some(stream)) => streams.status(io, transfers, id, stream, read),
            Route::Events(Some(stream)) => streams.subscribe(io, transfers, id, stream, read),
            Route::Delete(Some(stream)) => streams.delete(io, transfers, id, stream, read),
            Route::Home => self.home(id, head, read),
            Route::ReceivePage(stream) => match streams.shown(io, stream) {
                Ok(shown) => pages::stream(io, id, head, shown, read),
                Err(failure) => pages::no_stream(io, id, &failure, read),
            },
            Route::PageFile(name) => pages::part(io, id, head, name, read),
            Route::Watch => self.admin.watch(&mut self.io, id, head.query, read),
            Route::List { active_only } => streams.list(io, id, active_only, read),
            Route::Agents => agents.list(io, id, read),
            Route::AgentEvents => agents.subscribe(io, id, read),
            Route::Health => answer::text(io, id, "text/plain", "alive", read),
            Route::Readiness => {
                let standing = self.figures().status;
                self.admin.readiness(&mut self.io, id, &standing, read);
            }
            Route::State => self.state(id, read),
            Route::Control(control) => self.control(id, control, read),
            Route::Metrics => self.metrics(id, head, read),
            Route::Document => self.document(id, head, read),
            Route::Ping => answer::text(io, id, "text/plain", "pong", read),
            Route::Version => {
                answer::json(io, id, 200, &version(io.settings.nodes.node_id), read);
            }
            Route::Options(allow) => answer::allow(io, id, head, allow, read),
            Route::NotAllowed(allow) => {
                answer::failure(io, id, &Failure::MethodNotAllowed(allow), read);
            }
            Route::Nothing => answer::failure(io, id, &Failure::BadRoute, read),
            Route::Tunnel => answer::failure(io, id, &Failure::NoTunnel, read),
            Route::Report(None)
            | Route::Receipt(None)
            | Route::Source(None, _)
            | Route::Destination(None)
            | Route::Status(None)
            | Route::Events(None)
            | Route::Delete(None) => answer::failure(io, id, &Failure::SessionNotFound, read),
        }
        used
    }

    /// Carries out an operator's command.
    fn control(&mut self, id: ConnId, control: Control, read: bool) {
        let done = self.admin.obey(&mut self.io, control);
        // Before the response: a client that knows of the order finds it in effect.
        if let Some(worker) = &mut self.worker {
            worker.announce_mode(self.io.mode);
        }
        match done {
            Ok(()) => self.state(id, read),
            Err(failure) => answer::failure(&mut self.io, id, &failure, read),
        }
    }

    fn state(&mut self, id: ConnId, read: bool) {
        let standing = self.figures().status;
        self.admin.state(&mut self.io, id, &standing, read);
    }

    /// Answers `GET /metrics`.
    fn metrics(&mut self, id: ConnId, head: &RequestHead<'_, '_>, read: bool) {
        let stats = self.figures().stats;
        let others = self.worker.as_ref().map_or(&[][..], Worker::counters);
        let text = self.io.journal.metrics.render(&stats, others);
        let form = MetricsFormat::accepted(head.fields.all("Accept"));
        let text = form.of(text);
        answer::text(&mut self.io, id, form.content_type(), &text, read);
    }

    fn dispatch_path(
        &mut self,
        id: ConnId,
        request: Request<'_, '_>,
        route: PathRoute<'_>,
    ) -> usize {
        let Self { io, transfers, streams, .. } = self;
        let (used, read) = request.without_body();
        match route {
            PathRoute::Upload(path) => {
                return streams.connect_path_source(io, transfers, id, path, request);
            }
            PathRoute::Download(path) => {
                return streams.connect_path_destination(io, transfers, id, path, request);
            }
            PathRoute::Exists(path) => {
                streams.exists_at_path(io, id, (path, request.head.query), read);
            }
            PathRoute::About => {
                let text = paths::text(&pages::origin(&io.conns[id], request.head));
                answer::text_of_now(io, id, &text, read);
            }
            PathRoute::NotAllowed(allow) => {
                answer::failure(io, id, &Failure::MethodNotAllowed(allow), read);
            }
        }
        used
    }

    /// Shows the page that sends, or to operators that of the relay.
    fn home(&mut self, id: ConnId, head: &RequestHead<'_, '_>, read: bool) {
        let operators = self.io.conns[id].listener == ListenerKind::Admin;
        let page = if operators { web::WATCH } else { web::SEND };
        pages::home(&mut self.io, id, head, page, read);
    }

    /// Sends the API document of the listener.
    fn document(&mut self, id: ConnId, head: &RequestHead<'_, '_>, read: bool) {
        let operators = self.io.conns[id].listener == ListenerKind::Admin;
        let document = self.documents.get(&self.io.settings, operators);
        pages::send(&mut self.io, id, head, &document, read);
    }

    fn expect_stream(&mut self, id: ConnId, request: Request<'_, '_>) -> usize {
        match create_request(&self.io, id, request.head) {
            Ok(create) => self.expect_json(id, request, JsonPurpose::Create(create)),
            Err(failure) => request.refuse(&mut self.io, id, &failure),
        }
    }

    fn expect_json(&mut self, id: ConnId, request: Request<'_, '_>, purpose: JsonPurpose) -> usize {
        let (used, step) = self.http1.expect_json(&mut self.io, id, request, purpose);
        self.step(id, step);
        used
    }

    /// Checks whether this request may be served; queries its local address only if that matters.
    fn check_access(
        &self,
        id: ConnId,
        head: &RequestHead<'_, '_>,
        route: &Route<'_>,
    ) -> Result<(), Failure> {
        let conn = &self.io.conns[id];
        let operators = conn.listener == ListenerKind::Admin;
        let lists = conn.extras.token().is_some_and(|token| token.grants.allows(Scope::List));
        if !access::is_guarded(route, operators) {
            return Ok(());
        }
        let settings = &self.io.settings;
        let local = conn.socket.local_addr().ok().and_then(|address| address.as_socket());
        let arrival = Arrival {
            operators,
            local,
            // What a proxy sends is not its own.
            trusted: settings.trusts(conn.peer.ip())
                && conn.proxied.is_none()
                && !settings.proxies.includes(conn.peer.ip()),
            lists,
            loopback: local.is_some_and(|local| self.loopback.contains(&local)),
        };
        let policy = Policy {
            allowed_origins: &settings.admin.allowed_origins,
            cors_origins: &settings.cors_origin,
            admin_hosts: &settings.admin.admin_hosts,
            agents: settings.takes_agents_elsewhere(),
        };
        access::check(head, route, &arrival, &policy).map_err(Failure::Denied)
    }
}

/// Returns the URL of a request on the port of HTTPS; `None` without a host.
fn https_location(head: &RequestHead<'_, '_>, port: u16) -> Option<String> {
    let host = head.host().and_then(|host| str::from_utf8(host).ok())?;
    let host = Authority::parse(host)?.host;
    let port = if port == 443 { String::new() } else { format!(":{port}") };
    // `*` is a target, but not a part of a URL.
    let names = !host.is_empty() && head.path.starts_with('/');
    names.then(|| format!("https://{host}{port}{}", head.path_and_query()))
}

/// Returns what the head of a creation requests. A key belongs to a token, else to an address.
fn create_request(
    io: &Io,
    id: ConnId,
    head: &RequestHead<'_, '_>,
) -> Result<CreateRequest, Failure> {
    let token = io.conns[id].extras.token();
    let client = || match token {
        // No address begins like this.
        Some(token) => format!("token:{}", token.name),
        None => io.conns[id].client().ip().to_canonical().to_string(),
    };
    let allows = |scope| token.is_some_and(|token| token.grants.allows(scope));
    Ok(CreateRequest {
        page: !io.settings.no_pages && names_html(head.fields.all("Accept")),
        may_choose_id: allows(Scope::Create),
        may_notify: io.settings.notify.open_notify || allows(Scope::Notify),
        key: creation::request_key(&head.fields, client)?,
    })
}

fn version(node: Option<u16>) -> serde_json::Value {
    let mut version =
        json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") });
    if let Some(revision) = option_env!("RDV_REVISION") {
        version["revision"] = revision.into();
    }
    if let Some(node) = node {
        version["node"] = node.into();
    }
    version
}
