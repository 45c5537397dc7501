//! The transfer planner at random pace: short counts, blocked ends, losses at any byte. The sink
//! receives head and body, or is visibly truncated; nothing hangs, and no byte of the next request
//! is lost.

use super::choices::Choices;
use super::flow::{Flow, Turn};
use super::upload::Upload;
use crate::rendezvous::transfer::Loss;

/// Fuzzes an upload, a destination, and the progress of both.
pub fn transfer(data: &[u8]) {
    let mut choices = Choices::new(data);
    let upload = Upload::choose(&mut choices);
    let lost_at = choices.one_in(4).then(|| {
        let bytes = choices.below(upload.wire.len() + 100);
        (bytes, choices.pick(&[Loss::Closed, Loss::Failed]))
    });
    let mut flow = Flow::new(upload, lost_at, &mut choices);
    let outcome = loop {
        if let Turn::Over(outcome) = flow.turn(&mut choices) {
            break outcome;
        }
        if choices.is_over() {
            flow.advance_to_the_end();
            let Turn::Over(outcome) = flow.turn(&mut choices) else { panic!("it hangs") };
            break outcome;
        }
        flow.advance(&mut choices);
    };
    flow.check_end(Some(outcome));
}
