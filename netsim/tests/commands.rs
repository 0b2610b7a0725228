//! The commands: what goes to which stream, which exit code, and what the tables say.

mod canned;

use netsim::cli::{Exit, Shell, execute};
use netsim::outcome::Outcome;
use std::path::Path;

/// Scenarios without expectations, since canned outcomes would not meet those of real ones.
const ONE: &str = "tests/canned/one.toml";
const TWO: &str = "tests/canned/two.toml";

/// What a command did.
struct Done {
    exit: Exit,
    out: String,
    err: String,
}

fn netsim(arguments: &[&str]) -> Done {
    on_terminal(arguments, false)
}

fn on_terminal(arguments: &[&str], colour: bool) -> Done {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut shell = Shell { run: &canned::run, out: &mut out, err: &mut err, colour };
    let arguments = std::iter::once("netsim").chain(arguments.iter().copied());
    let exit = execute(arguments.map(Into::into), &mut shell);
    let text = |bytes| String::from_utf8(bytes).expect("the streams hold text");
    Done { exit, out: text(out), err: text(err) }
}

#[test]
fn a_run_prints_its_seed_first_and_a_table_of_a_hundred_columns() {
    let done = netsim(&["run", "wifi", "--seed", "3", "--no-expect"]);
    assert_eq!(done.exit, Exit::Fine, "{}", done.err);
    assert_eq!(done.err, "wifi: seed 3\n");
    insta::assert_snapshot!(done.out);
    for line in done.out.lines() {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(!done.out.contains('\u{1b}'), "colour where nobody asked for it");
}

#[test]
fn long_names_and_large_numbers_keep_to_a_hundred_columns() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("long.toml");
    let names = ["maximiliane-antoinette", "bartholomew the younger"];
    let members = names.map(|name| format!("[[member]]\nname = \"{name}\"\n")).concat();
    std::fs::write(&path, format!("description = \"long\"\ndelay_ms = 5000\n{members}")).unwrap();
    let done = netsim(&["run", path.to_str().unwrap(), "--seed", "10000"]);
    let table = done.out.lines().skip(3).take_while(|line| !line.is_empty()).collect::<Vec<_>>();
    assert!(table.iter().all(|line| line.chars().count() <= 100), "{}", table.join("\n"));
    for row in ["maximiliane-antoinette   direct ", "→bartholomew the younger "] {
        assert!(table.iter().any(|line| line.starts_with(row)), "{}", table.join("\n"));
    }
}

#[test]
fn a_broken_invariant_fails_the_run_and_says_how_to_play_it_again() {
    let done = netsim(&["run", "wifi-stalls", "--seed", "7", "--delay-ms", "60"]);
    assert_eq!(done.exit, Exit::Failed);
    assert!(done.out.contains("VIOLATION: voice from a stranger\n"), "{}", done.out);
    let command = "cargo run --release -p netsim -- run wifi-stalls --seed 7 --delay-ms 60\n";
    assert!(done.err.ends_with(command), "{}", done.err);
}

#[test]
fn a_run_that_panics_fails_and_the_others_are_played() {
    let done = netsim(&["run", "clean", "leave", "--seed", "1001"]);
    assert_eq!(done.exit, Exit::Failed);
    assert!(done.err.contains("clean, seed 1001: it panicked: "), "{}", done.err);
    assert!(done.err.ends_with("-- run leave --seed 1001\n"), "{}", done.err);
}

#[test]
fn what_is_wrong_is_red_where_colours_are_wanted() {
    let done = on_terminal(&["run", "clean", "--seed", "7"], true);
    assert!(done.out.contains("\u{1b}[31mVIOLATION: voice from a stranger\u{1b}[0m\n"), "{}", done.out);
}

#[test]
fn an_unmet_expectation_fails_the_run_unless_nothing_is_expected() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("strict.toml");
    let text = "description = \"strict\"\n[expect]\nconcealed_pct = [0, 0.3]\nconnected_at_end = [2, 2]\n";
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let done = netsim(&["run", path]);
    assert_eq!(done.exit, Exit::Failed);
    for unmet in ["UNMET: ada→ben: concealed 0.4 %, expected 0 to 0.3 %\n", "UNMET: ben→ada: concealed 0.4 %"]
    {
        assert!(done.out.contains(unmet), "{}", done.out);
    }
    assert_eq!(netsim(&["run", path, "--no-expect"]).exit, Exit::Fine);
}

