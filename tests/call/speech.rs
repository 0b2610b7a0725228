//! How well and how soon speech arrives.

use crate::{
    alone, connect,
    lossy::LossyPath,
    process::{Call, Seat},
    score::{Score, score, speech},
    sound::{Heard, read_wav, write_wav},
};
use std::{
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Silence before the speech: both sides have met by then, and have agreed on how deep to buffer.
const LEAD: Duration = Duration::from_secs(3);

/// What is heard for so long after the speech still belongs to it.
const TAIL: Duration = Duration::from_secs(1);

/// Some text to be spoken after [`LEAD`].
struct Speech {
    reference: PathBuf,
    spoken: PathBuf,
    length: Duration,
}

impl Speech {
    fn new(dir: &Path, name: &str, texts: &[&str]) -> Self {
        let mut words = Vec::new();
        let mut rate = 0;
        for text in texts {
            let (samples, its_rate) = read_wav(&speech(text));
            assert!(rate == 0 || rate == its_rate, "texts spoken together have one rate");
            words.extend(samples);
            rate = its_rate;
        }
        let (reference, spoken) =
            (dir.join(format!("{name}.reference.wav")), dir.join(format!("{name}.spoken.wav")));
        write_wav(&reference, &words, rate);
        let mut all = vec![0.0; LEAD.as_secs() as usize * rate as usize];
        all.extend(&words);
        write_wav(&spoken, &all, rate);
        Self { reference, spoken, length: Duration::from_secs_f64(words.len() as f64 / f64::from(rate)) }
    }

    /// Scores what was heard of it. The lag is the delay from mouth to ear.
    #[track_caller]
    fn score(&self, name: &str, started_unix_us: u64, heard: &Heard) -> Score {
        let from = started_unix_us + LEAD.as_micros() as u64;
        let to = from + (self.length + TAIL).as_micros() as u64;
        let received = self.reference.with_extension("received.wav");
        write_wav(&received, heard.between(from, to), crate::sound::RATE);
        let score = score(&self.reference, &received);
        println!(
            "{name}: PESQ-WB {:.2}, STOI {:.3}, mouth to ear {:.1} ms",
            score.pesq_wb, score.stoi, score.lag_ms
        );
        score
    }
}

/// Made-up voice in ms by cause, as `call` last told of its only peer.
#[track_caller]
fn concealed_ms(call: &Call) -> u64 {
    let stats = call.all("stats");
    let last = stats.last().unwrap_or_else(|| panic!("{} told no figures", call.name));
    println!("{}: {last}", call.name);
    last["concealed_ms"].as_object().expect("by cause").values().filter_map(serde_json::Value::as_u64).sum()
}

/// Calls tried for one whose sound nothing else on the machine disturbed. A defect disturbs all of them.
const CALLS_MAX: usize = 3;

#[test]
fn speech_arrives_intact_and_soon_in_both_directions_at_once() {
    let _machine = alone();
    one_undisturbed(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let [of_ann, of_bob] = dialogue(dir.path());
        let ann = Seat::new(dir.path(), "ann").says(&of_ann.spoken).host();
        let bob = Seat::new(dir.path(), "bob").says(&of_bob.spoken).join(ann.ticket());
        let result = talk(ann, bob, &of_ann, &of_bob);
        let good = |score: &Score| score.pesq_wb >= 4.0 && (10.0..150.0).contains(&score.lag_ms);
        check(result.concealed_ms == [0, 0] && result.scores.iter().all(good), &result)
    });
}

#[test]
fn speech_stays_good_when_each_direction_loses_five_percent() {
    let _machine = alone();
    one_undisturbed(|| {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let [of_ann, of_bob] = dialogue(dir.path());
        let ann = Seat::new(dir.path(), "ann").says(&of_ann.spoken).password("fifteen quiet llamas");
        let mut ann = ann.host();
        let path = LossyPath::start(ann.port(), 0.05, 7);
        let bob = Seat::new(dir.path(), "bob").says(&of_bob.spoken).password("fifteen quiet llamas");
        let bob = bob.join(&path.address().to_string());
        let result = talk(ann, bob, &of_ann, &of_bob);
        println!("lost {:.1} %", path.lost() * 100.0);
        assert!((0.03..0.07).contains(&path.lost()), "the path loses what it should: {}", path.lost());
        // Without forward error correction one direction or the other is about 3.0, with it 3.7 to 4.
        let good = |score: &Score| score.pesq_wb >= 3.4 && (10.0..200.0).contains(&score.lag_ms);
        check(result.scores.iter().all(good), &result)
    });
}

/// What came of a call: Ann's view or voice first, then Bob's.
#[derive(Debug)]
struct Talked {
    concealed_ms: [u64; 2],
    scores: [Score; 2],
}

/// The same two texts in opposite order, so that both speak at once all the time.
fn dialogue(dir: &Path) -> [Speech; 2] {
    [
        Speech::new(dir, "of-ann", &["austen.wav", "arctic.wav"]),
        Speech::new(dir, "of-bob", &["arctic.wav", "austen.wav"]),
    ]
}

fn talk(mut ann: Call, mut bob: Call, of_ann: &Speech, of_bob: &Speech) -> Talked {
    connect(&mut ann, &mut bob);
    thread::sleep(LEAD + of_ann.length + 2 * TAIL);
    let concealed_ms = [concealed_ms(&ann), concealed_ms(&bob)];
    let spoken = [ann.sound_started("input"), bob.sound_started("input")];
    let (ann_heard, bob_heard) = (ann.leave(), bob.leave());
    let scores = [
        of_ann.score("ann to bob", spoken[0], &bob_heard),
        of_bob.score("bob to ann", spoken[1], &ann_heard),
    ];
    Talked { concealed_ms, scores }
}

fn check(good: bool, result: &Talked) -> Result<(), String> {
    if good { Ok(()) } else { Err(format!("{result:?}")) }
}

fn one_undisturbed(call: impl Fn() -> Result<(), String>) {
    let mut complaints = Vec::new();
    for _ in 0..CALLS_MAX {
        match call() {
            Ok(()) => return,
            Err(complaint) => complaints.push(complaint),
        }
        println!("disturbed: {complaints:?}");
    }
    panic!("none of {CALLS_MAX} calls was good: {complaints:#?}");
}
