//! The `rdv` binary: arguments, subcommand, exit code.

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use rdv::client::Ctl;
use rdv::client::commands::{Cancel, Pipe, Post, Receive, Send, Status};
use rdv::connector::destination::DestinationCommand;
use rdv::connector::source::command::Source;
use rdv::ops::manual::{Completions, Manual};
use rdv::ops::operator_log::OperatorLog;
use rdv::ops::{AdminListen, Settings, SocketSettings, Sources, config};
use rdv::relay::EventLoop;
use rdv::socket::call::Call;
use rdv::socket::expose::command::Expose;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// A rendezvous relay: one HTTP upload meets one HTTP download, and the kernel moves the bytes.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true, after_help = NOTES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: Serve,
}

#[derive(Subcommand)]
enum Command {
    /// Run the relay (the default)
    #[command(after_help = NOTES)]
    Serve(Serve),
    /// Check the configuration, and whether a relay would start with it
    #[command(after_help = NOTES)]
    CheckConfig(Serve),
    /// Send a file, a directory or standard input to whoever runs what is printed
    #[command(after_help = CLIENT_NOTES)]
    Send(Send),
    /// Receive what another sends, and keep it only if it is whole
    #[command(after_help = CLIENT_NOTES)]
    Receive(Receive),
    /// Be one end of a stream, for the program before or behind
    #[command(after_help = CLIENT_NOTES)]
    Pipe(Pipe),
    /// Send files to any server as a form, multipart/form-data, and print what it answers
    #[command(after_help = CLIENT_NOTES)]
    Post(Post),
    /// Call the API at the other side of a socket, and print what it answers
    #[command(after_help = CLIENT_NOTES)]
    Call(Box<Call>),
    /// Send records of a pipeline, one JSON object a line, to a server, each as a POST
    #[command(after_help = DESTINATION_NOTES)]
    Destination(Box<DestinationCommand>),
    /// Make an API of this machine reachable by way of a relay, where nobody can dial it
    #[command(after_help = EXPOSE_NOTES)]
    Expose(Box<Expose>),
    /// Ask how a stream stands
    #[command(after_help = CLIENT_NOTES)]
    Status(Status),
    /// End a stream; whoever is there is told
    #[command(after_help = CLIENT_NOTES)]
    Cancel(Cancel),
    /// Take requests in, and write each as a record, a line of JSON
    #[command(after_help = SOURCE_NOTES)]
    Source(Box<Source>),
    /// Ask or tell a running relay
    Ctl(Ctl),
    /// Print what would be in force, and where each value came from
    #[command(after_help = NOTES)]
    PrintConfig {
        #[command(flatten)]
        serve: Serve,
        /// Print the reference page instead, in Markdown
        #[arg(long, conflicts_with = "sample")]
        reference: bool,
        /// Print a commented file with every setting instead
        #[arg(long)]
        sample: bool,
    },
    /// Say whether this machine is fit for a relay with these settings, and what to change if not
    ///
    /// Run it as the user the relay is to run as: root does not meet the limits others meet.
    #[command(after_help = DOCTOR_NOTES)]
    Doctor {
        #[command(flatten)]
        serve: Serve,
        /// Print one JSON object for machines instead of lines
        #[arg(long)]
        json: bool,
    },
    /// Print the manual page, in the language of man(1)
    #[command(visible_alias = "man")]
    Manual(Manual),
    /// Print the completion script of a shell
    Completions(Completions),
}

