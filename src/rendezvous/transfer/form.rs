//! An upload that is a form: only its first part is passed on, and all of it is parsed.

use super::{Transfer, TransferOutcome};
use crate::http::body::Malformed;
use crate::http::first_part::FormError;
use crate::http::response::HeadWriter;
use std::ops::Range;

impl Transfer {
    /// Takes the content of the form's first part out of these pieces, and keeps it: it may begin
    /// with bytes of an earlier read. None of the pieces remain.
    #[cold]
    pub(super) fn read_form(&mut self, bytes: &[u8], pieces: &mut Vec<Range<usize>>) {
        let Some(form) = &mut self.form else { return };
        let had_head = form.has_head();
        let mut pieces = pieces.drain(..);
        let read = pieces.try_for_each(|piece| form.received(&bytes[piece], &mut self.loose));
        if let Err(error) = read {
            self.form_broken(error);
        }
        self.add_part_fields(had_head);
        self.check_form_end();
    }

    fn form_broken(&mut self, error: FormError) {
        let outcome = TransferOutcome::SourceBroken(Malformed::Form(error));
        self.source_lost.get_or_insert(outcome);
    }

    /// Adds the fields of the part to the download's head, once they are known.
    pub(super) fn add_part_fields(&mut self, added: bool) {
        if let Some(form) = self.form.as_ref().filter(|form| form.has_head() && !added) {
            let mut lines = Vec::new();
            let _ = form.fields(HeadWriter::following(&mut lines));
            self.ahead.add_fields(&lines);
        }
    }

    /// Refuses a form that ended within its first part: that must not look complete.
    pub(super) fn check_form_end(&mut self) {
        let form = self.form.as_ref().filter(|_| self.upload.is_over());
        if let Some(error) = form.and_then(|form| form.end()) {
            self.form_broken(error);
        }
    }
}
