//! Plots as SVG.
//!
//! All plots of a page are equally wide and have the same time axis at the same place, so that a cursor at one
//! share of the width means the same moment in all of them.

use super::plots::{Curve, Plot, Shape, Steps};
use plotters::backend::SVGBackend;
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{PathElement, Rectangle, Text};
use plotters::prelude::Cartesian2d;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, TextStyle};
use std::ops::Range;

/// Where the time axis begins and ends, as shares of the width.
pub(super) const TIME_AXIS: [f64; 2] = [LEFT as f64 / WIDTH as f64, (WIDTH - RIGHT) as f64 / WIDTH as f64];

/// Something that happened, at a time in s.
pub(super) struct Mark {
    pub(super) t: f64,
    pub(super) label: String,
}

/// Draws a plot over these seconds; what happened is a line across it.
pub(super) fn draw_plot(plot: &Plot, steps: Steps, seconds: &Range<f64>, marks: &[Mark]) -> String {
    let values = plot.curves.iter().flat_map(|curve| curve.values.iter().flatten().copied());
    let (lowest, highest) =
        values.fold((0.0_f64, plot.least_top), |(low, high), v| (low.min(v), high.max(v)));
    let margin = (highest - lowest) * 0.05;
    let bottom = if lowest < 0.0 { lowest.min(-plot.least_top) - margin } else { 0.0 };
    on_paper(PLOT_HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_top(6)
            .margin_left(MARGIN)
            .margin_right(RIGHT)
            .x_label_area_size(38)
            .y_label_area_size(LEFT - MARGIN)
            .build_cartesian_2d(seconds.clone(), bottom..highest + margin)
            .expect("drawing into memory cannot fail");
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(INK.mix(0.15))
            .light_line_style(INK.mix(0.0))
            .label_style(ink(13))
            .axis_desc_style(ink(14))
            .x_desc("time, s")
            .y_desc(plot.axis)
            .x_labels(16)
            .y_labels(5)
            .x_label_formatter(&short)
            .y_label_formatter(&short)
            .draw()
            .expect("drawing into memory cannot fail");
        let whole = [bottom, highest + margin];
        for mark in marks {
            let line = PathElement::new(whole.map(|y| (mark.t, y)), INK.mix(0.5));
            chart.draw_series([line]).expect("drawing into memory cannot fail");
        }
        for curve in &plot.curves {
            draw_curve(&mut chart, curve, steps);
        }
    })
}

/// Draws a strip with the names of what happened.
pub(super) fn draw_marks(seconds: &Range<f64>, marks: &[Mark]) -> String {
    on_paper(MARKS_HEIGHT, |area| {
        let mut chart = ChartBuilder::on(area)
            .margin_right(RIGHT)
            .y_label_area_size(LEFT)
            .build_cartesian_2d(seconds.clone(), 0.0..ROWS as f64)
            .expect("drawing into memory cannot fail");
        let length = seconds.end - seconds.start;
        for (at, mark) in marks.iter().enumerate() {
            // From row to row, so that what happens within moments can be read.
            let y = (ROWS - at % ROWS) as f64 - 0.5;
            let line = PathElement::new([(mark.t, 0.0), (mark.t, y)], INK.mix(0.5));
            chart.draw_series([line]).expect("drawing into memory cannot fail");
            let right_half = mark.t - seconds.start > length / 2.0;
            let (side, gap) = if right_half { (HPos::Right, -0.003) } else { (HPos::Left, 0.003) };
            let style = ink(13).pos(Pos::new(side, VPos::Center));
            let text = Text::new(mark.label.clone(), (mark.t + gap * length, y), style);
            chart.draw_series([text]).expect("drawing into memory cannot fail");
        }
    })
}

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

fn draw_curve(chart: &mut Chart<'_, '_>, curve: &Curve, Steps { from_s, step_s }: Steps) {
    let begin = |at: usize| from_s + at as f64 * step_s;
    let drawn = match curve.shape {
        Shape::Bars => {
            let bars = curve.values.iter().enumerate().filter_map(|(at, value)| {
                let value = value.filter(|value| *value != 0.0)?;
                Some(Rectangle::new([(begin(at), 0.0), (begin(at + 1), value)], curve.colour.filled()))
            });
            chart.draw_series(bars)
        }
        Shape::Line => {
            let values = curve.values.iter().enumerate().collect::<Vec<_>>();
            let unbroken = values.chunk_by(|a, b| a.1.is_some() == b.1.is_some());
            let lines = unbroken.filter_map(|values| {
                let steps = values.iter().filter_map(|(at, value)| {
                    let value = (**value)?;
                    Some([(begin(*at), value), (begin(at + 1), value)])
                });
                let points = steps.flatten().collect::<Vec<_>>();
                (!points.is_empty()).then(|| PathElement::new(points, curve.colour.stroke_width(2)))
            });
            chart.draw_series(lines)
        }
    };
    drawn.expect("drawing into memory cannot fail");
}

fn on_paper(height: u32, draw: impl FnOnce(&DrawingArea<SVGBackend<'_>, Shift>)) -> String {
    let mut text = String::new();
    let area = SVGBackend::with_string(&mut text, (WIDTH, height)).into_drawing_area();
    draw(&area);
    area.present().expect("drawing into memory cannot fail");
    drop(area);
    text
}

/// A tick's number without the digits that say nothing.
fn short(value: &f64) -> String {
    ((value * 1000.0).round() / 1000.0).to_string()
}

fn ink(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

/// Axes and words; the page's style knows it by this value.
const INK: RGBColor = RGBColor(0x33, 0x33, 0x33);
/// As wide as a page is on most screens; it scales with them.
const WIDTH: u32 = 1000;
const PLOT_HEIGHT: u32 = 170;
const MARKS_HEIGHT: u32 = 90;
/// Keeps the axis' name off the edge, where half of its letters would be cut off.
const MARGIN: u32 = 8;
/// Room for the margin, four digits and the axis' name.
const LEFT: u32 = 64;
const RIGHT: u32 = 14;
/// Of names of what happened.
const ROWS: usize = 5;
