//! A scenario's file: the bundled ones are right, and a wrong one says file, line, field, what is wrong and what
//! would be right.

use netsim::scenario::{BUNDLED, FaultKind, Talk, load, load_text, networks};
use std::path::Path;

/// What is said about a text.
fn said(text: &str) -> String {
    said_beside(text, Path::new("."))
}

fn said_beside(text: &str, folder: &Path) -> String {
    match load_text("mine.toml", text, folder) {
        Ok(_) => panic!("nothing was found wrong with:\n{text}"),
        Err(mistake) => mistake.to_string(),
    }
}

/// Lines 1 to 9: two members, ada and ben; what a test adds begins in line 10.
const TWO: &str =
    "description = \"two\"\nduration_s = 20\n\n[[member]]\nname = \"ada\"\n\n[[member]]\nname = \"ben\"\n\n";

fn with(rest: &str) -> String {
    format!("{TWO}{rest}")
}

#[test]
fn every_bundled_scenario_is_right_and_says_what_it_shows() {
    for (name, _) in BUNDLED {
        let loaded = load(name).unwrap_or_else(|mistake| panic!("{mistake}"));
        assert_eq!(loaded.name, *name);
        let scenario = loaded.scenario;
        assert!(scenario.description.ends_with('.') && scenario.description.len() > 20, "{name}");
        assert!(scenario.expect.ranges().iter().any(|(_, range)| range.is_some()), "{name} expects nothing");
        assert!(
            scenario.members.iter().all(|member| member.access.up.is_some() && member.access.down.is_some())
        );
    }
}

#[test]
fn every_scenario_in_the_folder_is_bundled() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut written =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    let mut bundled: Vec<std::ffi::OsString> =
        BUNDLED.iter().map(|(name, _)| format!("{name}.toml").into()).collect();
    written.sort();
    bundled.sort();
    assert_eq!(written, bundled);
    assert_eq!(networks().last(), Some("outage"));
}

#[test]
fn what_is_not_written_has_its_default() {
    let loaded = load_text("mine.toml", "description = \"x\"", Path::new("")).unwrap();
    let scenario = loaded.scenario;
    assert_eq!(
        scenario.members.iter().map(|member| member.name.as_str()).collect::<Vec<_>>(),
        ["ada", "ben"]
    );
    assert_eq!((scenario.duration_s, scenario.delay_ms), (20.0, 20.0));
}

#[test]
fn faults_are_read_with_their_own_fields() {
    let text = with("[[fault]]\nkind = \"mute\"\nat_s = 3\nmember = \"ben\"\noff = true\n");
    let loaded = load_text("mine.toml", &text, Path::new("")).unwrap();
    assert_eq!(loaded.scenario.faults[0].kind, FaultKind::Mute { member: "ben".into(), off: true });
}

#[test]
fn a_name_that_is_not_bundled_says_which_are() {
    let said = load("wifi-stals").unwrap_err().to_string();
    assert!(
        said.starts_with(
            "wifi-stals: no bundled scenario is called so\n  right would be: `wifi-stalls`? Known are `clean`"
        ),
        "{said}"
    );
    let said = load("./nowhere.toml").unwrap_err().to_string();
    assert!(said.starts_with("./nowhere.toml: cannot be read: "), "{said}");
}

#[test]
fn broken_syntax_says_its_line() {
    let said = said("description = \"two\"\nduration_s = = 3\n");
    assert!(said.starts_with("mine.toml:2: this is not TOML: "), "{said}");
    let said = self::said("description = \"two\"\n\n[[member\nname = 3\n");
    assert!(said.starts_with("mine.toml:3: this is not TOML: "), "{said}");
}

