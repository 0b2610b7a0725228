//! A log of what each peer's jitter buffer was given and asked, small enough to attach to a bug report.
//!
//! With it a call can be replayed without its sound: the same arrivals and pulls through the same buffer give the
//! same decisions, and so every glitch can be explained afterwards, or tried again with another depth.
//!
//! **What is in it.** Peers by number, in the order in which they came, and when they came and went. Of each frame that
//! arrived: when, its counters as sent (sequence, media time, duration), its marks, whether it is a copy, whether it
//! carries error correction for the frame before, and its size rounded up to [`SIZE_STEP`] bytes. When our device
//! asked for how many samples. How many samples stretching inserted or removed. The buffers' counters at the end.
//!
//! **What is not.** No sound, name, id, address, key, ticket, device, or date: times count from the start of the
//! program. Exact sizes of voice packets can betray words, even of encrypted calls (Wright et al., "Spot me if you
//! can", IEEE S&P 2008), so they are made coarse. What remains is who of the numbered peers talked when, and how well
//! the path worked.
//!
//! A call of two with frames and blocks of 10 ms takes 45 kB a minute while both talk: 8 bytes for each frame that
//! comes and the pulls until the next, and less in silence.
//!
//! The engine's tick pushes plain records into a bounded ring and never waits ([`LogSink`]); a thread of its own
//! encodes and writes them four times a second ([`LogWriter`]). When the disk stands still for longer than the ring
//! holds, records are dropped, and how many is noted in the file. Each write ends at a whole record and goes to the
//! file at once, so a crash costs a quarter of a second, and a file that was cut is read up to the cut.
//! The file is a header, then
//! records of a few bytes whose times and counters are differences: `format` has it bit by bit.

mod decoder;
mod encoder;
mod format;
mod record;
mod sink;
mod writer;

pub use decoder::{Decoder, Fault};
pub use encoder::Encoder;
pub use format::{HEADER_VERSION, PLACES_MAX, PULLS_MAX, SIZE_STEP};
pub use record::{Arrived, COUNTERS, Record, counters, report_of};
pub use sink::LogSink;
pub use writer::{LogDrain, LogWriter, by_hand, create};
