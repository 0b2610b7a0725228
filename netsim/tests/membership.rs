//! The group on broken networks: partitions decide different things and agree when they meet again.

use netsim::call::{Options, run};
use netsim::outcome::{GroupOutcome, Outcome};
use netsim::scenario::load;

/// Two of the five, for longer than seats are kept.
const TWO_FOR_LONG: Wall = Wall { around: r#""dora", "eve""#, for_s: 80 };

/// One of the five, who comes back within the time for which its seat is kept.
const ONE_FOR_A_WHILE: Wall = Wall { around: r#""eve""#, for_s: 30 };

/// Who is cut off from all others from 12 s on, and for how long.
struct Wall {
    around: &'static str,
    for_s: u32,
}

/// Plays a scenario of five people, of whom some are behind a wall for a while.
fn behind_a_wall(seed: u64, wall: &Wall, commands: &[(f64, &str, &str)]) -> Outcome {
    let Wall { around, for_s } = wall;
    let mut scenario = format!(
        "description = \"a wall\"\nduration_s = {}\ndelay_ms = 25\n\
         [[fault]]\nkind = \"partition\"\nat_s = 12\nfor_s = {for_s}\nmembers = [{around}]\n",
        for_s + 70
    );
    for (at, name) in ["ada", "ben", "cid", "dora", "eve"].iter().enumerate() {
        scenario += &format!("[[member]]\nname = \"{name}\"\njoin_at_s = {at}\n");
    }
    for (at, member, command) in commands {
        scenario += &format!(
            "[[fault]]\nkind = \"command\"\nat_s = {at}\nmember = \"{member}\"\ncommand = \"{command}\"\n"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("wall.toml");
    std::fs::write(&path, scenario).expect("it is written");
    let loaded = load(path.to_str().expect("a path in UTF-8")).expect("a valid scenario");
    let outcome = run(&loaded, seed, &Options::default());
    assert!(outcome.violations.is_empty(), "seed {seed}: {:?}", outcome.violations);
    outcome
}

/// What happened once all were there, a line each.
fn story(outcome: &Outcome) -> String {
    let later = outcome.timeline.iter().filter(|happening| happening.t > 5.0);
    later.map(|happening| format!("{:.2} {}: {}\n", happening.t, happening.who, happening.what)).collect()
}

fn group(outcome: &Outcome, name: &str) -> Option<GroupOutcome> {
    let member = outcome.members.iter().find(|member| member.name == name).expect("a member");
    member.group.clone().filter(|_| member.ended.is_none())
}

#[test]
fn partitions_talk_on_and_agree_when_they_meet_again() {
    for seed in 1..=5 {
        let commands = [
            (5.0, "ada", "promote dora"),
            (20.0, "ada", "lock"),
            (30.0, "dora", "kick eve"),
            (40.0, "ben", "leave"),
        ];
        let outcome = behind_a_wall(seed, &TWO_FOR_LONG, &commands);
        let expected = Some(GroupOutcome {
            members: ["ada", "cid", "dora"].map(str::to_owned).to_vec(),
            locked: true,
            epoch: 2,
        });
        for name in ["ada", "cid", "dora"] {
            assert_eq!(group(&outcome, name), expected, "seed {seed}: {name}; {}", story(&outcome));
        }
        assert_eq!(outcome.connected_at_end, 3, "seed {seed}");
        assert_eq!(outcome.members[4].ended.as_deref(), Some("removed"), "seed {seed}: eve");
    }
}

#[test]
fn who_is_kicked_behind_a_wall_is_out_as_soon_as_it_falls() {
    for (seed, wall) in
        (1..=5).map(|seed| (seed, TWO_FOR_LONG)).chain([(6, ONE_FOR_A_WHILE), (7, ONE_FOR_A_WHILE)])
    {
        let outcome = behind_a_wall(seed, &wall, &[(20.0, "ada", "kick eve")]);
        let expected = Some(GroupOutcome {
            members: ["ada", "ben", "cid", "dora"].map(str::to_owned).to_vec(),
            locked: false,
            epoch: 2,
        });
        for name in ["ada", "ben", "cid", "dora"] {
            assert_eq!(group(&outcome, name), expected, "seed {seed}: {name}; {}", story(&outcome));
        }
        assert_eq!(outcome.members[4].ended.as_deref(), Some("removed"), "seed {seed}: eve");
    }
}
