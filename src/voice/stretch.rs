//! Making speech shorter or longer by whole pitch periods.
//!
//! One period is cut out, or played twice, where the sound resembles itself one period on (waveform
//! similarity overlap-add). Where it does not, nothing is changed, unless it is too quiet to matter; a
//! cut in a consonant is heard, a wait of some frames for the next vowel is not.

/// 2.5 to 15 ms at 48 kHz: voices of 400 to 67 Hz.
const PERIOD_MIN: usize = 120;
pub(super) const PERIOD_MAX: usize = 720;
/// The crossfade, and what is compared: 5 ms.
const OVERLAP: usize = 240;
/// The search runs on every fourth sample first: the periods wanted are far below 6 kHz.
const COARSE: usize = 4;
/// Least similarity (normalised correlation) to cut at, usually and when in a hurry.
const SIMILAR: f32 = 0.9;
const SIMILAR_URGENT: f32 = 0.6;
/// -50 dBFS as mean square: below it any place will do.
const QUIET_POWER: f32 = 1.0e-5;
/// Steps in which the queue is searched for a place, 2.5 ms.
const PLACE_STEP: usize = 120;

/// The outcome: how many samples there are now more, or less.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stretched {
    /// Index after the last valid sample.
    pub(super) end: usize,
    /// Samples inserted, or removed when negative.
    pub(super) samples: i32,
}

/// Removes one period of at most `samples_max` from `sound[from..end]`, if there is a good place.
/// What lies before `from` is not touched.
pub(super) fn shorten(
    sound: &mut [f32],
    from: usize,
    end: usize,
    samples_max: usize,
    urgent: bool,
) -> Stretched {
    let unchanged = Stretched { end, samples: 0 };
    let end = end.min(sound.len());
    let mut place = from;
    while place + OVERLAP + PERIOD_MIN <= end {
        let period_max = (end - place - OVERLAP).min(samples_max).min(PERIOD_MAX);
        let lags = |period: usize| place + period;
        if let Some(period) = best_period(sound, place, period_max, urgent, lags) {
            // From the sound here over to the sound one period later.
            for n in 0..OVERLAP {
                let fade = fade(n);
                sound[place + n] = sound[place + n] * (1.0 - fade) + sound[place + period + n] * fade;
            }
            sound.copy_within(place + period + OVERLAP..end, place + OVERLAP);
            return Stretched { end: end - period, samples: -(period as i32) };
        }
        place += PLACE_STEP;
    }
    unchanged
}

/// Repeats one period in `sound[from..end]`, if there is a good place and room for it behind `end`.
/// What lies before `from` may be what is repeated, but is not touched.
pub(super) fn lengthen(sound: &mut [f32], from: usize, end: usize, urgent: bool) -> Stretched {
    let unchanged = Stretched { end, samples: 0 };
    let end = end.min(sound.len());
    let room = sound.len() - end;
    let mut place = from;
    while place + OVERLAP <= end {
        let period_max = place.min(room).min(PERIOD_MAX);
        let lags = |period: usize| place - period;
        if let Some(period) = best_period(sound, place, period_max, urgent, lags) {
            // What follows the seam is moved; the seam then fades from the sound here over to the sound one
            // period before, both read ahead of where is written.
            sound.copy_within(place..end, place + period);
            for n in 0..OVERLAP.max(period) {
                let before = if n < period { sound[place + n - period] } else { sound[place + n] };
                sound[place + n] = if n < OVERLAP {
                    sound[place + period + n] * (1.0 - fade(n)) + before * fade(n)
                } else {
                    before
                };
            }
            return Stretched { end: end + period, samples: period as i32 };
        }
        place += PLACE_STEP;
    }
    unchanged
}

/// Rises from 0 to 1 over the overlap.
fn fade(n: usize) -> f32 {
    (n as f32 + 0.5) / OVERLAP as f32
}

