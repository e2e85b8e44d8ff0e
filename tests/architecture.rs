//! The map in `src/lib.rs`, as a test: no room uses a higher one, and the pure rooms name no clock, environment, network or
//! async. Paths are parsed: `use` trees with groups, `crate::`, `self::` and `super::`, aliases, and paths in code.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only the tests themselves")]

use code::{Token, paths, tokens, without_tests};
use std::fs;
use std::path::{Path, PathBuf};

#[path = "architecture/code.rs"]
mod code;

/// From the lowest room to the highest.
const LADDER: [&str; 27] = [
    "limits",
    "model",
    "protobuf",
    "blob",
    "index",
    "order",
    "event",
    "aggregate",
    "exposition",
    "otlp",
    "push_group",
    "series",
    "telemetry",
    "wire",
    "listener",
    "aws",
    "amp",
    "remote_write",
    "dead_letter",
    "store",
    "config",
    "gateway",
    "instrumentation",
    "http",
    "lambda",
    "extension",
    "local",
];

const PURE: [&str; 14] = [
    "limits",
    "model",
    "protobuf",
    "blob",
    "index",
    "order",
    "event",
    "aggregate",
    "exposition",
    "otlp",
    "push_group",
    "series",
    "telemetry",
    "wire",
];

/// The other crates that a pure room may name: none of them reads a clock or the environment, or has async.
const PURE_CRATES: [&str; 14] = [
    "base64",
    "bytes",
    "crc32fast",
    "flate2",
    "foldhash",
    "hashbrown",
    "memchr",
    "prost",
    "regex_lite",
    "serde",
    "serde_json",
    "sha2",
    "snap",
    "strsim",
];

/// The modules of `std` that no pure room names.
const IMPURE_STD: [&str; 10] = ["env", "fs", "future", "io", "net", "os", "process", "task", "thread", "time"];

const IMPURE_WORDS: [&str; 4] = ["async", "await", "Future", "extern"];

/// Returns why a file of `room` breaks the ladder.
fn higher_rooms(room: &str, paths: &[String]) -> Vec<String> {
    let height = |room: &str| LADDER.iter().position(|name| *name == room);
    let is_higher = |path: &&String| match path.split("::").collect::<Vec<_>>().as_slice() {
        ["crate", "*", ..] => true,
        ["crate", other, ..] => height(other) > height(room),
        _ => false,
    };
    paths.iter().filter(is_higher).cloned().collect()
}

/// Returns the paths that no pure room may name. `crates` are the dependencies of this crate.
fn impure_paths(paths: &[String], crates: &[String]) -> Vec<String> {
    let is_impure = |path: &&String| match path.split("::").collect::<Vec<_>>().as_slice() {
        ["std", "*", ..] => true,
        // The trait alone, to read from bytes in memory.
        ["std", "io", "Read"] | [] => false,
        ["std", module, ..] => IMPURE_STD.contains(module),
        [name, ..] => crates.iter().any(|other| other == name) && !PURE_CRATES.contains(name),
    };
    paths.iter().filter(is_impure).cloned().collect()
}

fn impure_words(code: &str) -> Vec<String> {
    let is_impure = |token: &Token| match token {
        Token::Word(word) if IMPURE_WORDS.contains(&word.as_str()) => Some(word.clone()),
        _ => None,
    };
    without_tests(&tokens(code)).iter().filter_map(is_impure).collect()
}

// --- this crate ------------------------------------------------------------------------------------------------------

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

struct Source {
    path: PathBuf,
    /// `crate::event::fields`
    module: String,
    code: String,
}

/// Returns the files of a room without those of its tests.
fn sources(room: &str) -> Vec<Source> {
    let src = root().join("src");
    let mut paths = vec![src.join(format!("{room}.rs"))];
    let mut folders = vec![src.join(room)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            let is_of_tests = path.file_stem().unwrap() == "tests";
            match path.is_dir() {
                true if is_of_tests => {}
                true => folders.push(path),
                false => paths.push(path),
            }
        }
    }
    // The programs have no file of their own. The chaos is a test.
    paths.retain(|path| {
        path.file_stem().unwrap() != "tests" && path.exists() && !path.starts_with(src.join("gateway/chaos"))
    });
    let source = |path: PathBuf| {
        let names = path.strip_prefix(&src).unwrap().with_extension("");
        let names = names.iter().map(|name| name.to_str().unwrap().to_owned());
        let module = std::iter::once("crate".to_owned()).chain(names).collect::<Vec<_>>().join("::");
        let code = fs::read_to_string(&path).unwrap();
        Source { path, module, code }
    };
    paths.into_iter().map(source).collect()
}

fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names = section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.replace('-', "_"));
    let names: Vec<_> = names.collect();
    assert!(names.len() > 10 && names.contains(&"tokio".to_owned()), "{names:?}");
    names
}

