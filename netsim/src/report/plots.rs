//! What is plotted of one direction, and what it says under each plot.

use crate::outcome::{Direction, Sample};
use plotters::style::RGBColor;

/// A plot over time.
pub(super) struct Plot {
    /// What it is called.
    pub(super) title: &'static str,
    /// What it shows and how to read it, in a sentence or two.
    pub(super) reading: &'static str,
    /// The vertical axis' name and unit.
    pub(super) axis: &'static str,
    /// The vertical axis reaches at least this far, so that next to nothing doesn't look like a lot.
    pub(super) least_top: f64,
    /// What is in it.
    pub(super) curves: Vec<Curve>,
}

/// One series of values.
pub(super) struct Curve {
    /// As the page's script knows it.
    pub(super) key: &'static str,
    /// As its reader knows it.
    pub(super) name: &'static str,
    /// Of the values.
    pub(super) unit: &'static str,
    /// On light ground; the page's style replaces it by name on dark.
    pub(super) colour: RGBColor,
    /// How it is drawn.
    pub(super) shape: Shape,
    /// One for each step.
    pub(super) values: Vec<Option<f64>>,
}

/// How a curve is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A line that holds each value for its step and has gaps where there is none.
    Line,
    /// Bars from zero.
    Bars,
}

/// The time axis: where the first step begins and how long each is, s.
#[derive(Debug, Clone, Copy)]
pub(super) struct Steps {
    pub(super) from_s: f64,
    pub(super) step_s: f64,
}

/// All plots of a direction, with the time axis of their values.
pub(super) fn plots(direction: &Direction) -> (Steps, Vec<Plot>) {
    let series = &direction.series;
    // Several samples to a step when there are more than the plot has room for.
    let each = series.len().div_ceil(STEPS_MAX).max(1);
    let from_s = series.first().map_or(0.0, |sample| f64::from(sample.t));
    let mean_s =
        series.last().map_or(0.0, |last| f64::from(last.t) - from_s) / (series.len().max(2) - 1) as f64;
    // Times are single precision; what is meant are ms.
    let mean_s = (mean_s * 1000.0).round() / 1000.0;
    let sample_s = if mean_s > 0.0 { mean_s } else { SAMPLE_S };
    let curve = |key, name, unit, colour, shape, together: Together, value: fn(&Sample) -> Option<f32>| {
        let values = series.chunks(each).map(|chunk| together.of(chunk.iter().filter_map(value))).collect();
        Curve { key, name, unit, colour, shape, values }
    };
    let ([blue, orange, green, red, violet], line, bars) = (COLOURS, Shape::Line, Shape::Bars);
    let plots = vec![
        Plot {
            title: "Delay",
            reading: "How long a word takes from mouth to ear, and how long its packets were on the way. The space \
                      between is devices, codec and buffer; gaps are silence.",
            axis: "delay, ms",
            least_top: 100.0,
            curves: vec![
                curve("mouth_to_ear_ms", "mouth to ear", "ms", blue, line, Together::Largest, |s| {
                    s.mouth_to_ear_ms
                }),
                curve("network_ms", "network, slowest packet", "ms", orange, line, Together::Largest, |s| {
                    s.network_ms
                }),
            ],
        },
        Plot {
            title: "Buffer",
            reading: "What the jitter buffer holds and what it aims for. Good is a target just above what the \
                      network's delay varies by: higher costs delay, lower makes packets late.",
            axis: "sound held, ms",
            least_top: 50.0,
            curves: vec![
                curve("depth_ms", "depth", "ms", blue, line, Together::Mean, |s| Some(s.depth_ms)),
                curve("target_ms", "target", "ms", green, line, Together::Mean, |s| Some(s.target_ms)),
                curve(
                    "neteq_target_ms",
                    "target of a NetEQ model",
                    "ms",
                    violet,
                    line,
                    Together::Mean,
                    |s| Some(s.neteq_target_ms),
                ),
            ],
        },
        Plot {
            title: "Losses",
            reading: "Packets that never arrived. Those without a bar in the next plot below them were made good \
                      by copies in later packets.",
            axis: "packets",
            least_top: 5.0,
            curves: vec![curve("lost", "packets lost", "", orange, bars, Together::Sum, |s| {
                Some(f32::from(s.lost))
            })],
        },
        Plot {
            title: "Concealment",
            reading: "Speech that was made up because the real one was lost or late. Above about 60 ms in a row it \
                      is heard as a gap.",
            axis: "made up, ms",
            least_top: 50.0,
            curves: vec![curve("concealed_ms", "concealed", "ms", red, bars, Together::Sum, |s| {
                Some(s.concealed_ms)
            })],
        },
        Plot {
            title: "Stretching",
            reading: "Sound inserted to let the buffer grow (above zero) and removed to let it shrink (below). A \
                      little is not heard; much sounds hurried or slurred.",
            axis: "inserted, ms",
            least_top: 20.0,
            curves: vec![curve("stretched_ms", "stretched", "ms", violet, bars, Together::Sum, |s| {
                Some(s.stretched_ms)
            })],
        },
    ];
    (Steps { from_s, step_s: sample_s * each as f64 }, plots)
}

/// How the samples of a step become one value.
#[derive(Debug, Clone, Copy)]
enum Together {
    Largest,
    Mean,
    Sum,
}

impl Together {
    fn of(self, values: impl Iterator<Item = f32>) -> Option<f64> {
        let values = values.filter(|value| value.is_finite()).map(f64::from).collect::<Vec<_>>();
        let sum = values.iter().sum::<f64>();
        let largest = values.iter().copied().reduce(f64::max)?;
        Some(match self {
            Self::Largest => largest,
            Self::Mean => sum / values.len() as f64,
            Self::Sum => sum,
        })
    }
}

/// Blue, orange, green, red and violet, told apart by colour-blind readers too (after Okabe and Ito). The page's
/// style knows them by these values.
pub(super) const COLOURS: [RGBColor; 5] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xC7, 0x6E, 0x00),
    RGBColor(0x00, 0x8A, 0x63),
    RGBColor(0xC4, 0x3C, 0x1B),
    RGBColor(0x9A, 0x4F, 0x86),
];
/// A plot is about this many pixels wide; more would only make the page larger. Two minutes at 100 ms.
const STEPS_MAX: usize = 1200;
/// What a sample stands for when there are too few to tell.
const SAMPLE_S: f64 = 0.1;