#[test]
fn an_unknown_field_says_which_was_meant() {
    assert_eq!(
        said("description = \"two\"\nduratoin_s = 3\n"),
        "mine.toml:2: duratoin_s: there is no field `duratoin_s` here\n  right would be: `duration_s`? Known are \
         `description`, `duration_s`, `delay_ms`, `member`, `lan`, `server`, `fault`, `expect`"
    );
    let said = said(&with("[[member]]\nname = \"cid\"\nclock = 3\n"));
    assert!(
        said.starts_with(
            "mine.toml:12: member.clock: there is no field `clock` here\n  right would be: `clock_ppm`?"
        ),
        "{said}"
    );
    let said = self::said(&with("[expect]\nconcealed_pct = [0, 1]\nconceald = [0, 1]\n"));
    assert!(said.starts_with("mine.toml:12: expect.conceald: there is no field"), "{said}");
}

#[test]
fn an_unknown_field_of_a_line_or_nat_says_its_line() {
    let said = said(&with("[[member]]\nname = \"cid\"\n\n[member.access.up]\nlatency = 20\n"));
    assert!(
        said.starts_with("mine.toml:14: member.access.up.latency: there is no field `latency` here"),
        "{said}"
    );
    let said = self::said(&with("[[lan]]\nname = \"home\"\n[lan.nat]\nhairpinning_of = true\n"));
    assert!(
        said.starts_with("mine.toml:13: lan.nat.hairpinning_of: there is no field `hairpinning_of` here"),
        "{said}"
    );
}

#[test]
fn an_unknown_field_of_a_fault_says_which_its_kind_has() {
    assert_eq!(
        said(&with("[[fault]]\nkind = \"kill\"\nat_s = 3\nmember = \"ben\"\nfor_s = 2\n")),
        "mine.toml:14: fault.for_s: a fault of kind `kill` has no field `for_s`\n  right would be: `at_s`, `kind`, \
         `member`"
    );
    assert_eq!(
        said(&with("[[fault]]\nkind = \"roam\"\nat_s = 3\nmembr = \"ben\"\n")),
        "mine.toml:13: fault.membr: a fault of kind `roam` has no field `membr`\n  right would be: `member`? Known are \
         `at_s`, `kind`, `member`, `lan`"
    );
}

#[test]
fn a_missing_field_says_in_which_table() {
    assert_eq!(said("duration_s = 3\n"), "mine.toml:1: description: this field is missing");
    assert_eq!(
        said(&with("[[member]]\ntalk = \"steady\"\n")),
        "mine.toml:10: member.name: this field is missing"
    );
    assert_eq!(
        said(&with("[[fault]]\nkind = \"kill\"\nat_s = 3\n")),
        "mine.toml:10: fault.member: a fault of kind `kill` needs the field `member`"
    );
    assert_eq!(
        said(&with("[[fault]]\nkind = \"kill\"\nmember = \"ben\"\n")),
        "mine.toml:10: fault.at_s: this field is missing"
    );
}

#[test]
fn a_wrong_type_says_the_right_one() {
    assert_eq!(
        said(&with("[[member]]\nname = \"cid\"\njoin_at_s = \"soon\"\n")),
        "mine.toml:12: member.join_at_s: string \"soon\" is of the wrong type\n  right would be: a number"
    );
    assert_eq!(
        said(&with("[[fault]]\nkind = \"mute\"\nat_s = 3\nmember = 4\n")),
        "mine.toml:13: fault.member: integer `4` is of the wrong type\n  right would be: text in quotes"
    );
    assert_eq!(
        said(&with("[[lan]]\nname = \"home\"\nnat = 4\n")),
        "mine.toml:12: lan.nat: integer `4` is of the wrong type\n  right would be: the name of a kind of NAT, or a table"
    );
}

