//! Two paths form a two-way connection, as `ssh` and tunnels use it.

use super::PATHS;
use crate::support::Relay;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command, Stdio};

/// One end of the line: a curl that sends its standard input, and one that prints what it receives.
struct End {
    sender: Child,
    receiver: Child,
}

fn curl(arguments: &[&str]) -> Child {
    let mut command = Command::new("curl");
    command.args(["-q", "-sSfN", "--noproxy", "*", "--max-time", "60"]).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("curl")
}

impl End {
    fn new(relay: &Relay, to: &str, from: &str) -> End {
        End { sender: curl(&["-T", "-", &relay.url(to)]), receiver: curl(&[&relay.url(from)]) }
    }

    fn write(&mut self, text: &[u8]) {
        let input = self.sender.stdin.as_mut().expect("its input");
        input.write_all(text).expect("write to curl");
        input.flush().expect("write to curl");
    }

    fn read(&mut self, count: usize) -> Vec<u8> {
        let mut text = vec![0; count];
        self.receiver.stdout.as_mut().expect("its output").read_exact(&mut text).expect("a reply");
        text
    }

    /// Ends what it sends.
    fn end(&mut self) {
        drop(self.sender.stdin.take());
    }

    /// Both its programs must succeed, with nothing more received.
    fn assert_success(self) {
        for program in [self.receiver, self.sender] {
            let output = program.wait_with_output().expect("curl");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout, b"");
        }
    }
}

#[test]
fn four_curls_are_an_interactive_line_both_ways() {
    let relay = Relay::start(&[PATHS]);
    let mut one = End::new(&relay, "/p/a2b", "/p/b2a");
    let mut other = End::new(&relay, "/p/b2a", "/p/a2b");
    // Each reply is sent only after what it replies to: nothing waits for more, or for an end.
    for round in 0..20 {
        let (question, reply) = (format!("question {round}\n"), format!("reply {round}\n"));
        one.write(question.as_bytes());
        assert_eq!(other.read(question.len()), question.as_bytes());
        other.write(reply.as_bytes());
        assert_eq!(one.read(reply.len()), reply.as_bytes());
    }
    one.end();
    other.end();
    one.assert_success();
    other.assert_success();
}
