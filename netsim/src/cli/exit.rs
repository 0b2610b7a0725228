//! How a command ended.

use std::process::ExitCode;

/// The exit codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went as expected.
    Fine,
    /// A run broke an invariant or missed an expectation.
    Failed,
    /// Wrong usage, or a file that cannot be read or written.
    Usage,
}

impl Exit {
    /// [`Failed`](Self::Failed) when something has failed.
    pub(super) fn failed_if(failed: bool) -> Self {
        if failed { Self::Failed } else { Self::Fine }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
        })
    }
}
