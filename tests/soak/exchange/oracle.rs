//! Which outcomes are correct. A completion must be true in every case; which refusals and
//! interruptions are expected depends on what the two sides did.

use super::plan::{Act, Fault, IN_FLIGHT_MAX, Plan, Rescue};
use super::side::Outcome;
use crate::support::Ending;

/// The outcome of an exchange that was completed.
pub(crate) const COMPLETE: &str = "complete";

/// What is expected of the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Every exchange ends as the protocol describes.
    Exact,
    /// System calls of the relay fail: it can refuse or interrupt every exchange, but must not
    /// complete one falsely, change a byte, or hang.
    #[allow(dead_code, reason = "for relays under strace")]
    Faulty,
}

/// What all clients of one exchange observed.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is observed independently")]
pub(crate) struct Observed {
    pub(crate) uploads: Vec<Outcome>,
    pub(crate) downloads: Vec<Outcome>,
    /// Whether it did not end in time.
    pub(crate) hangs: bool,
    /// Whether it was deleted.
    pub(crate) deleted: bool,
    /// Unexpected responses to other requests.
    pub(crate) replies: Vec<String>,
    /// The status of the refused creation, if it was; 0 without one.
    pub(crate) refused: Option<u16>,
    /// Whether the relay was replaced meanwhile.
    pub(crate) moved: bool,
    /// Whether it was ever replaced.
    pub(crate) replaced: bool,
}

/// What is wrong with an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// A destination received a byte that is not the source's.
    Corruption(String),
    /// A side was given a success that is not true.
    FalseCompletion(String),
    Hang,
    /// It ended in another way than the protocol describes.
    Unexpected(String),
}

/// The outcome of one exchange.
pub(crate) struct Verdict {
    pub(crate) outcome: String,
    pub(crate) bytes: u64,
    pub(crate) problems: Vec<Problem>,
    /// What was observed, for the report of a problem.
    pub(crate) details: String,
}

impl Outcome {
    /// Whether it ended as a complete one.
    pub(crate) fn is_clean(&self) -> bool {
        self.status == Some(200) && self.ending == Some(Ending::Complete)
    }

    fn is_cut(&self) -> bool {
        self.status == Some(200) && self.ending != Some(Ending::Complete)
    }
}

impl Observed {
    /// The stream was not created.
    pub(crate) fn refused(status: Option<u16>) -> Observed {
        Observed { refused: Some(status.unwrap_or(0)), ..Observed::default() }
    }

    /// Judges what was observed of this plan.
    pub(crate) fn judge(self, plan: &Plan, strictness: Strictness) -> Verdict {
        let mut problems = Vec::new();
        if self.hangs {
            problems.push(Problem::Hang);
        }
        if plan.call.is_some() {
            self.judge_call(plan, &mut problems);
        } else {
            self.judge_contents(&mut problems);
            self.judge_completions(plan, &mut problems);
        }
        if strictness == Strictness::Exact && plan.call.is_none() {
            self.judge_endings(plan, &mut problems);
        }
        Verdict {
            outcome: self.outcome(),
            bytes: self.downloads.iter().map(|download| download.bytes).sum(),
            details: if problems.is_empty() { String::new() } else { format!("{self:?}") },
            problems,
        }
    }

    fn judge_contents(&self, problems: &mut Vec<Problem>) {
        let offered = self.uploads.iter().map(|upload| upload.bytes).max().unwrap_or(0);
        for download in &self.downloads {
            if let Some(at) = download.wrong {
                problems.push(Problem::Corruption(format!("byte {at} is not the source's")));
            }
            if download.bytes > offered {
                let received = download.bytes;
                let text = format!("{received} bytes received, of {offered} sent");
                problems.push(Problem::Corruption(text));
            }
        }
    }

    fn judge_completions(&self, plan: &Plan, problems: &mut Vec<Problem>) {
        let sent = self.uploads.iter().any(|upload| upload.complete);
        let clean = self.downloads.iter().filter(|download| download.is_clean());
        for download in clean.clone() {
            if download.bytes != plan.size || !sent {
                let received = download.bytes;
                let text = format!("complete download of {received} bytes, of {}", plan.size);
                problems.push(Problem::FalseCompletion(text));
            }
        }
        if clean.clone().count() > 1 {
            problems.push(Problem::FalseCompletion("two complete downloads".to_owned()));
        }
        let accepted = self.uploads.iter().filter(|upload| upload.status == Some(200));
        let delivered = clean.count() > 0
            || self.downloads.iter().any(|download| {
                download.faulted && plan.size - download.bytes.min(plan.size) <= IN_FLIGHT_MAX
            });
        for upload in accepted {
            if !delivered || !upload.complete {
                problems.push(Problem::FalseCompletion(format!(
                    "200 to an upload; sent: {}, delivered: {delivered}",
                    upload.complete
                )));
            }
        }
    }