#[test]
fn a_number_out_of_range_says_the_range() {
    let top = [
        ("duration_s = 0", "duration_s: 0 is out of range\n  right would be: above 0, at most 7200"),
        ("duration_s = 7201", "duration_s: 7201 is out of range\n  right would be: above 0, at most 7200"),
        ("delay_ms = -1", "delay_ms: -1 is out of range\n  right would be: 0 to 10000"),
        ("delay_ms = nan", "delay_ms: NaN is out of range\n  right would be: 0 to 10000"),
    ];
    for (field, expected) in top {
        assert_eq!(said(&format!("description = \"x\"\n\n{field}\n")), format!("mine.toml:3: {expected}"));
    }
    let members = [
        ("clock_ppm = 5000", "clock_ppm: 5000 is out of range\n  right would be: -1000 to 1000"),
        ("block_ms = 1", "block_ms: 1 is out of range\n  right would be: 2.5 to 100"),
        ("join_at_s = 30", "join_at_s: 30 is out of range\n  right would be: 0 to 20"),
        ("leave_at_s = 21", "leave_at_s: 21 is out of range\n  right would be: 0 to 20"),
    ];
    for (field, expected) in members {
        let text = with(&format!("[[member]]\nname = \"cid\"\n{field}\n"));
        assert_eq!(said(&text), format!("mine.toml:12: member.{expected}"));
    }
    assert_eq!(
        said(&with("[[fault]]\nkind = \"clock-drift\"\nat_s = 3\nmember = \"ben\"\nppm = 1e6\n")),
        "mine.toml:14: fault.ppm: 1000000 is out of range\n  right would be: -1000 to 1000"
    );
    assert_eq!(
        said(&with("[[fault]]\nkind = \"suspend\"\nat_s = 3\nmember = \"ben\"\nfor_s = 0\n")),
        "mine.toml:14: fault.for_s: 0 is out of range\n  right would be: above 0, at most 7200"
    );
}

#[test]
fn too_many_and_too_few_members_are_refused() {
    let crowd = |count| (0..count).map(|n| format!("[[member]]\nname = \"m{n}\"\n")).collect::<String>();
    assert_eq!(
        said(&format!("description = \"x\"\n{}", crowd(33))),
        "mine.toml:66: member: 33 of them are out of range\n  right would be: 2 to 32"
    );
    assert_eq!(
        said(&format!("description = \"x\"\n{}", crowd(1))),
        "mine.toml:2: member: 1 of them are out of range\n  right would be: 2 to 32"
    );
}

#[test]
fn a_name_that_is_not_known_says_which_are() {
    let starts = [
        (
            "[[member]]\nname = \"cid\"\naccess = { profile = \"wfi\" }\n",
            "mine.toml:12: member.access.profile: no profile is called `wfi`\n  right would be: `wifi`? Known are `",
        ),
        (
            "[[lan]]\nname = \"home\"\nnat = \"port-restrictd\"\n",
            "mine.toml:12: lan.nat: no NAT is called `port-restrictd`\n  right would be: `port-restricted`? Known are `",
        ),
        (
            "[[server]]\nname = \"relay\"\nkind = \"trun\"\n",
            "mine.toml:12: server.kind: `trun` is not known\n  right would be: `turn`? Known are `stun`, `turn`",
        ),
        (
            "[[fault]]\nat_s = 1\nkind = \"rom\"\n",
            "mine.toml:12: fault.kind: no fault is called `rom`\n  right would be: `roam`? Known are `partition`",
        ),
        (
            "[[member]]\nname = \"cid\"\ntalk = \"steedy\"\n",
            "mine.toml:12: member.talk: `steedy` is not known\n  right would be: `steady`? Known are `speech`",
        ),
        (
            "[[fault]]\nkind = \"kill\"\nat_s = 1\nmember = \"bne\"\n",
            "mine.toml:13: fault.member: no member is called `bne`\n  right would be: `ben`? Known are `ada`, `ben`",
        ),
        (
            "[[fault]]\nkind = \"partition\"\nat_s = 1\nmembers = [\n  \"ada\",\n  \"zoe\",\n]\n",
            "mine.toml:15: fault.members: no member is called `zoe`\n  right would be: `ada`, `ben`",
        ),
        (
            "[[fault]]\nkind = \"nat-reboot\"\nat_s = 1\nlan = \"home\"\n",
            "mine.toml:13: fault.lan: no lan is called `home`\n  right would be: there is none to name",
        ),
        (
            "[[fault]]\nkind = \"server-reboot\"\nat_s = 1\nserver = \"relay\"\n",
            "mine.toml:13: fault.server: no server is called `relay`",
        ),
        ("[[member]]\nname = \"cid\"\nlan = \"home\"\n", "mine.toml:12: member.lan: no lan is called `home`"),
        ("[[lan]]\nname = \"home\"\nbehind = \"isp\"\n", "mine.toml:12: lan.behind: no lan is called `isp`"),
    ];
    for (text, start) in starts {
        let said = said(&with(text));
        assert!(said.starts_with(start), "{said}\ninstead of\n{start}");
    }
}

