//! Tests that need a network of their own run themselves again inside a new network namespace.

use std::process::Command;

const INSIDE: &str = "ROUNDTABLE_TEST_NETWORK";

/// True inside a network namespace of the test's own, where only the loopback interface is and it is up. False when the
/// test, named by its full path, has just run there and passed.
pub(crate) fn in_own_network(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        run("ip link set lo up");
        return true;
    }
    let allowed = Command::new("unshare").args(["--net", "true"]).output();
    let allowed = allowed.is_ok_and(|output| output.status.success());
    assert!(
        allowed,
        "a network namespace needs root: run this test with sudo, or in a container that may have them"
    );
    let itself = std::env::current_exe().expect("the test's own program");
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--"])
        .arg(itself)
        .args(["--exact", test, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .expect("unshare was there a moment ago");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{test} failed in its own network:\n{out}{err}");
    assert!(out.contains("1 passed"), "{test} is not what the test is called:\n{out}{err}");
    false
}

/// Runs a line of shell, which has to succeed.
pub(crate) fn run(line: &str) {
    let output = Command::new("sh").args(["-c", line]).output().expect("a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}
