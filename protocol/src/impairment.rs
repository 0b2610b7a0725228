//! What delay and made-up sound cost a listener, in one currency, so that they can be weighed against each other.
//!
//! The currency is the rating R of the E-model (ITU-T G.107), 0 to 100, of which a call loses some by delay and some by
//! lost speech. Two things differ from the recommendation, on purpose:
//!
//! - Delay costs from the first millisecond, [`DELAY_PER_MS`], three times the G.107's 0.024 below 177 ms: friends
//!   who interrupt each other, sing or play notice what a telephone call does not.
//! - Sound that stands still and then goes on, as in a stall, loses nothing that is said and costs
//!   [`STANDSTILL_PER_PERCENT`], less than speech that is gone.

/// R for each ms from mouth to ear.
pub const DELAY_PER_MS: f32 = 0.07;

/// R for each per cent of speech that is made up: G.107's curve for a codec with concealment, where it is steepest.
pub const CONCEALED_PER_PERCENT: f32 = 4.5;

/// R for each per cent of time in which a voice is held up.
pub const STANDSTILL_PER_PERCENT: f32 = 1.5;

/// R for each copy of a frame that rides along: what it adds to a queue that others share.
pub const COPY: f32 = 1.2;
