//! Handing records over: in order, each whole, each once to each consumer. Whether a record went out
//! is known here alone, so what becomes of those who wait for it is said here alone.
//!
//! A thread of its own does it, and waits for the consumer where that takes a while. As long as the
//! consumer keeps up the event loop does it itself, between two of those waits: to wake the thread,
//! and to be woken by it, would cost more than the record.
//!
//! A consumer that takes nothing for too long, or that is gone, leaves records that were not begun:
//! their senders are told to come again later, and they are never handed over afterwards.

use super::acks::{Acks, Said};
use super::clock::now;
use super::line::Line;
use super::output::Output;
use super::questions::{Answers, Questions};
use super::work::{Order, Work};
use crate::api::Busy;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, IoSlice, Read as _};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Lines written by one system call.
const LINES_PER_WRITE: usize = 64;

/// How often an output that nobody is at is tried again.
const RETRY: Duration = Duration::from_millis(100);

/// Where lines come from, and who is told what became of them.
pub trait Feed: Send {
    /// Moves what is to be handed over behind `lines`.
    fn take(&mut self, lines: &mut VecDeque<Line>);

    /// These were handed over, and acknowledged where that is asked for.
    fn created(&mut self, lines: Vec<Line>);

    /// These were not, and will not be.
    fn refused(&mut self, lines: Vec<Line>, busy: Busy);

    /// Whether lines are kept elsewhere, so that they can wait as long as it takes.
    fn is_durable(&self) -> bool;

    /// When it wants to be asked for lines, whatever else there is.
    fn next_deadline(&self) -> Option<Instant>;

    /// Lines that came would be refused for this reason, or would not.
    fn close(&mut self, why: Option<Busy>);

    /// Nobody takes lines any more, and nobody will.
    fn end(&mut self);
}

/// Where acknowledgements come from.
#[derive(Debug)]
pub enum Acknowledging {
    /// None are asked for.
    No,
    /// Standard input.
    Stdin,
    /// The output itself, a socket.
    Output,
}

/// How long a consumer may take.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// To take anything.
    pub hand_over: Duration,
    /// To acknowledge what it took.
    pub acknowledge: Duration,
}

/// The state of handing over.
#[derive(Debug)]
pub struct Delivery<F> {
    feed: F,
    /// Where orders come from, and what wakes the thread.
    work: Arc<Work>,
    output: Output,
    acknowledging: Acknowledging,
    acks: Acks,
    patience: Patience,
    /// Not handed over yet.
    lines: VecDeque<Line>,
    /// Bytes of the first one that were.
    sent: u64,
    /// A part of the first one, and how much of it was sent.
    piece: (Vec<u8>, usize),
    /// Handed over, and not acknowledged yet; and until when that may take.
    unacknowledged: BTreeMap<Uuid, (Line, Instant)>,
    /// Since when nothing moved that should.
    stuck: Option<Instant>,
    /// What new lines are refused for.
    closed: Option<Busy>,
    /// The consumer is gone for good; until when that is still told.
    gone: Option<Instant>,
    /// A consumer that was not asked to say anything will say nothing more.
    is_silent: bool,
    /// A file kept nothing; when it is tried again.
    again: Option<Instant>,
    /// What the thread waits for.
    asked: Questions,
}

/// Whether there is more to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// All that was taken went out, and the feed may have more.
    More,
    Done,
    Ended,
}

/// Hands over until it is told to end, or nobody is there any more.
pub fn run<F: Feed>(delivery: &Mutex<Delivery<F>>) {
    let lock = || -> MutexGuard<'_, Delivery<F>> {
        delivery.lock().unwrap_or_else(PoisonError::into_inner)
    };
    let work = Arc::clone(&lock().work);
    loop {
        let mut state = lock();
        match state.step() {
            Step::More => continue,
            Step::Done => {}
            Step::Ended => return,
        }
        state.asked = state.questions();
        let questions = state.asked.clone();
        drop(state);
        if let Some(answers) = questions.ask(&work) {
            lock().act(answers);
        }
    }
}

impl<F: Feed> Delivery<F> {
    /// Ready to hand over.
    pub fn new(
        feed: F,
        work: Arc<Work>,
        output: Output,
        (acknowledging, patience): (Acknowledging, Patience),
    ) -> Self {
        Self {
            feed,
            work,
            output,
            acknowledging,
            acks: Acks::default(),
            patience,
            lines: VecDeque::new(),
            sent: 0,
            piece: (Vec::new(), 0),
            unacknowledged: BTreeMap::new(),
            stuck: None,
            closed: None,
            gone: None,
            is_silent: false,
            again: None,
            asked: Questions::default(),
        }
    }

