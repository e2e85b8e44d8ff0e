//! The map in `src/lib.rs`, as a test: no room uses a higher one, and the pure rooms name no clock, environment, network or
//! async. Paths are parsed: `use` trees with groups, `crate::`, `self::` and `super::`, aliases, and paths in code.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only the tests themselves")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

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

type Names = Vec<String>;

// --- the parser ------------------------------------------------------------------------------------------------------

#[derive(Clone, PartialEq, Eq, Debug)]
enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

/// Returns the words and signs of `code`, without comments, strings, characters and numbers.
fn tokens(code: &str) -> Vec<Token> {
    let chars: Vec<char> = code.chars().collect();
    let is = |i: usize, text: &str| chars[i..].starts_with(&text.chars().collect::<Vec<_>>());
    let find = |i: usize, text: &str| (i..chars.len()).find(|&i| is(i, text)).map_or(chars.len(), |i| i + text.len());
    let word_end = |i: usize| (i..chars.len()).find(|&i| !is_word(chars[i])).unwrap_or(chars.len());
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        i = match chars[i] {
            '/' if is(i, "//") => find(i, "\n"),
            '/' if is(i, "/*") => find(i, "*/"),
            '"' => string_end(&chars, i + 1),
            '\'' if is(i, "'\\") => find(i + 3, "'"),
            '\'' if chars.get(i + 2) == Some(&'\'') => i + 3,
            // A lifetime.
            '\'' => word_end(i + 1),
            c if c.is_ascii_digit() => word_end(i),
            c if is_word(c) => {
                let end = word_end(i);
                let word: String = chars[i..end].iter().collect();
                let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
                match word.as_str() {
                    "r" | "br" if chars.get(end + hashes) == Some(&'"') => {
                        find(end + hashes + 1, &format!("\"{}", "#".repeat(hashes)))
                    }
                    "b" if chars.get(end) == Some(&'"') => end,
                    // A raw identifier.
                    "r" if hashes == 1 => end + 1,
                    _ => {
                        tokens.push(Token::Word(word));
                        end
                    }
                }
            }
            ':' if is(i, "::") => {
                tokens.push(Token::Colons);
                i + 2
            }
            c => {
                if !c.is_whitespace() {
                    tokens.push(Token::Sign(c));
                }
                i + 1
            }
        };
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn string_end(chars: &[char], mut i: usize) -> usize {
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    i + 1
}

/// Returns `tokens` without the items behind `#[cfg(test)]`.
fn without_tests(tokens: &[Token]) -> Vec<Token> {
    let attribute = self::tokens("#[cfg(test)]");
    let mut rest = tokens;
    let mut kept = Vec::new();
    while let Some((first, next)) = rest.split_first() {
        if rest.starts_with(&attribute) {
            rest = &rest[item_len(rest)..];
        } else {
            kept.push(first.clone());
            rest = next;
        }
    }
    kept
}

/// Returns the length of the item that begins here: up to its `;`, or the `}` of its body.
fn item_len(tokens: &[Token]) -> usize {
    let mut depth = 0;
    for (i, token) in tokens.iter().enumerate() {
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => depth -= 1,
            _ => {}
        }
        if depth == 0 && matches!(token, Token::Sign(';' | '}')) {
            return i + 1;
        }
    }
    tokens.len()
}

/// Returns every path of two or more names in `code`, and every import, from the root: `crate::…`, or that of another crate.
/// `module` is the path of the module of this code, such as `crate::event::fields`.
fn paths(code: &str, module: &str) -> Vec<String> {
    let tokens = without_tests(&tokens(code));
    let module: Names = module.split("::").map(str::to_owned).collect();
    let mut imports = Vec::new();
    let mut in_code = Vec::new();
    let mut rest = tokens.as_slice();
    while let Some((first, next)) = rest.split_first() {
        rest = match first {
            Token::Word(word) if word == "use" => use_tree(next, &[], &mut imports),
            Token::Word(_) | Token::Colons => {
                let (path, after) = path(rest);
                if path.len() > 1 {
                    in_code.push(path);
                }
                after
            }
            Token::Sign(_) => next,
        };
    }
    // An import can begin with the alias of another one, and so on.
    let mut aliases = BTreeMap::new();
    for _ in 0..=imports.len().min(3) {
        for (path, name) in &mut imports {
            aliases.remove(name);
            *path = from_root(path, &module, &aliases);
            aliases.insert(name.clone(), path.clone());
        }
    }
    let imports = imports.into_iter().map(|(path, _)| path);
    let in_code = in_code.iter().map(|path| from_root(path, &module, &aliases));
    imports.chain(in_code).map(|path| path.join("::")).collect()
}

/// Reads a path without its generic arguments. An empty name at the front is a leading `::`.
fn path(mut tokens: &[Token]) -> (Names, &[Token]) {
    let mut path = Vec::new();
    if let [Token::Colons, next @ ..] = tokens {
        path.push(String::new());
        tokens = next;
    }
    while let [Token::Word(word), next @ ..] = tokens {
        path.push(word.clone());
        tokens = next;
        match tokens {
            [Token::Colons, Token::Word(_), ..] => tokens = &tokens[1..],
            _ => break,
        }
    }
    (path, tokens)
}

