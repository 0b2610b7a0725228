//! A page for a browser: one file that refers to nothing outside itself.
//!
//! It is well-formed XML as well as HTML, so that a test can tell whether all text in it is escaped. The script
//! draws only the cursor and the values beneath it; everything else is there without it.

use super::layout::number;
use super::outcome::{DIRECTION_HEADER, direction_cells};
use super::plots::{Plot, Steps, plots};
use super::sound::small_wav;
use super::svg::{Mark, TIME_AXIS, draw_marks, draw_plot};
use crate::outcome::{Direction, Outcome};
use data_encoding::BASE64;
use plotters::style::RGBColor;
use std::fmt::Write;
use std::ops::Range;

/// The page of a run.
pub fn page(outcome: &Outcome) -> String {
    let mut html = String::new();
    let title = format!("{}, seed {}", outcome.scenario, outcome.seed);
    let title = escaped(&title);
    let description = escaped(&outcome.description);
    push(
        &mut html,
        format_args!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<title>{title}</title>\n\
             <meta name=\"viewport\" content=\"width=device-width\"/>\n<style>/*<![CDATA[*/\n{STYLE}/*]]>*/</style>\n\
             </head>\n<body>\n<h1>{title}</h1>\n<p>{description}</p>\n"
        ),
    );
    verdict(&mut html, outcome);
    overview(&mut html, outcome);
    let seconds = 0.0..if outcome.simulated_s > 0.0 { outcome.simulated_s } else { 1.0 };
    let mut sound_left = SOUND_BYTES_MAX;
    for (at, direction) in outcome.directions.iter().take(SECTIONS_MAX).enumerate() {
        section(&mut html, outcome, direction, at == 0, &seconds, &mut sound_left);
    }
    if let Some(more @ 1..) = outcome.directions.len().checked_sub(SECTIONS_MAX) {
        push(
            &mut html,
            format_args!("<p>And {more} more voices and listeners, whose values are in --json.</p>\n"),
        );
    }
    timeline(&mut html, outcome);
    push(&mut html, format_args!("<script>/*<![CDATA[*/\n{SCRIPT}/*]]>*/</script>\n</body>\n</html>\n"));
    html
}

fn verdict(html: &mut String, outcome: &Outcome) {
    let wrong = outcome.violations.iter().map(|text| format!("Invariant broken: {text}"));
    let wrong =
        wrong.chain(outcome.unmet.iter().map(|text| format!("Not as expected: {text}"))).collect::<Vec<_>>();
    if !wrong.is_empty() {
        let items = wrong.iter().map(|text| format!("<li>{}</li>", escaped(text))).collect::<String>();
        push(html, format_args!("<ul class=\"wrong\">{items}</ul>\n"));
    }
}