#[test]
fn a_name_used_twice_says_the_second() {
    assert_eq!(
        said(&with("[[member]]\nname = \"ada\"\n")),
        "mine.toml:11: member.name: another member is called `ada` already\n  right would be: a name for each"
    );
    let lans = said(&with("[[lan]]\nname = \"a\"\n[[lan]]\nname = \"a\"\n"));
    assert!(lans.starts_with("mine.toml:13: lan.name: another"), "{lans}");
    let path = said(&with("[[member]]\nname = \"../x\"\n"));
    assert!(path.starts_with("mine.toml:11: member.name: \"../x\" is no name"), "{path}");
}

#[test]
fn a_lan_behind_itself_is_refused_however_long_the_way() {
    let circle =
        said(&with("[[lan]]\nname = \"a\"\nbehind = \"b\"\n[[lan]]\nname = \"b\"\nbehind = \"a\"\n"));
    assert!(circle.starts_with("mine.toml:12: lan.behind: `a` is behind itself\n"), "{circle}");
    // c is not in the circle, it only leads into it.
    let led = said(&with("[[lan]]\nname = \"c\"\nbehind = \"a\"\n[[lan]]\nname = \"a\"\nbehind = \"a\"\n"));
    assert!(led.starts_with("mine.toml:15: lan.behind: `a` is behind itself\n"), "{led}");
}

#[test]
fn a_fault_after_the_end_is_refused() {
    assert_eq!(
        said(&with("[[fault]]\nkind = \"kill\"\nat_s = 20\nmember = \"ben\"\n")),
        "mine.toml:12: fault.at_s: 20 s is after the end\n  right would be: less than the scenario's duration_s, 20"
    );
}

#[test]
fn the_founder_cannot_be_a_stranger() {
    let text = "description = \"x\"\n[[member]]\nname = \"a\"\nentry = \"forged-ticket\"\n[[member]]\nname = \"b\"\n";
    assert!(
        said(text).starts_with("mine.toml:4: member.entry: the first member founds the group"),
        "{}",
        said(text)
    );
}

#[test]
fn an_expectation_upside_down_is_refused() {
    assert_eq!(
        said(&with("[expect]\nlost_pct = [0, 1]\nconcealed_pct = [5, 1]\n")),
        "mine.toml:12: expect.concealed_pct: no value is from 5 to 1\n  right would be: [least, most]"
    );
    assert_eq!(
        said(&with("[expect]\nlost_pct = 3\n")),
        "mine.toml:11: expect.lost_pct: integer `3` is of the wrong type\n  right would be: a range of two numbers: \
         [least, most]"
    );
}

#[test]
fn missing_and_broken_files_are_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("noise.wav"), "no sound").unwrap();
    let said = |text: &str| said_beside(&with(text), folder.path());
    let missing = said("[[member]]\nname = \"cid\"\ntalk = { file = \"gone.wav\" }\n");
    assert!(
        missing.starts_with("mine.toml:12: member.talk.file: the recording `gone.wav` cannot be used: "),
        "{missing}"
    );
    let broken = said("[[member]]\nname = \"cid\"\ntalk = { file = \"noise.wav\" }\n");
    assert!(broken.contains("right would be: a WAV file"), "{broken}");
    let profile = said("[[member]]\nname = \"cid\"\naccess = { profile = \"./gone.toml\" }\n");
    let start = "mine.toml:12: member.access.profile: the profile `./gone.toml` cannot be read";
    assert!(profile.starts_with(start), "{profile}");
}