#[test]
fn no_room_uses_a_higher_one() {
    for room in LADDER {
        for Source { path, module, code } in sources(room) {
            let higher = higher_rooms(room, &paths(&code, &module));
            assert!(higher.is_empty(), "{}: {higher:?}", path.display());
        }
    }
}

#[test]
fn pure_rooms_name_no_clock_environment_network_or_async() {
    let crates = dependencies();
    for room in PURE {
        for Source { path, module, code } in sources(room) {
            let impure = [impure_paths(&paths(&code, &module), &crates), impure_words(&code)].concat();
            assert!(impure.is_empty(), "{}: {impure:?}", path.display());
        }
    }
}

/// An error that is only a text cannot say whether to try again, and loses its cause.
#[test]
fn no_error_is_a_text() {
    let all = LADDER.into_iter().chain(["bin"]).flat_map(sources);
    for Source { path, code, .. } in all {
        let (begin, text) = (tokens("-> Result<"), tokens(", String>"));
        let tokens = without_tests(&tokens(&code));
        // From `-> Result<` to the body or the end of the signature.
        let is_end = |token: &Token| matches!(token, Token::Sign('{' | ';'));
        let results = (0..tokens.len()).filter(|&at| tokens[at..].starts_with(&begin));
        let signatures = results.filter_map(|at| tokens[at..].split(is_end).next());
        let found = signatures.filter(|signature| signature.ends_with(&text)).count();
        assert_eq!(found, 0, "{}: a Result with a String for an error", path.display());
    }
}

#[test]
fn every_room_is_on_the_ladder_and_in_the_map_of_the_crate() {
    let map = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut rooms = Vec::new();
    for entry in fs::read_dir(root().join("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && name != "lib" {
            assert!(map.contains(&format!("//! * [`{name}`]")), "{name} is not in the map of src/lib.rs");
            rooms.push(name);
        }
    }
    rooms.sort();
    let mut ladder = LADDER;
    ladder.sort_unstable();
    assert_eq!(rooms, ladder);
}

#[test]
fn the_binary_of_the_function_is_small_and_unwinds() {
    assert!(fs::read_to_string(root().join("src/bin/ingest.rs")).unwrap().lines().count() <= 60);
    // Packaging tools set panic = "abort" if the profile is silent. Then a panic on one event would end the process.
    assert!(fs::read_to_string(root().join("Cargo.toml")).unwrap().contains("panic = \"unwind\""));
}

// --- the rules, tested ----------------------------------------------------------------------------------------------

#[test]
fn reports_paths_to_higher_rooms_only() {
    let table = [
        ("use crate::{model::Value, gateway::Gateway};", vec!["crate::gateway::Gateway"]),
        ("use super::super::local;", vec!["crate::local"]),
        ("use crate::*;", vec!["crate::*"]),
        ("use crate::event::Event; use crate::limits::MAX_LABELS;", vec![]),
        ("fn gateway() { gateway::run() }", vec![]),
    ];
    for (code, expected) in table {
        assert_eq!(higher_rooms("event", &paths(code, "crate::event::fields")), expected, "{code}");
    }
}

#[test]
fn reports_impure_paths_whatever_their_alias() {
    let crates = ["tokio", "serde", "tracing"].map(str::to_owned);
    let table = [
        ("use std::{fmt, time::SystemTime as Clock};", vec!["std::time::SystemTime"]),
        ("use std as s; fn f() { s::env::var(\"X\") }", vec!["std::env::var"]),
        ("use std::*;", vec!["std::*"]),
        ("fn f() { std::thread::sleep(x); tracing::info!(\"x\") }", vec!["std::thread::sleep", "tracing::info"]),
        ("use tokio as quiet;", vec!["tokio"]),
        ("use serde::Deserialize; use std::borrow::Cow; fn f() { Cow::Borrowed(x) }", vec![]),
    ];
    for (code, expected) in table {
        assert_eq!(impure_paths(&paths(code, "crate::event"), &crates), expected, "{code}");
    }
    assert_eq!(impure_words("async fn f() { x.await } // Future"), ["async", "await"]);
}

/// The features of the AWS crates that only `pushgw` needs must stay out of the function: each adds a service's SDK.
#[test]
fn ingest_is_built_without_the_sources_of_credentials_that_only_people_use() {
    let tree = |features: &[&str]| {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        cargo.args(["tree", "--offline", "--locked", "--edges", "normal,features", "--prefix", "none"]).args(features);
        let output = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let (ingest, pushgw) = (tree(&["--no-default-features"]), tree(&[]));
    for part in ["aws-sdk-sso ", "aws-sdk-ssooidc ", "sha1 "] {
        assert!(pushgw.contains(part), "{part}");
        assert!(!ingest.contains(part), "{part}");
    }
}
