//! Whether a run came out as its scenario expects.

use super::Expect;
use crate::outcome::{Direction, Outcome};

/// What was expected and did not come, a sentence each.
pub fn judge(outcome: &Outcome, expect: &Expect) -> Vec<String> {
    let mut unmet = Vec::new();
    for direction in &outcome.directions {
        let Direction { from, to, speech_ms, .. } = direction;
        // Where nothing was heard there are no delays to judge, but what was sent should have been heard.
        let heard = direction.mouth_to_ear != Default::default();
        if !heard && *speech_ms > 0.0 && expect.mouth_to_ear_ms.is_some() {
            unmet.push(format!("{from}→{to}: nothing was heard of {speech_ms:.0} ms of speech"));
        }
        let mut hold = |what: &str, value: Option<f64>, unit: &str, range: Option<[f64; 2]>| {
            let value = value.filter(|_| heard);
            unmet.extend(
                missed(value, range).map(|missed| missed.said(&format!("{from}→{to}: {what}"), unit)),
            );
        };
        let delay = direction.mouth_to_ear;
        hold("mouth to ear", Some(delay.median), " ms", expect.mouth_to_ear_ms);
        hold("mouth to ear, 95th percentile,", Some(delay.p95), " ms", expect.mouth_to_ear_p95_ms);
        hold("concealed", Some(direction.concealed_pct), " %", expect.concealed_pct);
        hold("stretched", Some(direction.stretched_pct), " %", expect.stretched_pct);
        hold("lost", Some(direction.lost_pct), " %", expect.lost_pct);
        hold("regret", direction.regret_ms, " ms", expect.regret_ms);
    }
    for member in &outcome.members {
        // A member that never was connected missed `connected_at_end`, or was not meant to be.
        let missed = missed(member.connect_ms, expect.connect_ms);
        unmet.extend(missed.map(|missed| missed.said(&format!("{}: connected after", member.name), " ms")));
    }
    let times_lost = outcome.members.iter().map(|member| member.times_lost).sum::<u64>();
    let over_all = [
        ("members lost", times_lost as f64, expect.times_lost),
        ("members connected to all at the end", f64::from(outcome.connected_at_end), expect.connected_at_end),
    ];
    for (what, value, range) in over_all {
        unmet.extend(missed(Some(value), range).map(|missed| missed.said(&format!("{what}:"), "")));
    }
    unmet
}

/// A value out of its range.
struct Missed {
    value: f64,
    range: [f64; 2],
}

fn missed(value: Option<f64>, range: Option<[f64; 2]>) -> Option<Missed> {
    let (value, [least, most]) = (value?, range?);
    // NaN is in no range.
    (!(least..=most).contains(&value)).then_some(Missed { value, range: [least, most] })
}

