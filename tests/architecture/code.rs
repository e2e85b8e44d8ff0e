//! Parses Rust as far as the map needs it: words, signs, and the paths that a file names.

use std::collections::BTreeMap;

type Names = Vec<String>;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Token {
    Word(String),
    /// `::`
    Colons,
    Sign(char),
}

/// Returns the words and signs of `code`, without comments, strings, characters and numbers.
pub(super) fn tokens(code: &str) -> Vec<Token> {
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
pub(super) fn without_tests(tokens: &[Token]) -> Vec<Token> {
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
pub(super) fn paths(code: &str, module: &str) -> Vec<String> {
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
