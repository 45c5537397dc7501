//! `rdv source`: serves until it is stopped.

use super::serve::{EndReason, Serving};
use super::settings::SourceSettings;
use crate::client::commands::{Exit, Failure};
use crate::ops::access_log::LogTarget;
use crate::ops::cause;
use crate::ops::operator_log::OperatorLog;
use crate::ops::stdio;
use clap::Args;

/// The arguments of `rdv source`.
#[derive(Args, Clone, Debug)]
pub struct Source {
    #[command(flatten)]
    settings: SourceSettings,
}

impl Source {
    /// Runs the source, and returns how it ended.
    pub fn run(&self) -> Exit {
        let log = match OperatorLog::start() {
            Ok(log) => log,
            Err(error) => return failed(&Failure::new(Exit::Local, error.to_string())),
        };
        let ended = self.serve();
        drop(log);
        match ended {
            Ok(()) => Exit::Complete,
            Err(failure) => failed(&failure),
        }
    }

    fn serve(&self) -> Result<(), Failure> {
        let usage = |why: String| Failure::new(Exit::Usage, why);
        self.settings.rules().map_err(usage)?;
        self.check_places()?;
        if let Some(relay) = &self.settings.relay.relay {
            return super::relayed::receive(&self.settings, relay);
        }
        let serving = Serving::open(&self.settings, None)
            .map_err(|error| Failure::new(Exit::Local, cause(&error)))?;
        if let Some(warning) = self.settings.access_log.warning() {
            log::warn!("{warning}");
        }
        for address in serving.addresses() {
            log::info!("taking requests at http://{address}/");
        }
        match serving.run().map_err(|error| Failure::local("serving", error))? {
            EndReason::Told => Ok(()),
            EndReason::ConsumerGone => {
                Err(Failure::new(Exit::OtherSide, "the consumer disconnected"))
            }
        }
    }

    /// Refuses records and an access log on the same output, as their lines would mix.
    fn check_places(&self) -> Result<(), Failure> {
        let log_on_stdout = self.settings.access_log.place() == Some(&LogTarget::Stdout);
        if log_on_stdout && self.settings.hand_over.output == "-" {
            let why = "records go to standard output; give --access-log a file";
            return Err(Failure::new(Exit::Usage, why));
        }
        Ok(())
    }
}

fn failed(failure: &Failure) -> Exit {
    stdio::error_line(format_args!("rdv: {failure}"));
    failure.exit
}
