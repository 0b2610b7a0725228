//! The `--json` view: one event per line, flushed per line.

use crate::session::event::Event;
use std::io::Write;
use std::time::Instant;

/// Writes events to stdout.
pub(super) struct JsonView {
    started: Instant,
}

impl JsonView {
    pub(super) fn new(started: Instant) -> Self {
        Self { started }
    }

    /// Prints one event. Fails when nobody reads any more.
    pub(super) fn show(&self, event: &Event) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", event.to_json(self.started.elapsed().as_secs_f64()))?;
        out.flush()
    }
}
