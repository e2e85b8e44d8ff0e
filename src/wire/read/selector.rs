//! Writes matchers as a `PromQL` selector, as Prometheus 3 does: `{__name__="up",job!~"a.*","with.dot"="x"}`.

use super::{Matcher, Operator};
use crate::model::METRIC_NAME_LABEL;
use regex_lite::RegexBuilder;
use std::fmt;

/// A regular expression that takes more memory when compiled counts as one that may match the empty string.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// A matcher has no label name. `PromQL` has no form for this.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LabelNameEmpty;

/// Returns the selector of `matchers`. `PromQL` requires a matcher that does not take the empty string. If there is none, a matcher
/// that takes every name is added: every series has a name.
pub fn selector(matchers: &[Matcher]) -> Result<String, LabelNameEmpty> {
    let mut text = String::from("{");
    for matcher in matchers {
        if matcher.name.is_empty() {
            return Err(LabelNameEmpty);
        }
        if text.len() > 1 {
            text.push(',');
        }
        if is_classic(&matcher.name) {
            text.push_str(&matcher.name);
        } else {
            quote(&matcher.name, &mut text);
        }
        text.push_str(matcher.operator.sign());
        quote(&matcher.value, &mut text);
    }
    if matchers.iter().all(may_take_the_empty_string) {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(METRIC_NAME_LABEL);
        text.push_str("=~\".+\"");
    }
    text.push('}');
    Ok(text)
}

impl Operator {
    fn sign(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Matches => "=~",
            Self::NotMatches => "!~",
        }
    }
}

/// Returns whether braces take a label name without quotes.
fn is_classic(name: &str) -> bool {
    name.bytes().enumerate().all(|(i, byte)| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => true,
        b'0'..=b'9' => i > 0,
        _ => false,
    })
}

/// Writes a string in double quotes. The lexer of `PromQL` takes a line break and U+FFFD only as escapes.
fn quote(value: &str, text: &mut String) {
    text.push('"');
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '\n' => text.push_str("\\n"),
            '\0'..='\x1f' | '\x7f' | char::REPLACEMENT_CHARACTER => text.extend(unicode_escape(c)),
            c => text.push(c),
        }
    }
    text.push('"');
}

/// Returns `\u` and the four hexadecimal digits of a character below U+10000.
fn unicode_escape(c: char) -> impl Iterator<Item = char> {
    let digit = move |shift: u32| char::from_digit(u32::from(c) >> shift & 0xf, 16).unwrap_or('0');
    ['\\', 'u'].into_iter().chain([12, 8, 4, 0].map(digit))
}

fn may_take_the_empty_string(matcher: &Matcher) -> bool {
    match matcher.operator {
        Operator::Equal => matcher.value.is_empty(),
        Operator::NotEqual => !matcher.value.is_empty(),
        Operator::Matches => matches_empty(&matcher.value).unwrap_or(true),
        Operator::NotMatches => matches_empty(&matcher.value).is_none_or(|matches| !matches),
    }
}

/// Returns `None` for an expression that only the receiver can judge: it has a class of Unicode, or is wrong, or too large.
fn matches_empty(expression: &str) -> Option<bool> {
    let regex = RegexBuilder::new(&format!("^(?s:{expression})$")).size_limit(MAX_REGEX_BYTES).build().ok()?;
    Some(regex.is_match(""))
}

impl fmt::Display for LabelNameEmpty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a matcher has no label name")
    }
}

impl std::error::Error for LabelNameEmpty {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matcher((name, operator, value): (&str, Operator, &str)) -> Matcher {
        Matcher { operator, name: name.to_owned(), value: value.to_owned() }
    }

    fn text(matchers: &[(&str, Operator, &str)]) -> Result<String, LabelNameEmpty> {
        selector(&matchers.iter().copied().map(matcher).collect::<Vec<_>>())
    }

    use Operator::{Equal, Matches, NotEqual, NotMatches};

