//! What came of a run, for people and for programs.
//!
//! [`outcome_table`] is for one run on a terminal, [`Summary`] for many, [`matrix_table`] and [`comparison`] for
//! those side by side; [`page()`] is a page for a browser with plots over time and the sound. None of them knows how
//! a call works: all they have is an [`Outcome`](crate::outcome::Outcome).

mod compare;
mod layout;
mod logs;
mod matrix;
mod outcome;
mod page;
mod plots;
mod sound;
mod summary;
mod svg;

pub use compare::comparison;
pub use layout::Layout;
pub use logs::write_rtlogs;
pub use matrix::{Medians, matrix_rows, matrix_table};
pub use outcome::outcome_table;
pub use page::page;
pub use sound::write_wavs;
pub use summary::Summary;
