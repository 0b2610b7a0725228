//! `roundtable demo`: a real call between two processes on this machine, judged by what was heard.
//!
//! The two are this very program, started as `host` and `join`. Their microphones are files of human speech,
//! their speakers are files too; everything between is the real thing.

mod listening;
mod speaker;
mod usage;

use super::args::DemoArgs;
use super::exit::{Exit, Failure};
use listening::Heard;
use speaker::{Figures, Speaker};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the two may take to find each other.
const CONNECT_PATIENCE: Duration = Duration::from_secs(15);

/// Less would leave nothing to judge.
const SECONDS_MIN: u32 = 5;

const ADA_SAYS: &[u8] = include_bytes!("../../../tests/speech/austen.wav");
const BOB_SAYS: &[u8] = include_bytes!("../../../tests/speech/arctic.wav");

pub(super) fn run(args: &DemoArgs) -> Result<(), Failure> {
    let seconds = args.seconds.max(SECONDS_MIN);
    let dir = folder(args.dir.as_deref())?;
    let say = |text: String| {
        if !args.json {
            println!("{text}");
        }
    };
    say("Ada hosts, Bob joins. Each speaks into a file and hears into a file; the call is real.".into());
    let mut ada = Speaker::start("Ada", &dir, ADA_SAYS, &["host", "--listen", "127.0.0.1:0"])?;
    let ticket = ada.wait_for("ready", CONNECT_PATIENCE)?["ticket"].as_str().unwrap_or_default().to_owned();
    say(format!("Ada's ticket: {ticket}"));
    let mut bob = Speaker::start("Bob", &dir, BOB_SAYS, &["join", &ticket, "--listen", "127.0.0.1:0"])?;
    let connected = bob.wait_for("connected", CONNECT_PATIENCE)?;
    say(format!("Bob is in after {} ms.", connected["ms"]));
    let figures = watch(&mut ada, &mut bob, seconds, args.json)?;
    ada.finish()?;
    bob.finish()?;
    let heard = [ada.heard(&bob, BOB_SAYS)?, bob.heard(&ada, ADA_SAYS)?];
    if args.json {
        println!("{}", as_json(seconds, &figures, &heard, [&ada, &bob]));
    } else {
        report(seconds, &figures, &heard);
        println!("Recordings: {}\n            {}", ada.recording().display(), bob.recording().display());
    }
    Ok(())
}

/// Talks for a while, showing how it goes; returns the last figures of both.
fn watch(ada: &mut Speaker, bob: &mut Speaker, seconds: u32, silent: bool) -> Result<[Figures; 2], Failure> {
    let started = Instant::now();
    let terminal = std::io::stdout().is_terminal();
    let mut figures = [Figures::default(); 2];
    for second in 1..=seconds {
        let until = started + Duration::from_secs(u64::from(second));
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        figures = [ada.figures()?, bob.figures()?];
        let text = format!(
            "{second:>4} of {seconds} s   Ada hears {:.0} kbit/s, {} ms made up   Bob hears {:.0} kbit/s, {} ms made up",
            figures[0].kbps, figures[0].made_up_ms, figures[1].kbps, figures[1].made_up_ms
        );
        if silent {
            continue;
        }
        if terminal {
            print!("\r{text}");
            // Progress that cannot be shown is no reason to stop.
            let _ = std::io::stdout().flush();
        } else if second % 5 == 0 || second == seconds {
            println!("{text}");
        }
    }
    if terminal && !silent {
        println!();
    }
    Ok(figures)
}

fn report(seconds: u32, figures: &[Figures; 2], heard: &[Heard; 2]) {
    let row =
        |label: &str, cell: &dyn Fn(usize) -> String| println!("  {label:<38}{:>14}{:>16}", cell(0), cell(1));
    println!("\nThey talked for {seconds} s:\n");
    row("", &|i| ["Ada hears Bob", "Bob hears Ada"][i].into());
    row("mouth to ear, median", &|i| format!("{:.1} ms", heard[i].delay_ms));
    row("packets lost", &|i| format!("{:.1} %", figures[i].loss_pct));
    row("sound made up", &|i| format!("{} ms", figures[i].made_up_ms));
    row("match with the original (up to 4 kHz)", &|i| format!("{:.1} %", heard[i].similarity * 100.0));
    row("quality, estimated MOS (G.107)", &|i| format!("{:.1}", figures[i].mos(seconds, &heard[i])));
    let known =
        |figure: Option<f64>, unit: &str| figure.map_or("-".into(), |figure| format!("{figure:.1} {unit}"));
    row("processor, of one core", &|i| known(figures[i].cpu_pct, "%"));
    row("memory at most", &|i| known(figures[i].memory_mib, "MiB"));
    println!();
}

fn as_json(
    seconds: u32,
    figures: &[Figures; 2],
    heard: &[Heard; 2],
    speakers: [&Speaker; 2],
) -> serde_json::Value {
    let listener = |i: usize| {
        serde_json::json!({
            "mouth_to_ear_ms": heard[i].delay_ms,
            "similarity": heard[i].similarity,
            "loss_pct": figures[i].loss_pct,
            "concealed_ms": figures[i].made_up_ms,
            "mos": figures[i].mos(seconds, &heard[i]),
            "cpu_pct": figures[i].cpu_pct,
            "memory_mib": figures[i].memory_mib,
            "recording": speakers[i].recording(),
        })
    };
    serde_json::json!({ "seconds": seconds, "ada": listener(0), "bob": listener(1) })
}

fn folder(named: Option<&Path>) -> Result<PathBuf, Failure> {
    let dir = named.map_or_else(
        || std::env::temp_dir().join(format!("roundtable-demo-{}", std::process::id())),
        Path::to_owned,
    );
    std::fs::create_dir_all(&dir).map_err(|error| {
        Failure::new(Exit::Files, "files", format!("cannot create {}: {error}", dir.display()), "")
    })?;
    Ok(dir)
}
