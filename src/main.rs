//! The `rdv` binary: arguments, subcommand, exit code.

use clap::error::ErrorKind;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use rdv::api::openapi;
use rdv::api::permission::Scope;
use rdv::client::Ctl;
use rdv::client::commands::{Cancel, Pipe, Post, Receive, Send, Status};
use rdv::connector::destination::DestinationCommand;
use rdv::connector::source::command::Source;
use rdv::notify::NotifyThread;
use rdv::ops::manual::{Completions, Manual};
use rdv::ops::operator_log::OperatorLog;
use rdv::ops::tokens::TokenCommand;
use rdv::ops::{AdminListen, Settings, Sources, config, help};
use rdv::ops::{stdio, threads};
use rdv::relay::{EventLoop, doctor};
use rdv::socket::call::Call;
use rdv::socket::expose::command::Expose;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

/// Relay one HTTP upload to one HTTP download; the kernel moves the bytes
#[derive(Parser)]
#[command(version = env!("RDV_VERSION"), long_version = LONG_VERSION)]
#[command(subcommand_required = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a relay
    #[command(after_long_help = NOTES)]
    Serve(Serve),
    /// Check the configuration of a relay
    #[command(after_long_help = NOTES)]
    CheckConfig(Serve),
    /// Send a file, a directory or standard input
    #[command(after_long_help = CLIENT_NOTES)]
    Send(Send),
    /// Receive a file or a directory
    #[command(after_long_help = CLIENT_NOTES)]
    Receive(Receive),
    /// Connect standard input or output to a stream
    #[command(after_long_help = CLIENT_NOTES)]
    Pipe(Pipe),
    /// Upload files to a server as multipart/form-data
    #[command(after_long_help = CLIENT_NOTES)]
    Post(Post),
    /// Send a request to an API through a WebSocket
    #[command(after_long_help = CLIENT_NOTES)]
    Call(Box<Call>),
    /// Send records to an HTTP server, one POST each
    #[command(after_long_help = DESTINATION_NOTES)]
    Destination(Box<DestinationCommand>),
    /// Publish a local HTTP server through a relay
    #[command(after_long_help = EXPOSE_NOTES)]
    Expose(Box<Expose>),
    /// Show the status of a stream
    #[command(after_long_help = CLIENT_NOTES)]
    Status(Status),
    /// Cancel a stream
    #[command(after_long_help = CLIENT_NOTES)]
    Cancel(Cancel),
    /// Receive HTTP requests as records, one JSON line each
    #[command(after_long_help = SOURCE_NOTES)]
    Source(Box<Source>),
    /// Control a running relay
    Ctl(Ctl),
    /// Make tokens for clients of a relay
    Token(TokenCommand),
    /// Print the effective configuration and its sources
    #[command(after_long_help = NOTES)]
    PrintConfig {
        #[command(flatten)]
        serve: Serve,
        /// Print the reference of all settings, in Markdown
        #[arg(long, conflicts_with = "sample")]
        reference: bool,
        /// Print a sample configuration file with all settings
        #[arg(long)]
        sample: bool,
    },
    /// Check whether this machine is ready for a relay
    ///
    /// Run it as the user of the relay: the limits of root differ.
    #[command(after_long_help = DOCTOR_NOTES)]
    Doctor {
        #[command(flatten)]
        serve: Serve,
        /// Print one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Print the description of the HTTP API, for generators of clients
    ///
    /// It has all that a relay can serve; /openapi.json of a relay has what that one serves.
    Openapi {
        /// Describe the admin listener
        #[arg(long, conflicts_with = "markdown")]
        admin: bool,
        /// Print it as a reference, in Markdown
        #[arg(long)]
        markdown: bool,
    },
    /// Print the manual page, or write the pages of all commands
    #[command(name = "man", alias = "manual")]
    Manual(Manual),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// The settings of the relay.
#[derive(clap::Args)]
struct Serve {
    /// Settings file (TOML) [default: /etc/rdv/rdv.toml, if it exists]
    #[arg(long, value_name = "FILE", env = "RDV_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

/// The binary requires these features; the library does not.
const LONG_VERSION: &str =
    concat!(env!("RDV_VERSION"), "\nfeatures: client, connector, socket, tls");

const NOTES: &str = "\
Each setting is also read from the environment (--idle-timeout: RDV_IDLE_TIMEOUT) and from the file \
(idle-timeout = \"6h\"). Flags take precedence over the environment, and that over the file.
Times: 250ms, 60s, 10m, 6h. Sizes: bytes, 64KiB, 1MiB.
Signals: TERM drains for --drain-timeout, QUIT drains without a limit, INT stops at once, HUP reloads \
the settings, USR1 reopens the access log, USR2 hands over to a new process of this program.
Exit status: 0 after a signal, 1 the relay cannot run, 2 invalid arguments.";

const DOCTOR_NOTES: &str = "\
Each line begins with ok, warn (the relay works, but less well) or bad (it does not work).
Exit status: 0 nothing is bad, 1 otherwise, 2 invalid arguments or settings.";

const CLIENT_NOTES: &str = "\
The relay is --relay, else RDV_RELAY, else relay = \"URL\" in ~/.config/rdv/client.toml, else in \
/etc/rdv/client.toml; RDV_CLIENT_CONFIG names another file. Its token is in --token-file, else in \
RDV_TOKEN.
http_proxy, https_proxy, all_proxy and no_proxy are read as curl reads them.
Exit status: 0 complete, 1 local file error, 2 invalid arguments, 3 the other side did not connect in \
time, 4 the other side was interrupted, 5 refused by the relay or server, 6 digest mismatch, 7 network \
error, 8 not all was extracted, 129 hangup, 130 interrupted, 143 terminated.";

const SOURCE_NOTES: &str = "\
A request is answered 201 once its record is written and flushed, 503 while no consumer takes it.
Times: 250ms, 60s, 10m, 6h. Sizes: bytes, 64KiB, 1MiB.
Signals: TERM delivers accepted records and exits, QUIT does so without a time limit, INT rejects what \
is not delivered, HUP and USR1 reopen the access log and the output file.
Exit status: 0 after a signal, 1 cannot run or write, 2 invalid arguments, 4 the consumer \
disconnected; with --relay: 0 the record is delivered, 3 no sender connected in time, 4 the sender was \
interrupted, 5 refused by the relay, 7 network error.";

const DESTINATION_NOTES: &str = "\
Each record that the server accepts is acknowledged with a line {\"ack\":\"POSITION\"} on standard output \
(on the socket of the record with --input unix:PATH). 400, 401, 404, 413, 422 and redirects are not \
retried. http_proxy, https_proxy, all_proxy and no_proxy are read.
Exit status: 0 all delivered, or TERM; 1 a line is not a valid record, or local file error; 2 invalid \
arguments; 3 no receiver connected in time; 4 acknowledgements cannot be written, or the other side \
was interrupted; 5 a record was refused by the server; 7 network error; 129 hangup; 130 interrupted.";

const EXPOSE_NOTES: &str = "\
The public URL is printed on standard output once connected, and when it changes. Standard error has \
events and a line for each request: time, method, path, status, bytes, duration, X-Correlation-Id.
A lost connection is retried after 0.5 s to 30 s.
The relay is --relay, else RDV_RELAY, else relay = \"URL\" in ~/.config/rdv/client.toml, else in \
/etc/rdv/client.toml, as a ws, wss, http or https URL. Its token is in --token-file, else in RDV_TOKEN.
Signals: TERM and INT exit once requests in progress are complete, after --drain-timeout at the \
latest; a second signal exits at once.
Exit status: 0 after a signal, 1 local file error, 2 invalid arguments, 5 refused by the relay (token \
or name), 7 network error with --once, 130 interrupted twice.";

fn main() -> ExitCode {
    let matches = match program().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return explain(&error),
    };
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    // Better to work without than not at all.
    let _ = threads::block_size_signal();
    let chosen = matches.subcommand().map_or(&matches, |(_, chosen)| chosen);
    match arguments.command {
        Command::Serve(serve) => run(sources(chosen, serve)),
        Command::Send(send) => send.run().into(),
        Command::Receive(receive) => receive.run().into(),
        Command::Pipe(pipe) => pipe.run().into(),
        Command::Post(post) => post.run().into(),
        Command::Call(call) => call.run().into(),
        Command::Destination(destination) => destination.run().into(),
        Command::Expose(expose) => expose.run().into(),
        Command::Status(status) => status.run().into(),
        Command::Cancel(cancel) => cancel.run().into(),
        Command::Source(source) => source.run().into(),
        Command::Ctl(ctl) => control(&ctl),
        Command::Token(token) => make_token(&token),
        Command::CheckConfig(serve) => check(&sources(chosen, serve)),
        Command::PrintConfig { reference: true, .. } => print(&config::reference()),
        Command::PrintConfig { sample: true, .. } => print(&config::sample()),
        Command::PrintConfig { serve, .. } => match sources(chosen, serve).read() {
            Ok(configuration) => print(&config::print(&configuration)),
            Err(error) => fail(&error, ExitCode::FAILURE),
        },
        Command::Doctor { serve, json } => examine(&sources(chosen, serve), json),
        Command::Openapi { markdown: true, .. } => print(&openapi::markdown()),
        Command::Openapi { admin, .. } => {
            print(&format!("{:#}\n", openapi::document(&openapi::Scope::complete(admin))))
        }
        Command::Manual(manual) => put(manual.page(Arguments::command())),
        Command::Completions(shell) => print(&shell.script(Arguments::command())),
    }
}

/// Returns the program with the help that the arguments ask for.
fn program() -> clap::Command {
    let program = help::grouped(Arguments::command());
    if std::env::args_os().any(|word| word == "-h") { help::brief(program) } else { program }
}

fn sources(matches: &ArgMatches, serve: Serve) -> Sources {
    Sources::new(matches, std::env::vars_os(), serve.config)
}

fn run(sources: Sources) -> ExitCode {
    let configuration = match sources.read() {
        Ok(configuration) => configuration,
        Err(error) => return fail(&error, ExitCode::from(2)),
    };
    let log = match OperatorLog::start() {
        Ok(log) => log,
        Err(error) => return fail(&error.to_string(), ExitCode::FAILURE),
    };
    if let Some(warning) = configuration.settings.access_log.warning() {
        log::warn!("{warning}");
    }
    let settings = configuration.settings.clone();
    let notifier = match NotifyThread::start(&settings.notify) {
        Ok(notifier) => notifier,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    match rdv::relay::serve(configuration, sources, |event_loop| {
        if let Some(notifier) = notifier {
            event_loop.notify_through(Box::new(notifier));
        }
        announce(event_loop, &settings);
    }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.flush();
            fail(&error.to_string(), ExitCode::FAILURE)
        }
    }
}

fn check(sources: &Sources) -> ExitCode {
    let checked = sources.read().and_then(|configuration| {
        let warnings = doctor::check(&configuration.settings)?;
        Ok((configuration.file, warnings))
    });
    let (file, warnings) = match checked {
        Ok(checked) => checked,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    for warning in warnings {
        stdio::error_line(format_args!("rdv: warning: {warning}"));
    }
    match file {
        Some(file) => print(&format!("{}: the configuration is valid\n", file.display())),
        None => print("the configuration is valid; no file was read\n"),
    }
}

fn control(ctl: &Ctl) -> ExitCode {
    let configured = if ctl.needs_settings() { configured_admin() } else { Ok(None) };
    let address = configured.and_then(|configured| ctl.address(configured));
    match address.and_then(|address| ctl.run(&address)) {
        Ok(said) => print(&said),
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

fn make_token(token: &TokenCommand) -> ExitCode {
    match token.run() {
        Ok(made) => {
            stdio::error_line(format_args!("{}", made.advice.trim_end()));
            print(&made.output)
        }
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

/// Returns the admin listener of a relay started without flags.
fn configured_admin() -> Result<Option<AdminListen>, String> {
    let file = std::env::var_os("RDV_CONFIG").map(PathBuf::from);
    Sources::without_flags(std::env::vars_os(), file)?.admin_listen()
}

/// Reports whether this machine is ready for a relay.
fn examine(sources: &Sources, json: bool) -> ExitCode {
    let report = match sources.read() {
        Ok(configuration) => doctor::examine(&configuration.settings),
        Err(error) => return fail(&error, ExitCode::from(2)),
    };
    let printed = print(&if json { format!("{}\n", report.json()) } else { report.to_string() });
    if report.passes() { printed } else { ExitCode::FAILURE }
}

fn put(page: std::io::Result<String>) -> ExitCode {
    match page {
        Ok(page) => print(&page),
        Err(error) => fail(&error.to_string(), ExitCode::FAILURE),
    }
}

fn print(page: &str) -> ExitCode {
    let mut out = stdio::output();
    match out.write_all(page.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(why: &str, status: ExitCode) -> ExitCode {
    // Standard error may be closed.
    stdio::error_line(format_args!("rdv: {why}"));
    status
}

/// Prints wrong arguments as one clear line; help and version are printed unchanged.
fn explain(error: &clap::Error) -> ExitCode {
    let wrong = error.use_stderr();
    if !wrong && !std::io::IsTerminal::is_terminal(&std::io::stdout()) {
        return print(&error.render().to_string());
    }
    if !wrong || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
        return if wrong { ExitCode::from(2) } else { ExitCode::SUCCESS };
    }
    let words = std::env::args_os().skip(1);
    let words: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    fail(&help::usage_error(error, &Arguments::command(), &words), ExitCode::from(2))
}

/// Returns an address to connect to: for an unspecified address, the first one other hosts can
/// reach, or loopback if none exists.
fn reachable(listening: SocketAddr) -> SocketAddr {
    if !listening.ip().is_unspecified() {
        return listening;
    }
    let own = nix::ifaddrs::getifaddrs().into_iter().flatten().filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    });
    // On [::] Linux listens on IPv4, too; link-local addresses need a zone.
    let others = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local(),
        IpAddr::V6(ip) => listening.is_ipv6() && !ip.is_loopback() && !ip.is_unicast_link_local(),
    };
    let ip = own.into_iter().find(others).unwrap_or(Ipv4Addr::LOCALHOST.into());
    SocketAddr::new(ip, listening.port())
}

/// Prints the listening addresses and how to try the relay.
fn announce(event_loop: &EventLoop, settings: &Settings) {
    let addresses = event_loop.addresses();
    let mut text = String::new();
    for address in &addresses {
        let _ = writeln!(text, "rdv {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
    }
    let tls_addresses = event_loop.tls_addresses();
    for address in &tls_addresses {
        let _ = writeln!(text, "rdv {} listening on https://{address}", env!("CARGO_PKG_VERSION"));
    }
    for address in event_loop.agent_addresses() {
        let _ = writeln!(text, "agents are served on ws://{address}");
    }
    if let Some(address) = event_loop.admin_address() {
        let _ = writeln!(text, "operators are served on {address}");
    }
    if let Some(&address) = addresses.first()
        && !settings.tls.http_redirect
    {
        let address = reachable(address);
        if !settings.no_pages {
            let _ = write!(text, "\nTry it in a browser: http://{address}/\n");
        }
        let user = |scope| if settings.tokens.requires(scope) { "-u :TOKEN " } else { "" };
        let _ = write!(
            text,
            "\nTry it with curl. Make a stream, then connect both sides, in either order:\n\n  \
             curl {}-X POST http://{address}/stream\n  \
             curl {}-T FILE http://{address}/stream/ID\n  \
             curl {}-fo COPY http://{address}/stream/ID\n\n",
            user(Scope::Create),
            user(Scope::Send),
            user(Scope::Receive),
        );
    }
    // One write: a reader waiting for the first line gets the rest at the same time.
    let mut out = stdio::output();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    let listeners = [addresses, tls_addresses, event_loop.agent_addresses()].concat();
    let warnings = settings.access_warnings(&listeners).into_iter().chain(event_loop.warning());
    for warning in warnings.chain(doctor::certificate_warnings(settings)) {
        log::warn!("{warning}");
    }
}
