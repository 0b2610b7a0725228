//! Every crate that roundtable is built from may be used under the licences that `deny.toml` allows.
//!
//! `cargo deny` says the same, and more, where it is installed; this needs nothing but cargo.

use serde_json::Value;
use std::path::Path;
use std::process::Command;

#[test]
fn every_dependency_is_under_a_licence_that_we_allow() {
    let allowed = allowed();
    let packages = packages();
    assert!(packages.len() > 100, "only {} packages were read", packages.len());
    let refused: Vec<String> = packages
        .iter()
        .filter(|(_, licence)| !licence.as_deref().is_some_and(|licence| is_allowed(licence, &allowed)))
        .map(|(name, licence)| format!("{name}: {}", licence.as_deref().unwrap_or("no licence stated")))
        .collect();
    assert!(refused.is_empty(), "not allowed by deny.toml:\n{}", refused.join("\n"));
}

#[test]
fn no_copyleft_is_on_the_list() {
    for licence in allowed() {
        assert!(!["GPL", "MPL", "EUPL", "CDDL", "SA"].iter().any(|name| licence.contains(name)), "{licence}");
    }
}

#[test]
fn a_choice_needs_one_allowed_licence_and_a_combination_all_of_them() {
    let allowed = ["MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
    for good in [
        "MIT",
        "MIT/Apache-2.0",
        "GPL-3.0-only OR MIT",
        "MIT AND (GPL-2.0-only OR Apache-2.0)",
        "Apache-2.0 WITH LLVM-exception",
        "(MIT)",
    ] {
        assert!(is_allowed(good, &allowed), "{good}");
    }
    for bad in [
        "GPL-3.0-only",
        "LGPL-2.1-or-later",
        "MIT AND GPL-2.0-only",
        "(MIT OR Apache-2.0) AND AGPL-3.0-only",
        "MIT WITH strange-exception",
        "GPL-2.0-only OR MIT AND MPL-2.0",
        "",
        "MIT OR",
        "(MIT",
    ] {
        assert!(!is_allowed(bad, &allowed), "{bad}");
    }
}

/// The list `allow` of `deny.toml`.
fn allowed() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deny.toml");
    let text = std::fs::read_to_string(path).expect("deny.toml");
    let table: toml::Table = text.parse().expect("deny.toml is TOML");
    let list = table["licenses"]["allow"].as_array().expect("a list of licences");
    list.iter().map(|licence| licence.as_str().expect("a name").to_owned()).collect()
}

/// Name and licence of every package, for all platforms; without the network for this one, as all of these were
/// fetched to build this test.
fn packages() -> Vec<(String, Option<String>)> {
    let metadata = metadata(&[]).unwrap_or_else(|whole| {
        let this = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let arguments =
            if cfg!(target_os = "linux") { vec!["--offline", "--filter-platform", &this] } else { vec![] };
        metadata(&arguments).unwrap_or_else(|part| panic!("cargo metadata failed: {whole}\n{part}"))
    });
    let packages = metadata["packages"].as_array().expect("packages").iter();
    packages
        .map(|package| {
            let text = |key: &str| package[key].as_str().map(str::to_owned);
            (text("name").expect("a name"), text("license"))
        })
        .collect()
}

fn metadata(more: &[&str]) -> Result<Value, String> {
    let mut command = Command::new(env!("CARGO"));
    command.args(["metadata", "--format-version=1", "--locked"]).args(more);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(serde_json::from_slice(&output.stdout).expect("JSON"))
}

/// Evaluates an SPDX expression, in which `/` is an old way of writing `OR`.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allowed) == Some(true) && rest.is_empty()
}

/// `AND` binds more tightly than `OR`.
fn any(rest: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut result = all(rest, allowed)?;
    while let ["OR", after @ ..] = *rest {
        *rest = after;
        result |= all(rest, allowed)?;
    }
    Some(result)
}

fn all(rest: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let mut result = one(rest, allowed)?;
    while let ["AND", after @ ..] = *rest {
        *rest = after;
        result &= one(rest, allowed)?;
    }
    Some(result)
}

fn one(rest: &mut &[&str], allowed: &[String]) -> Option<bool> {
    let name = match **rest {
        ["(", ref after @ ..] => {
            *rest = after;
            let result = any(rest, allowed)?;
            *rest = rest.strip_prefix(&[")"])?;
            return Some(result);
        }
        [licence, "WITH", exception, ref after @ ..] => {
            *rest = after;
            format!("{licence} WITH {exception}")
        }
        [licence, ref after @ ..] => {
            *rest = after;
            licence.to_owned()
        }
        [] => return None,
    };
    Some(allowed.contains(&name))
}