    fn step(&mut self) -> Step {
        self.look_at_the_clock();
        if self.gone.is_some_and(|until| until <= now()) {
            self.refuse_all(Busy::ConsumerGone);
            self.feed.end();
            return Step::Ended;
        }
        let order = self.work.order();
        if order == Order::GiveUp {
            self.feed.take(&mut self.lines);
            self.hear_what_was_said();
            self.refuse_all(Busy::Stopping);
            return Step::Ended;
        }
        self.feed.take(&mut self.lines);
        let took = !self.lines.is_empty();
        self.send();
        if took && self.lines.is_empty() && self.gone.is_none() {
            return Step::More;
        }
        if self.gone.is_some() {
            self.refuse_all(Busy::ConsumerGone);
        }
        if order == Order::Finish && self.is_finished() { Step::Ended } else { Step::Done }
    }

    /// Whether nothing is left, or only what is kept elsewhere and nobody takes.
    fn is_finished(&self) -> bool {
        if self.lines.is_empty() && self.unacknowledged.is_empty() {
            return true;
        }
        let now = now();
        let stuck = self.stuck.is_some_and(|since| since + self.patience.hand_over <= now);
        let late = self.unacknowledged.values().next().is_some_and(|(_, until)| *until <= now);
        self.feed.is_durable() && (stuck || late)
    }

    /// Hands over what is new, if that takes no waiting; whether the thread may go on to wait for
    /// what it waits for. The event loop calls it.
    pub fn hand_at_once(&mut self) -> bool {
        if !self.lines.is_empty() && self.gone.is_none() {
            // It waits for the consumer, and then takes what is new.
            return true;
        }
        if self.gone.is_some() || self.output.is_file() {
            return false;
        }
        self.feed.take(&mut self.lines);
        if self.lines.iter().any(|line| line.rest.is_some()) {
            return false;
        }
        self.send();
        self.asked.cover(&self.questions())
    }

    /// Writes what there is until the output takes no more.
    fn send(&mut self) {
        if self.again.is_some_and(|at| now() < at) {
            return;
        }
        let (mut done, stuck) = (Vec::new(), self.stuck);
        let written = self.write(&mut done);
        let kept = if done.is_empty() { Ok(()) } else { self.output.sync() };
        if self.output.is_file()
            && let Err(error) = written.as_ref().and(kept.as_ref())
        {
            if self.feed.is_durable() && self.again.is_none() {
                log::error!("records could not be written, and wait in the spool: {error}");
            } else if !self.feed.is_durable() {
                log::error!("a record could not be written: {error}");
            }
            self.stuck = stuck;
            return self.not_kept(done);
        }
        self.again = None;
        if !done.is_empty() {
            self.reopen_to_new(None);
            self.hand(done);
        }
        if let Err(error) = written {
            self.lose_output(&error);
        }
        if self.lines.is_empty() {
            self.stuck = None;
        } else if self.stuck.is_none() {
            self.stuck = Some(now());
        }
    }

    fn write(&mut self, done: &mut Vec<Line>) -> io::Result<()> {
        while !self.lines.is_empty() {
            let Some(count) = self.write_once()? else { return Ok(()) };
            self.advance(count, done);
        }
        Ok(())
    }

    /// Writes what of the first line is next, and with its end the lines behind it.
    fn write_once(&mut self) -> io::Result<Option<usize>> {
        let Some(first) = self.lines.front() else { return Ok(None) };
        let head_left = first.head.get(usize::try_from(self.sent).unwrap_or(usize::MAX)..);
        if let Some(head) = head_left.filter(|left| !left.is_empty()) {
            let mut slices = vec![IoSlice::new(head)];
            if first.rest.is_none() {
                let following = self.lines.iter().skip(1).take_while(|line| line.rest.is_none());
                let following = following.take(LINES_PER_WRITE - 1);
                slices.extend(following.map(|line| IoSlice::new(&line.head)));
            }
            return self.output.write(&slices);
        }
        let (piece, sent) = &mut self.piece;
        if *sent == piece.len() {
            first.piece(self.sent, piece)?;
            *sent = 0;
        }
        self.output.write(&[IoSlice::new(&piece[*sent..])])
    }

    /// So many bytes went out: these lines are whole now.
    fn advance(&mut self, count: usize, done: &mut Vec<Line>) {
        self.stuck = None;
        if self.piece.1 < self.piece.0.len() {
            self.piece.1 += count;
        }
        self.sent += count as u64;
        while let Some(first) = self.lines.front()
            && self.sent >= first.len()
        {
            self.sent -= first.len();
            done.extend(self.lines.pop_front());
            self.piece = (Vec::new(), 0);
        }
    }

