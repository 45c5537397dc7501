use super::*;

const SIZE: u64 = 100;

/// A plan in which both sides do what is right.
fn honest() -> Plan {
    let plan = (0..1000).map(Plan::of).find(|plan| {
        let quiet = plan.source.is_none() && plan.destination.is_none() && plan.other.is_none();
        quiet && plan.call.is_none()
    });
    Plan { size: SIZE, ..plan.expect("most plans are honest") }
}

/// A plan in which the source closes its connection after half of the body.
fn truncated() -> Plan {
    let fault = Fault { act: Act::Close, after: SIZE / 2, ragged: false };
    Plan { source: Some(fault), ..honest() }
}

/// A complete exchange, with these changes.
fn observed(change: impl FnOnce(&mut Outcome, &mut Outcome)) -> Observed {
    let ending = Some(Ending::Complete);
    let mut download = Outcome { status: Some(200), ending, bytes: SIZE, ..Outcome::default() };
    let mut upload = Outcome { complete: true, ..download.clone() };
    change(&mut upload, &mut download);
    Observed { uploads: vec![upload], downloads: vec![download], ..Observed::default() }
}

/// The names of the problems, for either kind of relay.
fn problems(plan: &Plan, observed: Observed, strictness: Strictness) -> Vec<&'static str> {
    let names =
        observed.judge(plan, strictness).problems.into_iter().map(|problem| match problem {
            Problem::Corruption(_) => "corruption",
            Problem::FalseCompletion(_) => "false completion",
            Problem::Hang => "hang",
            Problem::Unexpected(_) => "unexpected",
        });
    names.collect()
}

fn half(upload: &mut Outcome, download: &mut Outcome) {
    (upload.bytes, upload.complete, upload.faulted) = (SIZE / 2, false, true);
    (upload.status, upload.ending) = (None, None);
    (download.bytes, download.ending) = (SIZE / 2, Some(Ending::Closed));
}

#[test]
fn honest_outcomes_are_accepted_from_every_relay() {
    for strictness in [Strictness::Exact, Strictness::Faulty] {
        let complete = problems(&honest(), observed(|_, _| ()), strictness);
        let cut = problems(&truncated(), observed(half), strictness);
        assert_eq!((complete, cut), (Vec::new(), Vec::new()), "{strictness:?}");
    }
}

#[test]
fn false_outcomes_are_problems_of_every_relay() {
    let rows: [(&str, Plan, Observed, &[&str]); 6] = [
        ("a wrong byte", honest(), observed(|_, get| get.wrong = Some(3)), &["corruption"]),
        (
            "more bytes than were sent",
            truncated(),
            observed(|put, get| {
                half(put, get);
                get.bytes += 1;
            }),
            &["corruption"],
        ),
        (
            "a truncated upload that looks complete",
            truncated(),
            observed(|put, get| {
                half(put, get);
                get.ending = Some(Ending::Complete);
            }),
            &["false completion"],
        ),
        (
            "a chunked upload without its last chunk that looks complete",
            truncated(),
            observed(|put, _| (put.complete, put.status, put.faulted) = (false, None, true)),
            &["false completion"],
        ),
        (
            "200 to an upload whose download was cut",
            truncated(),
            observed(|put, get| {
                put.faulted = true;
                get.ending = Some(Ending::Reset);
            }),
            &["false completion"],
        ),
        ("no end", truncated(), Observed { hangs: true, ..observed(half) }, &["hang"]),
    ];
    for (name, plan, observed, expected) in rows {
        let found = problems(&plan, observed, Strictness::Faulty);
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_refusal_is_accepted_only_from_a_faulty_relay() {
    let refused = || {
        observed(|put, get| {
            (put.status, get.status, get.bytes) = (Some(502), Some(502), 0);
        })
    };
    assert_eq!(problems(&honest(), refused(), Strictness::Exact), ["unexpected"]);
    assert!(problems(&honest(), refused(), Strictness::Faulty).is_empty());
}
