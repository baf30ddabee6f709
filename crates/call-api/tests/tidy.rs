//! The rules of the code that no lint knows: sizes, names, documentation, layers, licences.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A longer file is more than one thing.
const MAX_LINES: usize = 600;

/// Licences that go with ours, as `cargo metadata` spells them.
const LICENCES: [&str; 10] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

struct Source {
    /// Path from the root of the repository.
    path: String,
    text: String,
}

/// Every Rust file of ours.
fn sources() -> Vec<Source> {
    let root = root();
    let listed = run(Command::new("git").args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "*.rs",
    ]));
    let paths = listed.lines().map(str::to_owned);
    paths
        .filter_map(|path| {
            Some(Source { text: std::fs::read_to_string(root.join(&path)).ok()?, path })
        })
        .collect()
}

fn run(command: &mut Command) -> String {
    let output = command.current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Fails with every complaint at once.
fn complain(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

#[test]
fn no_file_is_too_long() {
    let long = sources().into_iter().filter_map(|source| {
        let lines = source.text.lines().count();
        (lines > MAX_LINES).then(|| format!("{} has {lines} lines", source.path))
    });
    complain(&format!("at most {MAX_LINES} lines in a file"), &long.collect::<Vec<_>>());
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources().into_iter().filter(|source| !source.text.starts_with("//!"));
    complain(
        "a file begins with //! what it is",
        &silent.map(|source| source.path).collect::<Vec<_>>(),
    );
}

#[test]
fn file_names_say_something() {
    let vague = ["utils", "util", "helpers", "helper", "common", "manager", "misc", "types"];
    let named = sources().into_iter().filter(|source| {
        let stem = Path::new(&source.path).file_stem().and_then(|stem| stem.to_str());
        stem.is_some_and(|stem| vague.contains(&stem))
    });
    complain(
        "a file name says what is in it",
        &named.map(|source| source.path).collect::<Vec<_>>(),
    );
}

#[test]
fn layers_point_one_way() {
    // Where, and what must not be mentioned there.
    let rules: [(&str, &[&str]); 6] = [
        ("crates/call-api/src/api/", &["crate::server", "crate::backend", "tokio::", "axum::"]),
        ("crates/call-api/src/server/", &["sip::", "engine::"]),
        ("crates/call-api/src/backend/", &["crate::server", "crate::api::jsonrpc", "axum::"]),
        ("crates/engine/src/", &["serde", "tokio", "std::fs", "std::thread", "std::env"]),
        ("crates/sip/src/", &["serde", "tokio", "std::fs", "std::thread", "std::time", "std::env"]),
        ("crates/", &["unbounded_channel", "unbounded()", "lazy_static", "static mut"]),
    ];
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|source| !source.path.ends_with("tidy.rs")) {
        for (place, banned) in rules.iter().filter(|(place, _)| source.path.starts_with(place)) {
            let code = source.text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for (word, line) in code.flat_map(|line| banned.iter().map(move |word| (word, line))) {
                if mentions(line, word) {
                    complaints.push(format!("{}: `{word}` has no place in {place}", source.path));
                }
            }
        }
    }
    complain("bin → server → api ← backend → engine → sip", &complaints);
}

/// Whether a line mentions a path or word, and not only as the end of a longer one.
fn mentions(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "_:.".contains(before))
    })
}

#[test]
fn the_crates_without_a_world_are_denied_the_same() {
    let lists = ["crates/sip/clippy.toml", "crates/engine/clippy.toml"]
        .map(|path| std::fs::read_to_string(root().join(path)).unwrap());
    assert_eq!(lists[0], lists[1], "what sip must not do, engine must not do either");
}

#[test]
fn every_wait_is_on_a_bounded_channel() {
    let bare =
        sources().into_iter().filter(|source| source.path.contains("/src/")).flat_map(|source| {
            let code = source.text.split("#[cfg(test)]").next().unwrap_or_default();
            let lines = code.lines().filter(|line| {
                line.split_once("channel(")
                    .is_some_and(|(_, rest)| rest.starts_with(|c: char| c.is_ascii_digit()))
            });
            lines.map(|line| format!("{}: {}", source.path, line.trim())).collect::<Vec<_>>()
        });
    complain("a channel's capacity is a named constant", &bare.collect::<Vec<_>>());
}

#[test]
fn every_dependency_has_a_licence_that_goes_with_ours() {
    let cargo = std::env::var("CARGO").unwrap_or("cargo".to_owned());
    let metadata = run(Command::new(cargo).args(["metadata", "--format-version", "1", "--locked"]));
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50, "cargo metadata lists what we depend on");
    let mut foreign = BTreeSet::new();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        // `A OR B` leaves the choice; `A AND B` asks for both.
        let fits = licence.replace('/', " OR ").split(" OR ").any(|choice| {
            let choice = choice.trim_matches(['(', ')', ' ']);
            choice.split(" AND ").all(|part| LICENCES.contains(&part.trim_matches(['(', ')', ' '])))
        });
        if !fits {
            foreign.insert(format!("{}: {licence:?}", package["name"]));
        }
    }
    complain("licences that may be combined with ours", &foreign.into_iter().collect::<Vec<_>>());
}
