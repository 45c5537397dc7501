//! A spool behaves like a list of records under any sequence of operations.

use super::super::test_records::{at, long_line};
use super::super::*;
use super::{folder, open, records};
use proptest::prelude::*;
use std::io::Write as _;
use tempfile::TempDir;

/// An operation; numbers are taken modulo the valid range.
#[derive(Debug, Clone)]
enum Act {
    /// Append records of these sizes at once.
    Append(Vec<usize>),
    /// Append one record in pieces of this size.
    Pieces(usize, usize),
    /// Start an append, and abort it.
    GiveUp(usize),
    /// Deliver this many records.
    Commit(u64),
    Save,
    /// Reopen the spool, with this many torn bytes after the last record.
    Reopen(usize),
    /// Read after this record.
    Read(u64),
}

fn act() -> impl Strategy<Value = Act> {
    let size =
        || prop_oneof![8 => 80..400_usize, 1 => 65_000..66_000_usize, 1 => 80..200_000_usize];
    prop_oneof![
        4 => prop::collection::vec(size(), 1..5).prop_map(Act::Append),
        1 => (size(), 1..70_000_usize).prop_map(|(bytes, piece)| Act::Pieces(bytes, piece)),
        1 => (0..79_usize).prop_map(Act::GiveUp),
        3 => (0..6_u64).prop_map(Act::Commit),
        2 => Just(Act::Save),
        1 => (0..79_usize).prop_map(Act::Reopen),
        2 => any::<u64>().prop_map(Act::Read),
    ]
}

/// A spool and its expected contents: record `n` is `all[n - 1]`.
struct Model {
    folder: TempDir,
    limits: SpoolLimits,
    opened: Option<Opened>,
    follower: Option<SpoolReader>,
    followed: usize,
    all: Vec<String>,
    delivered: u64,
    saved: u64,
}

impl Model {
    fn new(limits: SpoolLimits) -> Self {
        let folder = folder();
        let all = Vec::new();
        let mut model = Self {
            folder,
            limits,
            opened: None,
            follower: None,
            followed: 0,
            all,
            delivered: 0,
            saved: 0,
        };
        model.reopen(0);
        model
    }

    fn last(&self) -> u64 {
        self.all.len() as u64
    }

    fn act(&mut self, act: Act) {
        let next = self.last() + 1;
        let opened = self.opened.as_mut().expect("it is open");
        match act {
            Act::Append(sizes) => {
                let new: Vec<_> = (next..).zip(sizes).map(|(n, size)| long_line(n, size)).collect();
                opened.writer.append(new.concat().as_bytes(), at(next)).unwrap();
                self.all.extend(new);
            }
            Act::Pieces(bytes, piece) => {
                let record = long_line(next, bytes);
                let mut append = opened.writer.begin(at(next)).unwrap();
                record.as_bytes().chunks(piece).for_each(|piece| append.write(piece).unwrap());
                append.finish().unwrap();
                self.all.push(record);
            }
            Act::GiveUp(bytes) => {
                let record = long_line(next, 80);
                opened.writer.begin(at(next)).unwrap().write(&record.as_bytes()[..bytes]).unwrap();
            }
            Act::Commit(count) => {
                self.delivered = (self.delivered + count).min(next - 1);
                opened.spool.commit(at(self.delivered));
            }
            Act::Save => {
                opened.spool.save().unwrap();
                self.saved = self.delivered;
            }
            Act::Reopen(torn) => self.reopen(torn),
            Act::Read(number) => self.read(number % (next + 1)),
        }
        self.check();
    }

    fn reopen(&mut self, torn: usize) {
        self.follower = None;
        let last = self.opened.take().and_then(|opened| {
            let newest = opened.spool.shared.state().segments.back().copied();
            newest.map(|segment| opened.spool.shared.directory.segment(segment.first))
        });
        let torn = if last.is_some() { torn } else { 0 };
        if let Some(path) = last {
            let mut file = File::options().append(true).open(path).unwrap();
            file.write_all(&long_line(self.last() + 1, 80).as_bytes()[..torn]).unwrap();
        }
        let opened = open(&self.folder, self.limits);
        assert_eq!(opened.cut_bytes, torn as u64);
        self.delivered = self.saved;
        self.followed = usize::try_from(self.delivered).unwrap();
        self.follower = Some(opened.spool.reader(Start::Cursor).unwrap().0);
        self.opened = Some(opened);
    }

    /// Checks that a reader gets all records after a given one, except removed ones.
    fn read(&self, number: u64) {
        let spool = &self.opened.as_ref().expect("it is open").spool;
        let (mut reader, found) = spool.reader(Start::Behind(at(number))).unwrap();
        let (read, gone) = records(&mut reader);
        let removed = self.last()
            - spool.shared.state().segments.iter().fold(0, |sum, segment| {
                sum + u64::try_from(segment.last.as_u128() - segment.first.as_u128()).unwrap() + 1
            });
        let first = usize::try_from(number.max(removed).min(self.last())).unwrap();
        assert!(read == self.all[first..], "behind {number}, {removed} removed");
        let known = number > 0 && number <= self.last();
        let expected = match (number < removed, known) {
            (true, _) => StartPoint::Gone,
            (false, true) => StartPoint::Next,
            (false, false) => StartPoint::Unknown,
        };
        assert_eq!((found, gone), (expected, 0), "behind {number}, {removed} removed");
    }

    fn check(&mut self) {
        let spool = &self.opened.as_ref().expect("it is open").spool;
        let delivered = usize::try_from(self.delivered).unwrap();
        assert_eq!(spool.delivered().unwrap_or(at(0)), at(self.delivered));
        let waiting: u64 = self.all[delivered..].iter().map(|record| record.len() as u64).sum();
        assert!(spool.undelivered_bytes() >= waiting, "never too low");
        assert!(waiting > 0 || spool.undelivered_bytes() == 0, "nothing waits");
        // A follower misses only records that were delivered before it read them.
        let (read, gone) = records(self.follower.as_mut().expect("it follows"));
        assert!(read == self.all[self.all.len() - read.len()..], "in order, to the end");
        let missed = self.all.len() - self.followed - read.len();
        assert!(missed == 0 && gone == 0, "{missed} missed, {gone} times");
        self.followed = self.all.len();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_spool_behaves_like_a_list(
        segment_bytes in 1..2000_u64,
        keep_bytes in prop_oneof![Just(0), 0..5000_u64],
        acts in prop::collection::vec(act(), 0..40),
    ) {
        let limits = SpoolLimits { segment_bytes, max_bytes: 1 << 30, keep_bytes };
        let mut model = Model::new(limits);
        for act in acts {
            model.act(act);
        }
    }
}
