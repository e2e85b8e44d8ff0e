//! The house of `src/lib.rs`, held to its word: lower modules never use higher ones, and the pure ones know no clock,
//! environment, network or async.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only the tests themselves")]

use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest. `config` and `instrumentation` stand apart: they know only nouns, and the parts that
/// read settings or count know them.
const LADDER: [&str; 9] = ["model", "event", "series", "wire", "aws", "amp", "remote_write", "dead_letter", "gateway"];

const PURE: [&str; 4] = ["model", "event", "series", "wire"];

/// What a pure module must not name.
const IMPURE: [&str; 8] = ["std::env", "std::net", "std::time", "std::fs", "SystemTime", "tokio", "reqwest", "async "];

fn sources(module: &str) -> Vec<(PathBuf, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![src.join(format!("{module}.rs"))];
    let mut folders = vec![src.join(module)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
        .into_iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| (path.clone(), product_code(&path)))
        .collect()
}

/// The file without its tests and comments.
fn product_code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn lower_modules_never_use_higher_ones() {
    for (height, module) in LADDER.iter().enumerate() {
        for (path, code) in sources(module) {
            for higher in LADDER[height + 1..].iter().chain(&["lambda", "local"]) {
                assert!(!code.contains(&format!("crate::{higher}")), "{} uses {higher}", path.display());
            }
        }
    }
}

#[test]
fn pure_modules_know_no_clock_environment_network_or_async() {
    for module in PURE {
        for (path, code) in sources(module) {
            for name in IMPURE {
                assert!(!code.contains(name), "{} names {name}", path.display());
            }
            assert!(!code.contains("crate::config"), "{} reads settings", path.display());
        }
    }
}

#[test]
fn every_module_stands_in_the_map_of_the_crate() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let map = fs::read_to_string(src.join("lib.rs")).unwrap();
    for entry in fs::read_dir(src).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.extension().is_some_and(|extension| extension == "rs") && name != "lib" {
            assert!(map.contains(&format!("//! * [`{name}`]")) || map.contains(&format!(", [`{name}`]")), "{name}");
        }
    }
}

#[test]
fn the_binary_of_the_function_is_small_and_unwinds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(fs::read_to_string(root.join("src/bin/ingest.rs")).unwrap().lines().count() <= 60);
    // Packaging tools set panic = "abort" where the profile is silent: a defect on one event would then end the process.
    assert!(fs::read_to_string(root.join("Cargo.toml")).unwrap().contains("panic = \"unwind\""));
}