/// The period at which the sound at `place` and at `lag(period)` are most alike, if alike enough.
fn best_period(
    sound: &[f32],
    place: usize,
    period_max: usize,
    urgent: bool,
    lag: impl Fn(usize) -> usize,
) -> Option<usize> {
    if period_max < PERIOD_MIN {
        return None;
    }
    let here = &sound[place..place + OVERLAP];
    let power = here.iter().map(|sample| sample * sample).sum::<f32>() / OVERLAP as f32;
    if power < QUIET_POWER {
        let farthest = &sound[lag(period_max)..lag(period_max) + OVERLAP];
        let power_there = farthest.iter().map(|sample| sample * sample).sum::<f32>() / OVERLAP as f32;
        if power_there < QUIET_POWER {
            return Some(period_max);
        }
    }
    let mut best = (f32::MIN, PERIOD_MIN);
    for period in (PERIOD_MIN..=period_max).step_by(COARSE) {
        let there = &sound[lag(period)..lag(period) + OVERLAP];
        best = better(best, (similarity(here, there, COARSE), period));
    }
    let around = best.1.saturating_sub(COARSE - 1).max(PERIOD_MIN)..=(best.1 + COARSE - 1).min(period_max);
    best.0 = f32::MIN;
    for period in around {
        let there = &sound[lag(period)..lag(period) + OVERLAP];
        best = better(best, (similarity(here, there, 1), period));
    }
    let threshold = if urgent { SIMILAR_URGENT } else { SIMILAR };
    (best.0 >= threshold).then_some(best.1)
}

fn better(a: (f32, usize), b: (f32, usize)) -> (f32, usize) {
    if b.0 > a.0 { b } else { a }
}

/// Normalised correlation over every `step`th sample, -1 to 1.
fn similarity(a: &[f32], b: &[f32], step: usize) -> f32 {
    let (mut product, mut power_a, mut power_b) = (0.0, 1.0e-9, 1.0e-9);
    for (a, b) in a.iter().step_by(step).zip(b.iter().step_by(step)) {
        product += a * b;
        power_a += a * a;
        power_b += b * b;
    }
    product / (power_a * power_b).sqrt()
}

#[cfg(test)]
mod tests {
    use super::{PERIOD_MAX, PERIOD_MIN, lengthen, shorten};

    /// A voice of `hertz`: harmonics that fall off.
    fn vowel(hertz: f32, len: usize) -> Vec<f32> {
        let harmonic = |n: usize, k: f32| (n as f32 / 48_000.0 * hertz * k * std::f32::consts::TAU).sin() / k;
        (0..len).map(|n| 0.2 * (harmonic(n, 1.0) + harmonic(n, 2.0) + harmonic(n, 3.0))).collect()
    }

    fn noise(len: usize) -> Vec<f32> {
        let mut state = 1_u32;
        (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                state as f32 / u32::MAX as f32 - 0.5
            })
            .collect()
    }

    fn steepest(sound: &[f32]) -> f32 {
        sound.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_vowel_loses_or_gains_a_whole_number_of_periods_without_a_click() {
        for hertz in [90.0, 125.0, 210.0, 330.0] {
            // It swells, so that a seam without a crossfade would be a step.
            let swell = |(n, sample): (usize, f32)| sample * n as f32 / 2_880.0;
            let original: Vec<f32> = vowel(hertz, 2_880).into_iter().enumerate().map(swell).collect();
            let limit = steepest(&original) * 1.1;
            let mut sound = original.clone();
            let shorter = shorten(&mut sound, 960, 2_400, PERIOD_MAX, false);
            let longer_sound = &mut original.clone();
            let longer = lengthen(longer_sound, 960, 2_000, false);
            assert!(shorter.samples < 0 && longer.samples > 0, "{hertz} {shorter:?} {longer:?}");
            for stretched in [shorter, longer] {
                let periods = stretched.samples.abs() as f32 * hertz / 48_000.0;
                assert!((periods - periods.round()).abs() < 0.03, "{hertz} Hz: {periods} periods");
            }
            assert_eq!(shorter.end as i32, 2_400 + shorter.samples);
            assert!(steepest(&sound[..shorter.end]) <= limit, "{hertz}");
            assert!(steepest(&longer_sound[..longer.end]) <= limit, "{hertz}");
            assert_eq!(sound[..960], original[..960]);
            assert_eq!(longer_sound[..960], original[..960]);
        }
    }

    #[test]
    fn loud_noise_is_left_alone_and_silence_is_cut_freely() {
        let mut hiss = noise(2_880);
        assert_eq!(shorten(&mut hiss, 960, 2_400, PERIOD_MAX, false).samples, 0);
        assert_eq!(lengthen(&mut hiss, 960, 2_000, false).samples, 0);
        let mut silence = vec![0.0; 2_880];
        let cut = shorten(&mut silence, 960, 2_400, PERIOD_MAX, false).samples;
        assert_eq!(cut, -(PERIOD_MAX as i32));
    }

    #[test]
    fn no_more_is_removed_than_allowed() {
        let mut sound = vowel(125.0, 2_880);
        assert_eq!(shorten(&mut sound, 960, 2_400, 300, false).samples, 0);
        assert_eq!(shorten(&mut sound, 960, 2_400, PERIOD_MIN - 1, true).samples, 0);
    }
}
