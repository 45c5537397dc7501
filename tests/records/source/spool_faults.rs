//! A disk that fails, and fails again during the rollback: a refused record is never delivered.

use nix::sys::signal::Signal;

use crate::source::consumer::accept;
use crate::source::files::faulty;
use crate::source::process::{SourceProcess, text};
use crate::source::spool::{Spool, strs};
use crate::support::Process;

/// Bodies with the statuses of their responses; `None` without a response.
type Answers = Vec<(&'static str, Option<u16>)>;

/// Sends three records while calls fail, and kills the source.
fn answers(spool: &Spool, faults: &[&str]) -> Answers {
    let log = spool.parent().join("strace");
    let flags = spool.flags(&["--output", &spool.place().socket()]);
    let command = faulty(faults, log.to_str().expect("text"), &strs(&flags));
    let source = SourceProcess::of(Process::start(command));
    let answer = |body| source.start_post(body).try_response().ok().map(|answer| answer.status());
    let answers = ["one", "two", "three"].map(|body| (body, answer(body)));
    source.signal(Signal::SIGKILL);
    source.finish();
    answers.into()
}

/// The records delivered by the next process.
fn delivered(spool: &Spool) -> Vec<String> {
    let source = spool.start(&[]);
    assert_eq!(source.post("last").status(), 201);
    let listener = spool.place().listen();
    let mut consumer = accept(&listener);
    let bodies = std::iter::repeat_with(|| text(&consumer.line()));
    let bodies = bodies.take_while(|body| body != "last").collect();
    source.end();
    bodies
}

#[test]
fn after_double_faults_and_a_crash_no_refused_record_is_delivered() {
    for (name, faults) in [
        ("a record after others", &["fdatasync:error=EIO:when=2", "ftruncate:error=EIO"][..]),
        ("its truncation not synchronized", &["fdatasync:error=EIO:when=2..3"]),
        ("the first", &["fdatasync:error=EIO:when=1", "?unlink,?unlinkat:error=EIO"]),
        ("the first, in its directory", &["fsync:error=EIO"]),
        ("a write", &["pwrite64:error=EIO:when=2", "ftruncate:error=EIO"]),
    ] {
        let spool = Spool::new();
        // Its directory exists then, and needs no synchronization at the start.
        spool.start(&[]).end();
        let answers = answers(&spool, faults);
        let delivered = delivered(&spool);
        let context = format!("{name}: {answers:?}, {delivered:?}");
        assert!(answers.iter().any(|(_, status)| status.is_none()), "no fault in {context}");
        for (body, status) in &answers {
            let is_delivered = delivered.iter().any(|found| found == body);
            match status {
                Some(201) => assert!(is_delivered, "{body} is lost: {context}"),
                Some(_) => assert!(!is_delivered, "{body} was refused: {context}"),
                None => {}
            }
        }
    }
}