#[test]
fn json_is_one_object_for_one_run_and_an_array_for_several() {
    let done = netsim(&["run", "clean", "--json"]);
    let outcome: Outcome = serde_json::from_str(&done.out).unwrap();
    assert_eq!((outcome.scenario.as_str(), outcome.seed), ("clean", 1));
    assert_eq!(outcome.directions[0].series.len(), 300);
    let done = netsim(&["run", "clean", "leave", "--seeds", "2", "--json"]);
    let outcomes: Vec<Outcome> = serde_json::from_str(&done.out).unwrap();
    let which = outcomes.iter().map(|outcome| (outcome.scenario.as_str(), outcome.seed)).collect::<Vec<_>>();
    assert_eq!(which, [("clean", 1), ("clean", 2), ("leave", 1), ("leave", 2)]);
}

#[test]
fn duration_and_delay_can_be_changed() {
    let done = netsim(&["run", "partition", "--duration-s", "5", "--delay-ms", "100", "--json"]);
    let outcome: Outcome = serde_json::from_str(&done.out).unwrap();
    assert_eq!(outcome.simulated_s, 5.0);
    assert_eq!(outcome.directions[0].budget.network_ms, 100.0);
}

#[test]
fn several_seeds_are_summarised_with_the_worst() {
    let done = netsim(&["run", "clean", "wifi", "--seeds", "7", "--no-expect"]);
    assert_eq!(done.exit, Exit::Failed, "seed 7 breaks an invariant");
    insta::assert_snapshot!(done.out);
}

#[test]
fn a_page_and_sounds_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let (page, sounds) = (folder.path().join("page.html"), folder.path().join("sounds"));
    let (page, sounds) = (page.to_str().unwrap(), sounds.to_str().unwrap());
    let done = netsim(&["run", ONE, "--duration-s", "2", "--html", page, "--wav", sounds]);
    assert_eq!(done.exit, Exit::Fine, "{}", done.err);
    assert!(std::fs::read_to_string(page).unwrap().contains("data:audio/wav;base64,"));
    let wav = hound::WavReader::open(Path::new(sounds).join("one-1-ada-ben.wav")).unwrap();
    assert_eq!((wav.spec().sample_rate, wav.duration()), (48_000, 96_000));
    assert!(Path::new(sounds).join("one-1-ben-ada.wav").exists());
    assert!(Path::new(sounds).join("one-1-ada-said.wav").exists());
}

#[test]
fn wrong_usage_and_files_are_told_apart_from_failed_runs() {
    let wrong: [(&[&str], &str); 11] = [
        (&["run"], "required arguments were not provided"),
        (&["run", "cleen"], "netsim: cleen: no bundled scenario is called so\n  right would be: `clean`?"),
        (&["run", "clean", "nowhere/x.toml"], "netsim: nowhere/x.toml: cannot be read: "),
        (&["run", "clean", "--seed", "1", "--seeds", "2"], "cannot be used with"),
        (&["run", "clean", "wifi", "--html", "x.html"], "--html shows one run"),
        (&["run", "clean", "--html", "/nowhere/x.html"], "netsim: cannot write /nowhere/x.html: "),
        (&["run", "clean", "--duration-s", "0"], "above 0, at most 7200"),
        (&["run", "clean", "--delay-ms", "-3"], "0 to 10000"),
        (&["compare", "clean", "gone.json"], "netsim: cannot read gone.json: "),
        (&["replay", "gone.rtlog"], "netsim: cannot read gone.rtlog: "),
        (&["dance"], "unrecognized subcommand"),
    ];
    for (arguments, message) in wrong {
        let done = netsim(arguments);
        assert_eq!(done.exit, Exit::Usage, "{arguments:?}");
        assert!(done.err.contains(message), "{arguments:?}: {}", done.err);
        assert!(!done.out.contains("netsim:"), "messages belong to stderr");
    }
}

#[test]
fn mistakes_in_files_come_before_the_first_run() {
    let done = netsim(&["run", "clean", "cleen"]);
    assert!(!done.err.contains("seed"), "{}", done.err);
}

#[test]
fn list_names_every_scenario() {
    let done = netsim(&["list"]);
    assert_eq!(done.exit, Exit::Fine);
    for (name, _) in netsim::scenario::BUNDLED {
        assert!(done.out.lines().any(|line| line.trim().starts_with(name)), "{name}");
    }
    insta::assert_snapshot!(done.out);
}

#[test]
fn a_swarm_names_each_failing_seed_whatever_thread_found_it() {
    let one = netsim(&["swarm", "--seeds", "20", "--jobs", "1", ONE, TWO]);
    let four = netsim(&["swarm", "--seeds", "20", "--jobs", "4", ONE, TWO]);
    assert_eq!(one.exit, Exit::Failed);
    assert_eq!(one.out, four.out);
    let commands =
        one.out.lines().filter_map(|line| line.trim().strip_prefix("cargo run --release -p netsim -- "));
    let expected =
        [(ONE, 7), (ONE, 14), (TWO, 7), (TWO, 14)].map(|(name, seed)| format!("run {name} --seed {seed}"));
    assert_eq!(commands.collect::<Vec<_>>(), expected, "scenario by scenario, whatever finished first");
    assert!(one.err.contains("seeds 1 to 20 of 2 scenarios"), "{}", one.err);
}

