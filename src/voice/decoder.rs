//! The Opus decoder of libopus, as [`VoicePlayer`](super::player) needs it: 48 kHz, one channel, `f32`.
//!
//! The crate `opus`, which encodes for us, has no name for a decoder's complexity, and that is what turns on the
//! neural concealment of libopus 1.6. So this calls libopus directly, and is the one place of this crate that is
//! allowed `unsafe`. What libopus checks by itself is left to it: that a packet is well-formed (RFC 6716, section 3.4)
//! and that sound made up is a multiple of 2.5 ms. Checked here is what it takes on trust: that lengths are those of
//! the memory they belong to, fit its integers, and ask for no more of the stack than its longest packet does.
//!
//! After [`Decoder::new`] nothing allocates, in libopus neither.

#![allow(unsafe_code)]

use opusic_sys::{
    OPUS_SET_COMPLEXITY_REQUEST, OpusDecoder, opus_decode_float, opus_decoder_create, opus_decoder_ctl,
    opus_decoder_destroy, opus_packet_get_nb_samples,
};
use protocol::media::SAMPLE_RATE;
use std::ffi::c_int;
use std::ptr::{NonNull, null};

/// 120 ms, the longest packet of Opus. libopus lays out as many samples on the stack as it is asked for.
const SAMPLES_MAX: usize = 5_760;

/// What a decoder of voices is set to: from 5 on lost voice is made up by a neural network. That takes 0.4 ms of
/// processor for the first 20 ms of a gap, 0.1 ms for each further 20, and nothing while nothing is lost. More than 5
/// is for libopus' OSCE, which is not built: PESQ-WB 4.43 at 6 and 4.41 at 7 instead of 4.40 for frames of 20 ms at
/// 40 kbit/s, the same for 10 ms, and up to three times the cost of every frame.
pub const COMPLEXITY: u8 = if cfg!(feature = "neural") { 5 } else { 0 };

/// Why no sound came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecoderError {
    /// libopus could not allocate its state.
    #[error("libopus makes no decoder: out of memory")]
    OutOfMemory,
    /// Not an Opus packet, or one that is longer than the sound asked for.
    #[error("not an Opus packet, or longer than expected")]
    Packet,
    /// No sound was asked for, more than 120 ms, or no multiple of 2.5 ms where one is needed.
    #[error("Opus cannot make sound of this length")]
    Length,
}

/// One stream's decoder.
#[derive(Debug)]
pub struct Decoder {
    state: NonNull<OpusDecoder>,
}

// SAFETY: libopus' state is plain memory with one owner, and libopus keeps nothing per thread.
unsafe impl Send for Decoder {}

impl Decoder {
    /// Allocates all that will ever be needed.
    ///
    /// # Errors
    /// [`DecoderError::OutOfMemory`].
    pub fn new() -> Result<Self, DecoderError> {
        let mut error = 0;
        // SAFETY: `error` outlives the call; rate and channels are among those that libopus knows.
        let state = unsafe { opus_decoder_create(SAMPLE_RATE as i32, 1, &raw mut error) };
        NonNull::new(state).map(|state| Self { state }).ok_or(DecoderError::OutOfMemory)
    }

    /// From 0, at which it is created, to 10, the limit of larger ones.
    pub fn set_complexity(&mut self, complexity: u8) {
        let complexity = c_int::from(complexity.min(10));
        // SAFETY: the state is valid until drop and borrowed alone; this request reads one 32-bit integer.
        let result = unsafe {
            opus_decoder_ctl(self.state.as_ptr(), OPUS_SET_COMPLEXITY_REQUEST as c_int, complexity)
        };
        debug_assert_eq!(result, 0, "libopus takes complexities from 0 to 10");
    }

    /// Samples that `packet` decodes to.
    ///
    /// # Errors
    /// [`DecoderError::Packet`].
    pub fn samples_of(packet: &[u8]) -> Result<usize, DecoderError> {
        let length = packet_length(packet)?;
        // SAFETY: libopus reads at most `length` bytes of `packet`, which is at least one.
        let samples = unsafe { opus_packet_get_nb_samples(packet.as_ptr(), length, SAMPLE_RATE as i32) };
        usize::try_from(samples).map_err(|_| DecoderError::Packet)
    }