    /// Agents are killed at any time, so that every call can be refused or interrupted.
    fn judge_call(&self, plan: &Plan, problems: &mut Vec<Problem>) {
        for upload in &self.uploads {
            // The service compares what it received; 422 is its status for a difference.
            if upload.status == Some(422) {
                problems.push(Problem::Corruption("in a call".to_owned()));
            }
            if upload.status == Some(200) && !upload.complete {
                let text = "200 to a call that was not sent completely".to_owned();
                problems.push(Problem::FalseCompletion(text));
            }
        }
        for download in &self.downloads {
            if let Some(at) = download.wrong {
                problems.push(Problem::Corruption(format!("byte {at} is not the API's")));
            }
            if download.is_clean() && download.bytes != plan.size {
                let received = download.bytes;
                let text = format!("complete response of {received} bytes, of {}", plan.size);
                problems.push(Problem::FalseCompletion(text));
            }
        }
    }

    fn judge_endings(&self, plan: &Plan, problems: &mut Vec<Problem>) {
        let mut unexpected = |text: String| problems.push(Problem::Unexpected(text));
        if let Some(status) = self.refused {
            return unexpected(format!("creation refused with {status}"));
        }
        // The old process forgets what it ends, and the new one knows only the waiting streams.
        if !self.moved {
            self.replies.iter().cloned().for_each(&mut unexpected);
        }
        if plan.is_honest() && !self.deleted {
            let accepted = self.uploads.iter().all(|upload| upload.status == Some(200));
            if !accepted || !self.downloads.iter().all(Outcome::is_clean) {
                unexpected("both sides did what is right, without success".to_owned());
            }
            return;
        }
        let allowed = Allowed::by(plan, self);
        for upload in &self.uploads {
            if upload.status.is_none_or(|status| !allowed.upload.contains(&status))
                && !(upload.status.is_none() && upload.faulted)
            {
                unexpected(format!("response {:?} to an upload", upload.status));
            }
        }
        for download in &self.downloads {
            let status = download.status;
            if status.is_none_or(|status| !allowed.download.contains(&status))
                && !(status.is_none() && download.faulted)
            {
                unexpected(format!("response {status:?} to a download"));
            }
        }
    }

    fn outcome(&self) -> String {
        if self.hangs {
            return "hangs".to_owned();
        }
        if let Some(status) = self.refused {
            return format!("creation {status}");
        }
        if self.downloads.iter().any(Outcome::is_clean) {
            return COMPLETE.to_owned();
        }
        if self.downloads.iter().any(Outcome::is_cut) {
            return "cut".to_owned();
        }
        let mut uploads = self.uploads.iter().rev().filter_map(|upload| upload.status);
        let mut downloads = self.downloads.iter().rev().filter_map(|download| download.status);
        let (upload, download) = (uploads.next(), downloads.next());
        if self.downloads.is_empty() && upload == Some(200) {
            return COMPLETE.to_owned();
        }
        let status = if self.downloads.is_empty() { upload } else { download };
        status.map_or("disconnected".to_owned(), |status| status.to_string())
    }
}

/// Statuses that a side can receive.
struct Allowed {
    upload: Vec<u16>,
    download: Vec<u16>,
}

impl Allowed {
    /// After what the clients did.
    fn by(plan: &Plan, observed: &Observed) -> Allowed {
        let (mut upload, mut download) = (vec![200], vec![200]);
        let did = |fault: Option<Fault>, act: Act| fault.is_some_and(|fault| fault.act == act);
        let fails = |fault: Option<Fault>| fault.is_some_and(|fault| !fault.is_fair());
        if fails(plan.source) {
            download.push(502);
        }
        if fails(plan.destination) {
            upload.push(502);
        }
        if did(plan.source, Act::HalfClose) {
            upload.push(400);
        }
        if did(plan.source, Act::Stall) {
            upload.push(408);
        }
        // A client that replaces another one can be late.
        if observed.uploads.len() > 1 || observed.downloads.len() > 1 {
            upload.extend([404, 429]);
            download.extend([404, 429]);
        }
        if plan.is_ended_by_other() || observed.deleted {
            upload.extend([404, 410, 418]);
            download.extend([404, 410, 418]);
        }
        let expires =
            fails(plan.source) || fails(plan.destination) || plan.rescue == Rescue::Expire;
        if expires {
            upload.extend([404, 504]);
            download.extend([404, 504]);
        }
        // A kept connection can lead to an old process.
        if observed.replaced {
            upload.push(503);
            download.push(503);
        }
        // The old process ends what is not complete, and the new one does not know it.
        if observed.moved {
            upload.extend([400, 404, 502]);
            download.extend([404, 502]);
        }
        Allowed { upload, download }
    }
}

#[cfg(test)]
#[allow(dead_code, unused_imports, reason = "these tests run in tests/sources/")]
mod tests;