    fn hand(&mut self, lines: Vec<Line>) {
        if matches!(self.acknowledging, Acknowledging::No) {
            return self.feed.created(lines);
        }
        let until = now() + self.patience.acknowledge;
        self.unacknowledged.extend(lines.into_iter().map(|line| (line.position, (line, until))));
    }

    /// A file did not keep what it was given: what is not whole there is taken away again.
    fn not_kept(&mut self, done: Vec<Line>) {
        let whole: u64 = done.iter().map(Line::len).sum();
        let cut = self.output.cut(self.sent + whole);
        self.rewind();
        let mut lines = done;
        lines.extend(self.lines.drain(..));
        if self.feed.is_durable() {
            // Kept elsewhere, so it is only a matter of time.
            self.lines = lines.into();
            self.stuck.get_or_insert_with(now);
            self.again = Some(now() + RETRY);
        } else {
            self.feed.refused(lines, Busy::Storage);
        }
        // The next record would stand behind the beginning of this one; a new process takes that away.
        if let Err(error) = cut {
            log::error!("the beginning of a record could not be taken back: {error}");
            self.lose(&error, true);
        }
    }

    /// The next byte is the first of a line.
    fn rewind(&mut self) {
        self.sent = 0;
        self.piece = (Vec::new(), 0);
    }

    fn lose_output(&mut self, why: &io::Error) {
        self.hear_what_was_said();
        self.lose(why, !self.output.returns());
    }

    /// The consumer is not there any more. One that comes next gets again what was not acknowledged.
    fn lose(&mut self, why: &io::Error, for_good: bool) {
        log::warn!("the consumer is gone: {why}");
        self.rewind();
        self.again = None;
        self.acks.forget();
        self.is_silent = false;
        for (_, (line, _)) in std::mem::take(&mut self.unacknowledged).into_iter().rev() {
            self.lines.push_front(line);
        }
        self.output.close();
        if for_good {
            self.gone = Some(now() + self.patience.hand_over);
            self.reopen_to_new(Some(Busy::ConsumerGone));
        }
    }

    /// Whether new lines are taken.
    fn reopen_to_new(&mut self, closed: Option<Busy>) {
        if self.closed != closed {
            self.closed = closed;
            self.feed.close(closed);
        }
    }

    fn refuse_all(&mut self, busy: Busy) {
        self.rewind();
        let waiting = std::mem::take(&mut self.unacknowledged).into_values().map(|(line, _)| line);
        let lines: Vec<Line> = waiting.chain(self.lines.drain(..)).collect();
        if !lines.is_empty() {
            self.feed.refused(lines, busy);
        }
    }

    /// What there is to wait for.
    fn questions(&self) -> Questions {
        let wants_out = !self.lines.is_empty() || self.closed.is_some();
        let wants_out = wants_out && self.again.is_none();
        let out = if wants_out { PollFlags::POLLOUT } else { PollFlags::empty() };
        let output = if self.hears_output() { out | PollFlags::POLLIN } else { out };
        Questions {
            output: self.output.shared().map(|descriptor| (descriptor, output)),
            stdin: matches!(self.acknowledging, Acknowledging::Stdin) && self.gone.is_none(),
            until: self.next_deadline(),
        }
    }

    /// Whether what the consumer says through the output is read.
    fn hears_output(&self) -> bool {
        match self.acknowledging {
            Acknowledging::Output => self.output.is_socket(),
            // A consumer that acknowledges unasked would be stuck after about 300 lines if nobody
            // took them. Standard output is left alone: others may read from the same socket.
            Acknowledging::No => {
                self.output.is_socket() && self.output.returns() && !self.is_silent
            }
            Acknowledging::Stdin => false,
        }
    }

