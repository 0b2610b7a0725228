//! The same seed is the same run, in another process too.

use std::process::Command;

fn outcome(scenario: &str, seed: u64) -> String {
    let run = Command::new(env!("CARGO_BIN_EXE_netsim"))
        .args(["run", scenario, "--seed", &seed.to_string(), "--duration-s", "12", "--no-expect", "--json"])
        .output()
        .expect("the program starts");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8(run.stdout).expect("JSON is UTF-8")
}

#[test]
fn two_processes_with_one_seed_agree_to_the_last_packet_and_sample() {
    for scenario in ["eight-people", "lte", "cgnat-double-nat", "stranger", "suspend"] {
        let (one, other) = (outcome(scenario, 7), outcome(scenario, 7));
        assert!(one.contains("\"trace\""), "{one}");
        assert_eq!(one, other, "{scenario}");
        assert_ne!(one, outcome(scenario, 8), "{scenario}: the seed changes nothing");
    }
}