    #[test]
    fn writes_each_operator_and_quotes_what_promql_does_not_take_as_it_is() {
        let table = [
            (vec![("__name__", Equal, "up")], r#"{__name__="up"}"#),
            (vec![("__name__", Equal, "x"), ("job", NotMatches, "a.*")], r#"{__name__="x",job!~"a.*"}"#),
            (vec![("a", NotEqual, ""), ("b", Matches, "x|y")], r#"{a!="",b=~"x|y"}"#),
            (vec![("a", Equal, r#"say "hi""#)], r#"{a="say \"hi\""}"#),
            (vec![("a", Equal, r"C:\new")], r#"{a="C:\\new"}"#),
            (vec![("a", Matches, r"\d+\.\d")], r#"{a=~"\\d+\\.\\d"}"#),
            (vec![("a", Equal, "two\nlines\r\t\0")], r#"{a="two\nlines\u000d\u0009\u0000"}"#),
            (vec![("a", Equal, "größe 🌡 '`{}")], r#"{a="größe 🌡 '`{}"}"#),
            (vec![("a", Equal, "\u{FFFD}")], r#"{a="\ufffd"}"#),
            (vec![("with.dot", Equal, "x"), ("_1", Equal, "y")], r#"{"with.dot"="x",_1="y"}"#),
            (vec![("1a", Equal, "x"), ("größe \"\\", Equal, "y")], r#"{"1a"="x","größe \"\\"="y"}"#),
            (vec![("a:b", Equal, "x")], r#"{"a:b"="x"}"#),
        ];
        for (matchers, expected) in table {
            assert_eq!(text(&matchers).as_deref(), Ok(expected), "{matchers:?}");
        }
        assert_eq!(text(&[("a", Equal, "x"), ("", Equal, "x")]), Err(LabelNameEmpty));
    }

    #[test]
    fn asks_for_any_name_only_if_every_matcher_takes_the_empty_string() {
        let taking = [
            (Equal, ""),
            (NotEqual, "x"),
            (Matches, ""),
            (Matches, ".*"),
            (Matches, "a|"),
            (Matches, "(?i:x)?"),
            (Matches, "(a*|b{0,2})*"),
            (NotMatches, "x"),
            (NotMatches, ".+"),
            // Only the receiver knows.
            (Matches, r"\p{Greek}"),
            (Matches, "(wrong"),
            (NotMatches, r"\p{Greek}*"),
        ];
        for (operator, value) in taking {
            let selector = text(&[("a", operator, value)]).unwrap();
            assert!(selector.ends_with(r#",__name__=~".+"}"#), "{selector}");
        }
        let not_taking = [
            (Equal, "x"),
            (NotEqual, ""),
            (Matches, ".+"),
            (Matches, "a|b"),
            (Matches, "^(?:prod|test)-\\d*$"),
            (NotMatches, ""),
            (NotMatches, ".*"),
            (NotMatches, "|x"),
        ];
        for (operator, value) in not_taking {
            let selector = text(&[("b", NotEqual, "x"), ("a", operator, value)]).unwrap();
            assert!(!selector.contains("__name__"), "{selector}");
        }
        assert_eq!(text(&[]).as_deref(), Ok(r#"{__name__=~".+"}"#));
    }

    #[test]
    fn takes_any_regular_expression_in_bounded_time() {
        for expression in ["((((((((a{9}){9}){9}){9}){9}){9}){9}){9})", &"(".repeat(100_000), &"a?".repeat(100_000)] {
            assert!(may_take_the_empty_string(&matcher(("a", Matches, expression))));
        }
    }

    /// Undoes the quotes as Go and Prometheus do (`strutil.Unquote`), for the escapes that it has in common with [`quote`].
    fn unquote(quoted: &str) -> Option<String> {
        let inner = quoted.strip_prefix('"')?.strip_suffix('"')?;
        let mut value = String::new();
        let mut chars = inner.chars();
        while let Some(c) = chars.next() {
            value.push(match c {
                // The lexer ends the string, or reports an error.
                '"' | '\n' | char::REPLACEMENT_CHARACTER => return None,
                '\\' => match chars.next()? {
                    'n' => '\n',
                    c @ ('"' | '\\') => c,
                    'u' => {
                        let digits: String = chars.by_ref().take(4).collect();
                        char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?
                    }
                    _ => return None,
                },
                c => c,
            });
        }
        Some(value)
    }

    proptest! {
        /// The receiver reads the value that was quoted.
        #[test]
        fn property_test_quoting_can_be_undone(value in r#"([\\"'\n\r\u{0}-\u{2f}\u{7f}\u{fffd}nux]|\PC|.){0,20}"#) {
            let mut quoted = String::new();
            quote(&value, &mut quoted);
            prop_assert_eq!(unquote(&quoted), Some(value));
        }
    }
}