/// Reads the tree of a `use` behind `prefix`: every path in it, with the name that it gets.
fn use_tree<'t>(tokens: &'t [Token], prefix: &[String], imports: &mut Vec<(Names, String)>) -> &'t [Token] {
    let (names, mut rest) = path(tokens);
    let mut path = [prefix, &names].concat();
    if let [Token::Colons, next @ ..] = rest {
        rest = next;
    }
    match rest {
        [Token::Sign('{'), next @ ..] => {
            rest = next;
            while !matches!(rest, [] | [Token::Sign('}'), ..]) {
                rest = use_tree(rest, &path, imports);
                if let [Token::Sign(','), next @ ..] = rest {
                    rest = next;
                }
            }
            rest.get(1..).unwrap_or_default()
        }
        [Token::Sign('*'), next @ ..] => {
            path.push("*".to_owned());
            imports.push((path, "*".to_owned()));
            next
        }
        // Not a tree.
        _ if names.is_empty() => rest.get(1..).unwrap_or_default(),
        _ => {
            if path.len() > 1 && path.last().is_some_and(|name| name == "self") {
                path.pop();
            }
            let mut name = path.last().cloned().unwrap_or_default();
            if let [Token::Word(word), Token::Word(alias), next @ ..] = rest
                && word == "as"
            {
                name.clone_from(alias);
                rest = next;
            }
            imports.push((path, name));
            rest
        }
    }
}

fn from_root(path: &[String], module: &[String], aliases: &BTreeMap<String, Names>) -> Names {
    let (first, rest) = path.split_first().unwrap();
    match first.as_str() {
        "" => rest.to_vec(),
        "self" => [module, rest].concat(),
        "super" => {
            let ups = path.iter().take_while(|name| *name == "super").count();
            [&module[..module.len().saturating_sub(ups).max(1)], &path[ups..]].concat()
        }
        _ => match aliases.get(first) {
            Some(alias) => [alias.as_slice(), rest].concat(),
            None => path.to_vec(),
        },
    }
}

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
            if path.is_dir() { folders.push(path) } else { paths.push(path) }
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
        let tokens = without_tests(&tokens(&code));
        let (begin, text) = (self::tokens("-> Result<"), self::tokens(", String>"));
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

// --- the parser, tested ----------------------------------------------------------------------------------------------

#[test]
fn finds_every_path_in_code() {
    let table: [(&str, &[&str]); 21] = [
        ("use crate::gateway;", &["crate::gateway"]),
        ("pub(crate) use crate::gateway::Gateway as G;", &["crate::gateway::Gateway"]),
        ("use crate::{gateway, wire::{self, Limits}};", &["crate::gateway", "crate::wire", "crate::wire::Limits"]),
        ("use {crate::gateway::Gateway, std::fmt};", &["crate::gateway::Gateway", "std::fmt"]),
        ("use crate::gateway::*;", &["crate::gateway::*"]),
        ("use super::super::gateway::{Gateway as _};", &["crate::gateway::Gateway"]),
        ("use super::entries;", &["crate::event::entries"]),
        ("use self::inner::X;", &["crate::event::fields::inner::X"]),
        ("use ::tokio::time;", &["tokio::time"]),
        ("use crate as c; fn f() { c::gateway::run() }", &["crate", "crate::gateway::run"]),
        ("use std::time as t; fn f() { t::SystemTime::now(); }", &["std::time", "std::time::SystemTime::now"]),
        ("use std as s; use s::env as e; fn f() { e::var() }", &["std", "std::env", "std::env::var"]),
        ("fn f() -> crate::gateway::Gateway<'_, T> {}", &["crate::gateway::Gateway"]),
        ("fn f() { super::super::gateway::run() }", &["crate::gateway::run"]),
        ("fn f() { tracing::info!(x = crate::gateway::X) }", &["tracing::info", "crate::gateway::X"]),
        ("fn f(x: Vec<std::env::Vars>) {}", &["std::env::Vars"]),
        ("fn f() { x::<crate::gateway::X>() }", &["crate::gateway::X"]),
        ("// crate::gateway\n/* crate::gateway */ let a = \"crate::gateway \\\" crate::x\";", &[]),
        ("let a = (r#\"crate::gateway\"#, 'c', '\\'', b'\"', '\"'); fn f<'a>(x: &'a a::B) {}", &["a::B"]),
        ("#[cfg(test)]\nmod tests { use crate::gateway; fn f() { a::b(); } }\nuse a::C;", &["a::C"]),
        ("#[cfg(test)] use crate::gateway; #[cfg(test)] assert_eq!(a::b, [c::d]); d::e();", &["d::e"]),
    ];
    for (code, expected) in table {
        assert_eq!(paths(code, "crate::event::fields"), expected, "{code}");
    }
}

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