/// The table of all directions.
fn overview(html: &mut String, outcome: &Outcome) {
    let row = |cells: &[String], cell: &str| {
        let cells =
            cells.iter().map(|text| format!("<{cell}>{}</{cell}>", escaped(text).replace('\n', "<br/>")));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let head = row(&DIRECTION_HEADER.map(str::to_owned), "th");
    let rows =
        outcome.directions.iter().map(|direction| row(&direction_cells(direction), "td")).collect::<String>();
    push(
        html,
        format_args!(
            "<div class=\"wide\"><table>\n<thead>{head}</thead>\n<tbody>{rows}</tbody>\n</table></div>\n"
        ),
    );
    let members = outcome.members.iter().map(|member| {
        let connected = match member.connect_ms {
            Some(ms) => format!("connected to all after {} ms", number(ms, 0)),
            None => "never connected to all".into(),
        };
        format!("<li>{}: {connected}, lost someone {} times</li>", escaped(&member.name), member.times_lost)
    });
    let dropped = outcome
        .dropped
        .iter()
        .map(|(reason, count)| format!("<li>{count} packets dropped: {}</li>", escaped(reason)));
    push(html, format_args!("<ul>{}</ul>\n", members.chain(dropped).collect::<String>()));
}

/// One direction: its sound, its plots, and the values in them for the script.
fn section(
    html: &mut String,
    outcome: &Outcome,
    direction: &Direction,
    open: bool,
    seconds: &Range<f64>,
    sound_left: &mut usize,
) {
    let Direction { from, to, .. } = direction;
    let (from, to) = (escaped(from), escaped(to));
    let open = if open { " open=\"open\"" } else { "" };
    push(html, format_args!("<details class=\"direction\"{open}>\n<summary>{to} hears {from}</summary>\n"));
    sound(html, direction, sound_left);
    let marks = marks(outcome, direction);
    let strip = draw_marks(seconds, &marks);
    push(
        html,
        format_args!(
            "<figure><div class=\"plot\">{strip}</div>\n<figcaption>{MARKS_READING}</figcaption></figure>\n"
        ),
    );
    let (steps, plots) = plots(direction);
    for plot in &plots {
        figure(html, plot, &draw_plot(plot, steps, seconds, &marks));
    }
    let values = values(steps, seconds, &plots);
    push(html, format_args!("<script type=\"application/json\">{values}</script>\n</details>\n"));
}

fn sound(html: &mut String, direction: &Direction, sound_left: &mut usize) {
    let Some(sound) = &direction.sound else { return };
    let encoded_len = BASE64.encode_len(sound.len() / 3 * 2);
    let Some(left) = sound_left.checked_sub(encoded_len) else {
        push(
            html,
            format_args!(
                "<p>The sound is left out, as the page would grow too large; --wav writes it.</p>\n"
            ),
        );
        return;
    };
    *sound_left = left;
    let encoded = BASE64.encode(&small_wav(sound));
    push(
        html,
        format_args!(
            "<p>What was heard; a click in a plot goes to that moment.</p>\n\
             <audio controls=\"controls\" preload=\"metadata\" src=\"data:audio/wav;base64,{encoded}\"></audio>\n"
        ),
    );
}

fn figure(html: &mut String, plot: &Plot, svg: &str) {
    let keys = plot.curves.iter().map(|curve| {
        let RGBColor(r, g, b) = curve.colour;
        let (key, name, unit) = (curve.key, curve.name, curve.unit);
        format!(
            "<span class=\"key\"><svg width=\"12\" height=\"12\" viewBox=\"0 0 12 12\"><rect width=\"12\" height=\"12\" \
             fill=\"#{r:02X}{g:02X}{b:02X}\"/></svg> {name} <output data-series=\"{key}\">–</output> {unit}</span>\n"
        )
    });
    push(
        html,
        format_args!(
            "<figure><h2>{}</h2>\n<p class=\"keys\">{}</p>\n<div class=\"plot\">{svg}</div>\n<figcaption>{}</figcaption></figure>\n",
            plot.title,
            keys.collect::<String>(),
            plot.reading
        ),
    );
}

/// The plots' values as JSON that can stand in HTML: it holds no text but the keys, and tenths are fine enough.
fn values(steps: Steps, seconds: &Range<f64>, plots: &[Plot]) -> String {
    let curves = plots.iter().flat_map(|plot| &plot.curves).map(|curve| {
        let values = curve.values.iter().map(|value| match value {
            Some(value) => ((value * 10.0).round() / 10.0).to_string(),
            None => "null".into(),
        });
        format!("\"{}\":[{}]", curve.key, values.collect::<Vec<_>>().join(","))
    });
    let [left, right] = TIME_AXIS;
    format!(
        "{{\"from\":{},\"step\":{},\"begin\":{},\"end\":{},\"left\":{left},\"right\":{right},\"series\":{{{}}}}}",
        steps.from_s,
        steps.step_s,
        seconds.start,
        seconds.end,
        curves.collect::<Vec<_>>().join(",\n")
    )
}

/// What happened to the world and to either end of a direction.
fn marks(outcome: &Outcome, direction: &Direction) -> Vec<Mark> {
    let concerns = |who: &str| who.is_empty() || who == direction.from || who == direction.to;
    let happenings = outcome.timeline.iter().filter(|happening| concerns(&happening.who)).take(MARKS_MAX);
    let mark = happenings.map(|happening| {
        let label = if happening.who.is_empty() {
            happening.what.clone()
        } else {
            format!("{}: {}", happening.who, happening.what)
        };
        let mut short = label.chars().filter(|c| !c.is_control()).take(LABEL_MAX).collect::<String>();
        if label.chars().count() > LABEL_MAX {
            short.push('…');
        }
        Mark { t: happening.t, label: short }
    });
    mark.collect()
}

fn timeline(html: &mut String, outcome: &Outcome) {
    let items = outcome.timeline.iter().map(|happening| {
        let who = if happening.who.is_empty() { "network" } else { &happening.who };
        format!("<li>{} s, {}: {}</li>\n", number(happening.t, 2), escaped(who), escaped(&happening.what))
    });
    push(html, format_args!("<h2>What happened</h2>\n<ul>{}</ul>\n", items.collect::<String>()));
}

/// A text that is no mark-up, whatever is in it.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            '\n' => escaped.push('\n'),
            // XML can hold no control characters, escaped or not.
            control if control.is_control() || ('\u{fffe}'..='\u{ffff}').contains(&control) => {
                escaped.push('\u{fffd}')
            }
            other => escaped.push(other),
        }
    }
    escaped
}

fn push(html: &mut String, text: std::fmt::Arguments<'_>) {
    html.write_fmt(text).expect("a String takes everything");
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const MARKS_READING: &str = "What happened to either end and to the network; the lines go on through all plots, which share one time axis.";
/// Eight people hear 56 voices; plots of all that 32 hear would be 100 megabytes.
const SECTIONS_MAX: usize = 56;
/// Twelve minutes of one voice; a group's page would else be of hundreds of megabytes.
const SOUND_BYTES_MAX: usize = 32 << 20;
/// More would cover each other.
const MARKS_MAX: usize = 40;
const LABEL_MAX: usize = 36;