    /// Decodes `packet` to the beginning of `out`; tells how many samples that were.
    ///
    /// # Errors
    /// [`DecoderError::Packet`], also when `out` is too short for it, and [`DecoderError::Length`].
    pub fn decode(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, DecoderError> {
        self.call(Some(packet), out, false)
    }

    /// Fills `out` with what was before `packet`, from the copy in it, or made up as far as it holds none.
    ///
    /// # Errors
    /// [`DecoderError::Packet`], and [`DecoderError::Length`] unless `out` is a multiple of 2.5 ms.
    pub fn decode_before(&mut self, packet: &[u8], out: &mut [f32]) -> Result<usize, DecoderError> {
        whole_ticks(out)?;
        self.call(Some(packet), out, true)
    }

    /// Fills `out` with what might have followed.
    ///
    /// # Errors
    /// [`DecoderError::Length`] unless `out` is a multiple of 2.5 ms.
    pub fn conceal(&mut self, out: &mut [f32]) -> Result<usize, DecoderError> {
        whole_ticks(out)?;
        self.call(None, out, false)
    }

    fn call(&mut self, packet: Option<&[u8]>, out: &mut [f32], before: bool) -> Result<usize, DecoderError> {
        let (bytes, length) = match packet {
            Some(packet) => (packet.as_ptr(), packet_length(packet)?),
            None => (null(), 0),
        };
        if out.is_empty() || out.len() > SAMPLES_MAX {
            return Err(DecoderError::Length);
        }
        let room = c_int::try_from(out.len()).map_err(|_| DecoderError::Length)?;
        // SAFETY: the state is valid until drop and borrowed alone; it reads at most `length` of
        // the packet's bytes, none when that is null and 0, and writes at most `room` samples of one channel to `out`.
        let samples = unsafe {
            opus_decode_float(self.state.as_ptr(), bytes, length, out.as_mut_ptr(), room, c_int::from(before))
        };
        usize::try_from(samples).map_err(|_| DecoderError::Packet)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        // SAFETY: made by `opus_decoder_create`, freed here only, and nobody has it any more.
        unsafe { opus_decoder_destroy(self.state.as_ptr()) };
    }
}

/// An empty packet is none: libopus would conceal.
fn packet_length(packet: &[u8]) -> Result<i32, DecoderError> {
    match i32::try_from(packet.len()) {
        Ok(length) if length > 0 => Ok(length),
        Ok(_) | Err(_) => Err(DecoderError::Packet),
    }
}

fn whole_ticks(out: &[f32]) -> Result<(), DecoderError> {
    match out.len().is_multiple_of(protocol::media::TICK_SAMPLES) {
        true => Ok(()),
        false => Err(DecoderError::Length),
    }
}

#[cfg(test)]
mod tests {
    use super::{COMPLEXITY, Decoder, DecoderError, SAMPLES_MAX};
    use opus::{Application, Channels, Encoder};
    use proptest::prelude::*;

    const FRAME: usize = 960;

    /// Half a second of a buzz, in frames of 20 ms; low delay is CELT alone.
    fn packets(application: Application) -> Vec<Vec<u8>> {
        let mut encoder = Encoder::new(48_000, Channels::Mono, application).expect("an encoder");
        encoder.set_inband_fec(true).expect("it knows error correction");
        encoder.set_packet_loss_perc(20).expect("a percentage");
        let sample = |i: usize| {
            let t = i as f32 / 48_000.0 * std::f32::consts::TAU;
            (1..20).map(|h| 0.1 * (t * 140.0 * h as f32).sin() / h as f32).sum()
        };
        let frame = |n: usize| (n * FRAME..(n + 1) * FRAME).map(sample).collect::<Vec<f32>>();
        (0..25).map(|n| encoder.encode_vec_float(&frame(n), 400).expect("it encodes")).collect()
    }

