//! Commands typed or piped in, one per line.
//!
//! Reading blocks and cannot be cancelled, so it has a thread of its own that ends with the program. Whatever
//! is on stdin, reading goes on to its end: a line that is no text or too long is an error, not the last one.

use super::lines::{HELP, who};
use crate::session::command::Command;
use crate::session::event::Event;
use crate::session::snapshot::Snapshot;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use tokio::sync::{Notify, mpsc, watch};

/// Longer than any command; keeps what is no text from filling the memory.
const LINE_BYTES_MAX: usize = 4096;

/// Where lines go.
pub(super) struct Input {
    pub(super) json: bool,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) events: mpsc::Sender<Event>,
    pub(super) snapshot: watch::Receiver<Snapshot>,
    /// Told of `leave` beside the command itself, since nobody takes commands before we are in.
    pub(super) leave: Arc<Notify>,
    /// Told when an answer finds no reader.
    pub(super) unread: Arc<Notify>,
}

impl Input {
    /// Reads stdin to its end.
    pub(super) fn spawn(self) {
        std::thread::spawn(move || {
            let read = self.read(io::stdin().lock(), &io::stdout());
            // A stdin that cannot be read is one without commands.
            if read.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
                self.unread.notify_one();
            }
        });
    }

    fn read(&self, mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
        while let Some(line) = next_line(&mut input)? {
            let Line::Text(line) = line else {
                self.refuse(format!("a line of more than {LINE_BYTES_MAX} bytes"));
                continue;
            };
            if line.trim().is_empty() {
                continue;
            }
            if !self.json && line.trim() == "help" {
                writeln!(output, "{HELP}")?;
                continue;
            }
            match line.parse() {
                Ok(Command::Status) if !self.json => {
                    let text = who(&self.snapshot.borrow());
                    writeln!(output, "{text}")?;
                }
                Ok(command) => {
                    if command == Command::Leave {
                        self.leave.notify_one();
                    }
                    if self.commands.blocking_send(command).is_err() {
                        return Ok(());
                    }
                }
                Err(error) => self.refuse(error.to_string()),
            }
        }
        Ok(())
    }

    fn refuse(&self, message: String) {
        let hint = if self.json { "" } else { "type help for all commands" };
        let _ = self.events.try_send(Event::Error { code: "bad_command", message, hint: hint.into() });
    }
}

enum Line {
    Text(String),
    TooLong,
}

/// The next line, or none at the end.
fn next_line(input: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut bytes = Vec::new();
    // One more for the end of the line.
    input.by_ref().take(LINE_BYTES_MAX as u64 + 1).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    if bytes.len() > LINE_BYTES_MAX && bytes.last() != Some(&b'\n') {
        input.skip_until(b'\n')?;
        return Ok(Some(Line::TooLong));
    }
    Ok(Some(Line::Text(String::from_utf8_lossy(&bytes).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::{Input, LINE_BYTES_MAX};
    use crate::session::command::Command;
    use crate::session::event::Event;
    use crate::session::snapshot::Snapshot;
    use std::io::{self, Write};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::sync::{Notify, mpsc, watch};

    /// What comes of this input: commands, and how many lines were refused.
    fn read(input: &[u8]) -> (Vec<Command>, usize) {
        let (commands, mut commanded) = mpsc::channel(16);
        let (events, mut refused) = mpsc::channel::<Event>(16);
        let (_snapshots, snapshot) = watch::channel(Snapshot::default());
        let reader =
            Input { json: true, commands, events, snapshot, leave: Arc::default(), unread: Arc::default() };
        reader.read(input, Vec::new()).unwrap();
        drop(reader);
        let commands = std::iter::from_fn(|| commanded.try_recv().ok()).collect();
        (commands, std::iter::from_fn(|| refused.try_recv().ok()).count())
    }

    #[test]
    fn bytes_that_are_no_text_do_not_end_the_commands() {
        assert_eq!(read(b"m\xfcte\nmute\n"), (vec![Command::Mute], 1));
    }

    #[test]
    fn a_line_without_end_is_refused_once_and_skipped() {
        let long = "mute ".repeat(10 * LINE_BYTES_MAX);
        assert_eq!(read(format!("{long}\nunmute").as_bytes()), (vec![Command::Unmute], 1));
        let longest = format!("{:LINE_BYTES_MAX$}\n", "mute");
        assert_eq!(read(longest.as_bytes()), (vec![Command::Mute], 0));
    }

    #[tokio::test]
    async fn to_leave_is_told_at_once_also_when_nobody_takes_commands() {
        let (commands, _untaken) = mpsc::channel(16);
        let (events, _unprinted) = mpsc::channel(16);
        let (_snapshots, snapshot) = watch::channel(Snapshot::default());
        let leave = Arc::new(Notify::new());
        let reader =
            Input { json: true, commands, events, snapshot, leave: leave.clone(), unread: Arc::default() };
        let read = tokio::task::spawn_blocking(move || reader.read(&b"mute\nleave\n"[..], Vec::new()));
        read.await.unwrap().unwrap();
        let told = tokio::time::timeout(Duration::from_secs(10), leave.notified()).await;
        assert!(told.is_ok(), "nobody is told");
    }

    /// An output that nobody reads.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_answer_that_nobody_reads_is_an_error_and_no_panic() {
        for question in ["help\n", "who\n"] {
            let (commands, _commanded) = mpsc::channel(1);
            let (events, _refused) = mpsc::channel(1);
            let (_snapshots, snapshot) = watch::channel(Snapshot::default());
            let reader = Input {
                json: false,
                commands,
                events,
                snapshot,
                leave: Arc::default(),
                unread: Arc::default(),
            };
            assert!(reader.read(question.as_bytes(), Gone).is_err());
        }
    }
}