    fn act(&mut self, Answers { output, stdin }: Answers) {
        if !stdin.is_empty() {
            self.hear_stdin();
        }
        if output.contains(PollFlags::POLLIN) {
            self.hear_output();
        }
        if output.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL)
            && self.output.shared().is_some()
        {
            self.lose_output(&io::ErrorKind::BrokenPipe.into());
        } else if output.contains(PollFlags::POLLOUT) && self.gone.is_none() {
            self.reopen_to_new(None);
        }
    }

    fn hear_stdin(&mut self) {
        let mut buffer = [0; 16 << 10];
        match io::stdin().lock().read(&mut buffer) {
            Ok(0) => {
                self.lose(&io::Error::other("acknowledgements ended"), true);
            }
            Ok(count) => self.hear(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.lose(&error, true),
        }
    }

    /// Who left may have acknowledged before, and what was said is still there to be read: without it
    /// the record would be handed over twice, or its sender told that it was not.
    fn hear_what_was_said(&mut self) {
        let mut buffer = [0; 16 << 10];
        loop {
            let heard = match self.acknowledging {
                Acknowledging::No => return,
                Acknowledging::Output => self.output.hear(&mut buffer).ok().flatten(),
                Acknowledging::Stdin if !stdin_is_readable() => return,
                Acknowledging::Stdin => io::stdin().lock().read(&mut buffer).ok(),
            };
            match heard {
                None | Some(0) => return,
                Some(count) => self.hear(&buffer[..count]),
            }
        }
    }

    fn hear_output(&mut self) {
        let mut buffer = [0; 16 << 10];
        let is_asked = matches!(self.acknowledging, Acknowledging::Output);
        match self.output.hear(&mut buffer) {
            // It may go on reading.
            Ok(Some(0)) if !is_asked => self.is_silent = true,
            Ok(Some(_)) if !is_asked => {}
            Ok(Some(0)) => self.lose_output(&io::ErrorKind::UnexpectedEof.into()),
            Ok(Some(count)) => self.hear(&buffer[..count]),
            Ok(None) => {}
            Err(error) => self.lose_output(&error),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let mut done = Vec::new();
        for said in self.acks.take(bytes) {
            match said {
                Said::Acknowledged(position) => match self.unacknowledged.remove(&position) {
                    Some((line, _)) => done.push(line),
                    None => log::warn!("{position} waits for no acknowledgement"),
                },
                Said::Nonsense(text) => log::warn!("no acknowledgement: {text}"),
            }
        }
        if !done.is_empty() {
            self.feed.created(done);
        }
    }

    /// Whether a consumer that is not there is waited for. One that acknowledges elsewhere, and does so
    /// no more, is not.
    fn may_return(&self) -> bool {
        self.gone.is_none() && self.output.returns() && self.output.shared().is_none()
    }

    /// Whether nobody waits for an answer any more.
    fn is_finishing(&self) -> bool {
        self.work.order() == Order::Finish
    }

    /// Records that cannot be refused any more; when all else is done, none.
    fn begun(&self) -> usize {
        usize::from(self.sent > 0 && !self.is_finishing())
    }

    /// When something has to be looked at, whatever comes.
    fn next_deadline(&self) -> Option<Instant> {
        let absent = self.may_return();
        // While it ends even what is kept elsewhere does not wait for ever.
        let durable = self.feed.is_durable() && self.work.order() == Order::Go;
        // Some may have come in just before it was closed to new ones.
        let can_refuse = self.closed.is_none() || self.lines.len() > self.begun();
        let limited = !durable && can_refuse;
        [
            absent.then(|| now() + RETRY),
            self.stuck.filter(|_| limited).map(|since| since + self.patience.hand_over),
            self.unacknowledged.values().next().map(|(_, until)| *until).filter(|_| !durable),
            self.gone,
            self.again,
            self.feed.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn look_at_the_clock(&mut self) {
        let now = now();
        if self.may_return() && self.output.reopen() {
            log::info!("a consumer is there");
            self.reopen_to_new(None);
        }
        let patient = self.feed.is_durable()
            || self.stuck.is_none_or(|since| now < since + self.patience.hand_over);
        if !patient {
            self.give_up_on_waiting();
        }
        // What is kept elsewhere is acknowledged when it is, or sent again to the next consumer.
        while !self.feed.is_durable()
            && let Some(late) = self.unacknowledged.first_entry().filter(|late| late.get().1 <= now)
        {
            let (line, _) = late.remove();
            self.feed.refused(vec![line], Busy::ConsumerSlow);
        }
    }

    /// What was not begun is refused, and what comes, until the consumer takes something again. When all
    /// else is done, a process that could be stuck for ever would be worse than half a line at the end.
    fn give_up_on_waiting(&mut self) {
        let absent = self.output.shared().is_none();
        let busy = if absent { Busy::ConsumerGone } else { Busy::ConsumerSlow };
        let begun = self.begun();
        if self.is_finishing() && self.sent > 0 {
            log::error!("the consumer did not take the last record to its end");
            self.rewind();
        }
        let lines: Vec<Line> = self.lines.drain(begun..).collect();
        if !lines.is_empty() {
            self.feed.refused(lines, busy);
        }
        self.reopen_to_new(Some(busy));
    }
}

fn stdin_is_readable() -> bool {
    let stdin = io::stdin();
    let mut question = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    poll(&mut question, PollTimeout::ZERO).is_ok_and(|answers| answers > 0)
}