    /// The 20 ms made up after `packets` at a complexity.
    fn made_up(packets: &[Vec<u8>], complexity: u8) -> Vec<f32> {
        let mut decoder = Decoder::new().expect("a decoder");
        decoder.set_complexity(complexity);
        let mut out = vec![0.0; FRAME];
        for packet in packets {
            assert_eq!(Decoder::samples_of(packet), Ok(FRAME));
            assert_eq!(decoder.decode(packet, &mut out), Ok(FRAME));
        }
        assert!(out.iter().any(|sample| sample.abs() > 0.1), "the buzz is heard");
        assert_eq!(decoder.conceal(&mut out), Ok(FRAME));
        out
    }

    #[test]
    fn lost_voice_is_made_up_by_the_network_exactly_where_it_was_built_in() {
        for application in [Application::LowDelay, Application::Voip] {
            let packets = packets(application);
            let differs = made_up(&packets, COMPLEXITY) != made_up(&packets, 0);
            assert_eq!(differs, cfg!(feature = "neural"), "{application:?}");
            // Asking for it is no error where there is none.
            assert_eq!(made_up(&packets, 10) != made_up(&packets, 0), cfg!(feature = "neural"));
        }
    }

    #[test]
    fn a_packet_carries_what_was_before_it() {
        let packets = packets(Application::Voip);
        let mut decoder = Decoder::new().expect("a decoder");
        let mut out = [0.0; FRAME];
        for packet in &packets[..20] {
            decoder.decode(packet, &mut out).expect("it decodes");
        }
        assert_eq!(decoder.decode_before(&packets[21], &mut out), Ok(FRAME));
        assert!(out.iter().any(|sample| sample.abs() > 0.1), "{out:?}");
    }

    #[test]
    fn lengths_that_opus_cannot_make_are_refused() {
        let packet = &packets(Application::Voip)[0];
        let mut decoder = Decoder::new().expect("a decoder");
        let mut out = vec![0.0; 10_000_080];
        for length in [0, SAMPLES_MAX + 120, out.len()] {
            assert_eq!(decoder.decode(packet, &mut out[..length]), Err(DecoderError::Length), "{length}");
            assert_eq!(decoder.decode_before(packet, &mut out[..length]), Err(DecoderError::Length));
            assert_eq!(decoder.conceal(&mut out[..length]), Err(DecoderError::Length));
        }
        assert_eq!(decoder.conceal(&mut out[..121]), Err(DecoderError::Length));
        assert_eq!(decoder.decode_before(packet, &mut out[..121]), Err(DecoderError::Length));
        assert_eq!(decoder.decode(packet, &mut out[..FRAME - 1]), Err(DecoderError::Packet));
        assert_eq!(decoder.decode(&[], &mut out[..FRAME]), Err(DecoderError::Packet));
        assert_eq!(Decoder::samples_of(&[]), Err(DecoderError::Packet));
        assert_eq!(decoder.conceal(&mut out[..SAMPLES_MAX]), Ok(SAMPLES_MAX));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Hardly any of these is a packet; a few are, and decode to noise.
        #[test]
        fn arbitrary_bytes_write_nothing_beyond_the_sound_asked_for(
            steps in prop::collection::vec((0..3, prop::collection::vec(any::<u8>(), 0..400), 0..6_000_usize), 1..20),
        ) {
            let mut decoder = Decoder::new().expect("a decoder");
            decoder.set_complexity(COMPLEXITY);
            let mut memory = vec![7.0; 6_500];
            for (what, packet, length) in steps {
                let out = &mut memory[..length];
                let made = match what {
                    0 => decoder.decode(&packet, out),
                    1 => decoder.decode_before(&packet, out),
                    _ => decoder.conceal(out),
                };
                prop_assert!(made.is_err() || made.is_ok_and(|made| 0 < made && made <= length));
                prop_assert!(memory[length..].iter().all(|sample| *sample == 7.0));
                memory.fill(7.0);
            }
        }
    }
}