/// What the relay runs with.
#[derive(clap::Args)]
struct Serve {
    /// Read settings from this TOML file; else from /etc/rdv/rdv.toml if it is there
    #[arg(long, value_name = "FILE", env = "RDV_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

const NOTES: &str = "\
Every setting can also be given as RDV_NAME in the environment (--idle-timeout: RDV_IDLE_TIMEOUT)
and as a key in the file (idle-timeout = \"6h\"); flags come first, then the environment.
Times are written 250ms, 60s, 10m, 6h; sizes in bytes, or 64KiB, 1MiB.
Signals: TERM drains for --drain-timeout, QUIT drains without a limit, INT stops at once, HUP reads
the settings again, USR1 opens the access log anew, USR2 lets a new process of this program take over.
Exit status: 0 after a signal, 1 when the relay cannot run, 2 for wrong arguments.";

const DOCTOR_NOTES: &str = "\
Each line begins with ok, warn (a relay works, with a loss) or bad (it does not work).
Exit status: 0 when nothing is bad, 1 otherwise, 2 for wrong arguments or settings.";

const CLIENT_NOTES: &str = "\
The relay is --relay, else RDV_RELAY, else relay = \"URL\" in ~/.config/rdv/client.toml, else in
/etc/rdv/client.toml; RDV_CLIENT_CONFIG names another file.
http_proxy, https_proxy, all_proxy and no_proxy are followed as curl does.
Exit status: 0 complete, 1 a file of this machine failed, 2 wrong arguments, 3 nobody came,
4 the other side broke off, 5 the relay or the server refused, 6 not what was sent (by its
digest), 7 the network failed, 130 interrupted (129 hung up, 143 terminated).";

const SOURCE_NOTES: &str = "\
A request is answered 201 when its record was handed over and flushed, 503 when nobody takes it.
Times are written 250ms, 60s, 10m, 6h; sizes in bytes, or 64KiB, 1MiB.
Signals: TERM hands over what was taken in and ends, QUIT does so without a limit of time, INT
refuses what was not handed over, HUP and USR1 open the access log anew.
Exit status: 0 after a signal, 1 when it cannot run or write, 2 wrong arguments, 4 the consumer is
gone; with --relay 0 when the record is handed over, 3 nobody came, 4 the uploader broke off, too,
5 the relay refused, 7 the network failed.";

const DESTINATION_NOTES: &str = "\
Each record that the server took is acknowledged with a line {\"ack\":\"POSITION\"} on standard output
(on the socket it came by, with --input unix:PATH). 400, 401, 404, 413, 422 and redirections are not
tried again. http_proxy, https_proxy, all_proxy and no_proxy are followed.
Exit status: 0 all was delivered or TERM, 1 a line is no record or a file of this machine failed,
2 wrong arguments, 3 nobody came to the stream, 4 nobody takes the acknowledgements or the other side
broke off, 5 the server refused a record, 7 the network failed, 130 interrupted (129 hung up).";

const EXPOSE_NOTES: &str = "\
The public URL is printed on standard output, once connected and when it changes; what happens, and
a line for each request, on standard error: time, method, path, status, bytes, time it took, and
X-Correlation-Id. A lost connection is made again, with pauses of 0.5 s to 30 s.
The relay is --relay, else RDV_RELAY, else relay = \"URL\" in ~/.config/rdv/client.toml, else in
/etc/rdv/client.toml; ws, wss, http and https are taken.
Signals: TERM and INT end it once what is under way is served, for --drain-timeout at most; a
second one ends it at once.
Exit status: 0 after a signal, 1 a file of this machine failed, 2 wrong arguments, 5 the relay
refused (a token, a name that is taken), 7 the network failed with --once, 130 interrupted twice.";

fn main() -> ExitCode {
    let matches = match Arguments::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return explain(&error),
    };
    let arguments = match Arguments::from_arg_matches(&matches) {
        Ok(arguments) => arguments,
        Err(error) => return explain(&error),
    };
    let chosen = matches.subcommand().map_or(&matches, |(_, chosen)| chosen);
    match arguments.command {
        Some(Command::Serve(serve)) => run(sources(chosen, serve)),
        None => run(sources(chosen, arguments.serve)),
        Some(Command::Send(send)) => send.run().into(),
        Some(Command::Receive(receive)) => receive.run().into(),
        Some(Command::Pipe(pipe)) => pipe.run().into(),
        Some(Command::Post(post)) => post.run().into(),
        Some(Command::Call(call)) => call.run().into(),
        Some(Command::Destination(destination)) => destination.run().into(),
        Some(Command::Expose(expose)) => expose.run().into(),
        Some(Command::Status(status)) => status.run().into(),
        Some(Command::Cancel(cancel)) => cancel.run().into(),
        Some(Command::Source(source)) => source.run().into(),
        Some(Command::Ctl(ctl)) => control(&ctl),
        Some(Command::CheckConfig(serve)) => check(&sources(chosen, serve)),
        Some(Command::PrintConfig { reference: true, .. }) => print(&config::reference()),
        Some(Command::PrintConfig { sample: true, .. }) => print(&config::sample()),
        Some(Command::PrintConfig { serve, .. }) => match sources(chosen, serve).read() {
            Ok(configuration) => print(&config::print(&configuration)),
            Err(error) => fail(&error, ExitCode::FAILURE),
        },
        Some(Command::Doctor { serve, json }) => examine(&sources(chosen, serve), json),
        Some(Command::Manual(manual)) => put(manual.page(Arguments::command())),
        Some(Command::Completions(shell)) => print(&shell.script(Arguments::command())),
    }
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
    let agents = configuration.settings.sockets.clone();
    match rdv::relay::serve(configuration, sources, |event_loop| announce(event_loop, &agents)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log.flush();
            fail(&error.to_string(), ExitCode::FAILURE)
        }
    }
}

