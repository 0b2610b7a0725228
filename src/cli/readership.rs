//! Does anybody still read what is printed?
//!
//! A call whose output leads nowhere must not go on with an open microphone, and a host that is alone prints nothing
//! from which it could notice. So the system is asked to tell: the writing end of a pipe reports an error as soon as
//! its reader is gone, and a terminal that it was hung up. Elsewhere than on Unix only printing tells.

use std::sync::Arc;
use tokio::sync::Notify;

/// Tells `gone` when standard output has no reader any more. Waits on a thread of its own, at no cost; a file always
/// has a reader.
#[cfg(unix)]
pub(super) fn watch(gone: Arc<Notify>) {
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::io::Errno;
    std::thread::spawn(move || {
        let stdout = rustix::stdio::stdout();
        // Errors and hang-ups are reported without being asked for.
        let mut wanted = [PollFd::new(&stdout, PollFlags::empty())];
        loop {
            match poll(&mut wanted, None) {
                Err(Errno::INTR) => {}
                Ok(_) if wanted[0].revents().intersects(PollFlags::ERR | PollFlags::HUP) => {
                    gone.notify_one();
                    return;
                }
                // Not something that can be watched.
                Ok(_) | Err(_) => return,
            }
        }
    });
}

#[cfg(not(unix))]
pub(super) fn watch(_gone: Arc<Notify>) {}