#[test]
fn a_swarm_without_failures_is_fine() {
    let done = netsim(&["swarm", "--seeds", "6", "--first", "8", ONE]);
    assert_eq!(done.exit, Exit::Fine, "{}", done.out);
}

#[test]
fn a_swarm_survives_a_panic_and_reports_it_as_a_failure() {
    let done = netsim(&["swarm", "--seeds", "3", "--first", "999", "clean"]);
    assert_eq!(done.exit, Exit::Failed);
    assert!(done.out.contains("clean, seed 1001: it panicked: "), "{}", done.out);
    assert!(done.out.contains("this seed panics"), "{}", done.out);
}

#[test]
fn a_swarm_stops_when_failures_are_enough() {
    let done = netsim(&["swarm", "--seeds", "100000", "--jobs", "2", "clean"]);
    assert_eq!(done.exit, Exit::Failed);
    assert!(done.err.contains("stopped after 2"), "{}", done.err);
}

#[test]
fn a_matrix_has_a_row_for_each_network_and_delay() {
    let done = netsim(&["matrix", "--delays", "5,60"]);
    assert_eq!(done.exit, Exit::Fine, "{}", done.err);
    insta::assert_snapshot!(done.out);
}

#[test]
fn a_matrix_for_programs_has_the_figures_of_each_direction_and_the_sound_in_a_folder_for_each_delay() {
    let folder = tempfile::tempdir().unwrap();
    let sounds = folder.path().to_str().unwrap();
    let asked = ["matrix", "clean", "--delays", "5,7.5", "--seeds", "2", "--json", "--wav", sounds];
    let done = netsim(&asked);
    assert_eq!(done.exit, Exit::Fine, "{}", done.err);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&done.out).unwrap();
    assert_eq!(rows.len(), 2 * 2 * 2, "delays, seeds, directions");
    assert_eq!((&rows[2]["scenario"], &rows[2]["seed"]), (&"clean".into(), &2.into()));
    assert_eq!(
        (&rows[4]["delay_ms"], &rows[4]["from"], &rows[4]["to"]),
        (&7.5.into(), &"ada".into(), &"ben".into())
    );
    assert!(rows[4]["mouth_to_ear"]["median"].as_f64().is_some_and(|median| median > 0.0));
    assert!(rows[4].get("series").is_none());
    for file in ["5ms/clean-1-ada-ben.wav", "7.5ms/clean-2-ben-ada.wav", "7.5ms/clean-2-ada-said.wav"] {
        assert!(folder.path().join(file).exists(), "{file}");
    }
}

#[test]
fn a_comparison_takes_scenarios_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("before.json");
    std::fs::write(&path, netsim(&["run", "clean", "--seed", "5", "--json"]).out).unwrap();
    let done = netsim(&["compare", path.to_str().unwrap(), "clean", "--seed", "9"]);
    assert_eq!(done.exit, Exit::Fine, "{}", done.err);
    insta::assert_snapshot!(done.out);
    let several = folder.path().join("several.json");
    std::fs::write(&several, netsim(&["run", "clean", "--seeds", "2", "--json"]).out).unwrap();
    let done = netsim(&["compare", several.to_str().unwrap(), "clean"]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.err.contains("holds 2 runs; a comparison takes one"), "{}", done.err);
}

#[test]
fn a_replay_of_what_is_no_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.rtlog");
    std::fs::write(&path, "nothing of the kind").unwrap();
    let done = netsim(&["replay", path.to_str().unwrap()]);
    assert_eq!(done.exit, Exit::Usage);
    assert!(done.err.starts_with(&format!("netsim: {}: ", path.display())), "{}", done.err);
    let done = netsim(&["replay", path.to_str().unwrap(), "--what-if", "pigs fly"]);
    assert!(done.err.starts_with("netsim: --what-if pigs fly: "), "{}", done.err);
}

#[test]
fn the_program_itself_has_these_streams_and_codes() {
    let program = env!("CARGO_BIN_EXE_netsim");
    let run = |arguments: &[&str]| std::process::Command::new(program).args(arguments).output().unwrap();
    let listed = run(&["list"]);
    assert_eq!(listed.status.code(), Some(0));
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), netsim(&["list"]).out);
    let wrong = run(&["run", "cleen"]);
    assert_eq!((wrong.status.code(), wrong.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8(wrong.stderr).unwrap().starts_with("netsim: cleen: "));
}