fn check(sources: &Sources) -> ExitCode {
    let checked = sources.read().and_then(|configuration| {
        let warnings = rdv::relay::doctor::check(&configuration.settings)?;
        Ok((configuration.file, warnings))
    });
    let (file, warnings) = match checked {
        Ok(checked) => checked,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    for warning in warnings {
        eprintln!("rdv: warning: {warning}");
    }
    match file {
        Some(file) => print(&format!("{}: the configuration is good\n", file.display())),
        None => print("the configuration is good; no file was read\n"),
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

/// What the settings of a relay that was started without flags say of its admin listener.
fn configured_admin() -> Result<Option<AdminListen>, String> {
    let file = std::env::var_os("RDV_CONFIG").map(PathBuf::from);
    let configuration = Sources::without_flags(std::env::vars_os(), file)?.read()?;
    Ok(configuration.settings.admin.admin_listen)
}

/// Says what this machine is like.
fn examine(sources: &Sources, json: bool) -> ExitCode {
    let report = match sources.read() {
        Ok(configuration) => rdv::relay::doctor::examine(&configuration.settings),
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
    let mut out = std::io::stdout().lock();
    match out.write_all(page.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(why: &str, status: ExitCode) -> ExitCode {
    eprintln!("rdv: {why}");
    status
}

/// Wrong arguments are one clear line; help and version are printed as they are.
fn explain(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let line = config::one_line(error);
    fail(&format!("{line}; try 'rdv --help'"), ExitCode::from(2))
}
/// Says where the relay listens and how to try it.
fn announce(event_loop: &EventLoop, agents: &SocketSettings) {
    let mut out = std::io::stdout().lock();
    let addresses = event_loop.addresses();
    for address in &addresses {
        let _ = writeln!(out, "rdv {} listening on http://{address}", env!("CARGO_PKG_VERSION"));
    }
    for address in event_loop.agent_addresses() {
        let _ = writeln!(out, "agents are served on ws://{address}");
    }
    if let Some(address) = event_loop.admin_address() {
        let _ = writeln!(out, "operators are served on {address}");
    }
    if let Some(address) = addresses.first() {
        let _ = write!(
            out,
            "\nTry it. Make a stream, then connect both sides, in either order:\n\n  \
             curl -X POST http://{address}/stream\n  \
             curl -T FILE http://{address}/stream/ID\n  \
             curl -o COPY http://{address}/stream/ID\n\n"
        );
    }
    let _ = out.flush();
    if let Some(notice) = agents.notice(&[addresses, event_loop.agent_addresses()].concat()) {
        log::warn!("{notice}");
    }
    if let Some(warning) = event_loop.warning() {
        log::warn!("{warning}");
    }
}