impl Missed {
    fn said(&self, what: &str, unit: &str) -> String {
        let [least, most] = self.range;
        // Rounded, a value just outside would read as if it were inside.
        let value = [1, 3, 6].into_iter().map(|digits| format!("{:.digits$}", self.value));
        let outside = |text: &String| text.parse().is_ok_and(|value: f64| !(least..=most).contains(&value));
        let value = value.into_iter().find(outside).unwrap_or_else(|| self.value.to_string());
        format!("{what} {value}{unit}, expected {least} to {most}{unit}")
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::outcome::{MemberOutcome, Outcome};
    use crate::scenario::Expect;

    /// One voice with all values at 3, one that was never heard, and one member.
    fn outcome() -> Outcome {
        let text = r#"{
            "scenario": "x", "description": "x", "seed": 1, "simulated_s": 1.0, "trace": "", "timeline": [],
            "dropped": {}, "violations": [], "unmet": [], "connected_at_end": 2,
            "members": [{"name": "ben", "connect_ms": 300.0, "times_lost": 2, "bytes_up": 0, "bytes_down": 0}],
            "directions": []
        }"#;
        let mut outcome: Outcome = serde_json::from_str(text).unwrap();
        let voice = r#"{
            "from": "ada", "to": "ben", "path": "direct", "connect_ms": 3.0,
            "mouth_to_ear": {"median": 3.0, "p5": 3.0, "p95": 3.0, "mean": 3.0},
            "budget": {"capture_ms": 0, "codec_ms": 0, "network_ms": 0, "buffer_ms": 0, "playout_ms": 0},
            "speech_ms": 100.0, "concealed_pct": 3.0, "unheard_pct": 3.0, "expanded_ms": 0, "accelerated_ms": 0, "stretched_pct": 3.0,
            "concealed_ms": {"lost": 3.0, "late": 0, "stalled": 0, "underrun": 0, "path": 0},
            "lost_pct": 3.0, "redundancy_pct": 3.0, "frames": 1, "recovered": 0, "oracle_ms": 3.0, "regret_ms": 3.0,
            "neteq": {"delay": {"median": 0, "p5": 0, "p95": 0, "mean": 0},
                      "ours": {"median": 0, "p5": 0, "p95": 0, "mean": 0}, "concealed_pct": 0},
            "series": []
        }"#;
        outcome.directions = vec![serde_json::from_str(voice).unwrap(), serde_json::from_str(voice).unwrap()];
        outcome.directions[1].to = "eve".into();
        outcome.directions[1].mouth_to_ear = Default::default();
        outcome.directions[1].speech_ms = 0.0;
        outcome
    }

    #[test]
    fn each_range_judges_its_own_value_and_both_ends_are_inside() {
        type Set = fn(&mut Expect, [f64; 2]);
        let cases: [(Set, f64, &str); 9] = [
            (|e, r| e.mouth_to_ear_ms = Some(r), 3.0, "ada→ben: mouth to ear 3.0 ms, expected 4 to 5 ms"),
            (
                |e, r| e.mouth_to_ear_p95_ms = Some(r),
                3.0,
                "ada→ben: mouth to ear, 95th percentile, 3.0 ms, expected 4 to 5 ms",
            ),
            (|e, r| e.concealed_pct = Some(r), 3.0, "ada→ben: concealed 3.0 %, expected 4 to 5 %"),
            (|e, r| e.stretched_pct = Some(r), 3.0, "ada→ben: stretched 3.0 %, expected 4 to 5 %"),
            (|e, r| e.lost_pct = Some(r), 3.0, "ada→ben: lost 3.0 %, expected 4 to 5 %"),
            (|e, r| e.regret_ms = Some(r), 3.0, "ada→ben: regret 3.0 ms, expected 4 to 5 ms"),
            (|e, r| e.connect_ms = Some(r), 300.0, "ben: connected after 300.0 ms, expected 301 to 302 ms"),
            (|e, r| e.times_lost = Some(r), 2.0, "members lost: 2.0, expected 3 to 4"),
            (
                |e, r| e.connected_at_end = Some(r),
                2.0,
                "members connected to all at the end: 2.0, expected 3 to 4",
            ),
        ];
        for (set, value, said) in cases {
            let judged = |range| {
                let mut expect = Expect::default();
                set(&mut expect, range);
                judge(&outcome(), &expect)
            };
            assert_eq!(judged([value + 1.0, value + 2.0]), [said], "only the voice that was heard is judged");
            assert_eq!(judged([value, value + 2.0]), [""; 0]);
            assert_eq!(judged([value - 2.0, value]), [""; 0]);
            assert_eq!(judged([value - 2.0, value - 1.0]).len(), 1);
        }
    }

    #[test]
    fn a_value_that_is_no_number_meets_no_expectation() {
        let mut outcome = outcome();
        outcome.directions[0].concealed_pct = f64::NAN;
        let expect = Expect { concealed_pct: Some([0.0, 100.0]), ..Expect::default() };
        assert_eq!(judge(&outcome, &expect), ["ada→ben: concealed NaN %, expected 0 to 100 %"]);
    }

    #[test]
    fn a_value_just_outside_is_not_rounded_into_its_range() {
        let mut outcome = outcome();
        outcome.directions[0].concealed_pct = 1.004;
        let expect = Expect { concealed_pct: Some([0.0, 1.0]), ..Expect::default() };
        assert_eq!(judge(&outcome, &expect), ["ada→ben: concealed 1.004 %, expected 0 to 1 %"]);
    }

    #[test]
    fn speech_of_which_nothing_was_heard_is_no_success() {
        let mut outcome = outcome();
        outcome.directions[1].speech_ms = 2000.0;
        let expect = Expect { mouth_to_ear_ms: Some([0.0, 100.0]), ..Expect::default() };
        assert_eq!(judge(&outcome, &expect), ["ada→eve: nothing was heard of 2000 ms of speech"]);
        assert_eq!(judge(&outcome, &Expect::default()), [""; 0]);
    }

    #[test]
    fn who_never_connected_is_judged_by_who_is_there_at_the_end() {
        let mut outcome = outcome();
        let stranger = MemberOutcome { connect_ms: None, ..outcome.members[0].clone() };
        outcome.members = vec![stranger];
        let expect = Expect { connect_ms: Some([0.0, 1.0]), ..Expect::default() };
        assert_eq!(judge(&outcome, &expect), [""; 0]);
    }
}