#[test]
fn files_are_found_beside_the_scenario() {
    let folder = tempfile::tempdir().unwrap();
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(folder.path().join("me.wav"), spec).unwrap();
    for sample in [16_384_i16, 0, -16_384, 0].repeat(100) {
        wav.write_sample(sample).unwrap();
    }
    wav.finalize().unwrap();
    std::fs::write(folder.path().join("line.toml"), "description = \"mine\"\n[up]\n[down]\n").unwrap();
    let scenario = with(
        "[[member]]\nname = \"cid\"\ntalk = { file = \"me.wav\" }\naccess = { profile = \"./line.toml\" }\n",
    );
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, scenario).unwrap();
    let loaded = load(path.to_str().unwrap()).unwrap();
    assert_eq!(loaded.scenario.members[2].talk, Talk::File("me.wav".into()));
    assert_eq!(loaded.recordings["me.wav"].samples, [0.5, -0.5].repeat(100), "the first channel alone");
    assert_eq!(loaded.recordings["me.wav"].rate_hz, 16_000);
}

#[test]
fn a_mistake_in_a_profile_says_that_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("line.toml"), "description = \"mine\"\n[up]\nlatncy = 3\n").unwrap();
    let text = with("[[member]]\nname = \"cid\"\naccess = { profile = \"./line.toml\" }\n");
    let said = said_beside(&text, folder.path());
    assert!(said.starts_with("./line.toml:3: up.latncy: there is no field `latncy` here"), "{said}");
}

#[test]
fn a_missing_or_broken_trace_is_named_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.txt"), "20\n21\nsoon\n").unwrap();
    let said = |kind: &str, file: &str| {
        let line = format!(
            "[[member]]\nname = \"cid\"\n[member.access.up]\ndelay_ms = 1\n{kind}.file = \"{file}\"\n"
        );
        said_beside(&with(&line), folder.path())
    };
    for kind in ["delay_trace", "opportunity_trace"] {
        let missing = said(kind, "gone.txt");
        let start = format!("mine.toml:14: member.access.up.{kind}.file: gone.txt: cannot be read: ");
        assert!(missing.starts_with(&start), "{missing}");
        let broken = said(kind, "bad.txt");
        assert!(
            broken.starts_with(&format!("mine.toml:14: member.access.up.{kind}.file: bad.txt: ")),
            "{broken}"
        );
        assert!(broken.contains("line 3"), "{broken}");
    }
}

#[test]
fn a_bundled_trace_is_found_wherever_the_scenario_is() {
    let line = "[[member]]\nname = \"cid\"\n[member.access.up]\ndelay_trace.file = \"stalls.delays\"\n";
    load_text("mine.toml", &with(line), Path::new("/nowhere")).unwrap();
}

#[test]
fn what_a_link_cannot_be_is_said_with_the_links_own_field() {
    let said =
        said(&with("[[member]]\nname = \"cid\"\n\n[member.access.down]\ndelay_ms = 1\nloss_percent = 101\n"));
    assert!(said.starts_with("mine.toml:15: member.access.down.loss_percent: "), "{said}");
}

#[test]
fn mistakes_within_a_choice_are_found_on_their_own_line() {
    let jitter = |fields: &str| {
        said(&with(&format!("[[member]]\nname = \"cid\"\n[member.access.up.jitter]\n{fields}")))
    };
    let unknown = jitter("shape = \"exponential\"\nmean_ms = 3\nmost_ms = 3\n");
    assert!(
        unknown.starts_with("mine.toml:15: member.access.up.jitter.most_ms: there is no field `most_ms`"),
        "{unknown}"
    );
    let shape = jitter("\nshape = \"exponentiel\"\n");
    assert!(shape.starts_with("mine.toml:14: member.access.up.jitter.shape: `exponentiel` is not known\n  right would be: `exponential`?"), "{shape}");
    let text = jitter("shape = \"exponential\"\nmean_ms = \"long\"\n");
    assert!(
        text.starts_with(
            "mine.toml:14: member.access.up.jitter.mean_ms: string \"long\" is of the wrong type"
        ),
        "{text}"
    );
    let missing = jitter("shape = \"exponential\"\n");
    assert!(
        missing.starts_with("mine.toml:12: member.access.up.jitter.mean_ms: this field is missing"),
        "{missing}"
    );
}
