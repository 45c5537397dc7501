//! Files that a page saves.

use serde_json::{Value, json};

use crate::page::Page;
use crate::scene::Desk;

/// A download that ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Download {
    /// The name proposed by the page or the response, and used for the file.
    pub(crate) name: String,
    /// `completed` or `canceled`, which includes interrupted.
    pub(crate) state: String,
}

/// A download that was started.
pub(crate) struct Started<'p> {
    page: &'p Page<'p>,
    guid: String,
    pub(crate) name: String,
}

impl Page<'_> {
    /// Saves downloads of this user in a directory, without a question.
    pub(crate) fn save_in(&self, directory: &Desk) {
        let behavior = json!({
            "behavior": "allow",
            "browserContextId": self.context,
            "downloadPath": directory.directory(),
            "eventsEnabled": true,
        });
        self.browser().call("Browser.setDownloadBehavior", behavior);
        self.browser().keep(directory.shared());
    }

    /// Waits until a download starts.
    pub(crate) fn download(&self) -> Started<'_> {
        let found = self.browser().devtools().event(|event| {
            (event["method"] == "Browser.downloadWillBegin").then(|| event["params"].clone())
        });
        let found = found.expect("timeout: a download starts");
        let text = |name: &str| found[name].as_str().expect(name).to_owned();
        Started { page: self, guid: text("guid"), name: text("suggestedFilename") }
    }

    /// Waits until a download starts, and then ends.
    pub(crate) fn downloaded(&self) -> Download {
        self.download().ended()
    }
}

impl Started<'_> {
    /// Waits until this number of bytes was received.
    pub(crate) fn await_bytes(&self, bytes: u64) {
        let bytes = u128::from(bytes);
        self.progress("bytes arrive", |progress| {
            // A JSON number with a fraction.
            let received = progress["receivedBytes"].as_f64().expect("a number");
            (format!("{received:.0}").parse::<u128>().expect("a number") >= bytes).then_some(())
        });
    }

    /// Waits until it ended.
    pub(crate) fn ended(self) -> Download {
        let state = self.progress("the download ends", |progress| {
            let state = progress["state"].as_str().expect("a state");
            (state != "inProgress").then(|| state.to_owned())
        });
        Download { name: self.name, state }
    }

    /// Waits until `look` finds something in a report of the progress; each report resets the
    /// timeout.
    fn progress<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        loop {
            let report = self.page.browser().devtools().event(|event| {
                let of_this = event["params"]["guid"] == self.guid.as_str();
                let is_report = event["method"] == "Browser.downloadProgress" && of_this;
                is_report.then(|| event["params"].clone())
            });
            let report = report.unwrap_or_else(|| panic!("timeout: {what} of {}", self.name));
            if let Some(found) = look(&report) {
                return found;
            }
        }
    }
}
