//! Tokens for NaN and infinity, which JSON does not have. Python, C and firmware write them: `{"metrics": {"t": NaN}}`.
//!
//! Only text that is not JSON comes here. The tokens are allowed as values of metrics, and in `value` and `buckets` of a
//! typed metric. This module puts them into quotes, and the text is parsed again. It can restore the original text of each
//! part.

/// The accepted tokens.
const TOKENS: [&str; 5] = ["NaN", "Infinity", "-Infinity", "nan", "inf"];

/// Text whose bare tokens have quotes.
pub(super) struct Quoted {
    pub(super) text: String,
    /// The positions of the added quotes, in ascending order.
    quotes: Vec<usize>,
}

/// Returns `text` with its bare tokens in quotes; `None` if there are none.
pub(super) fn quote(text: &str) -> Option<Quoted> {
    let mut quoted = Quoted { text: String::new(), quotes: Vec::new() };
    let mut copied = 0;
    for (start, token) in Tokens::new(text) {
        quoted.text.push_str(&text[copied..start]);
        for part in ["\"", token, "\""] {
            if part == "\"" {
                quoted.quotes.push(quoted.text.len());
            }
            quoted.text.push_str(part);
        }
        copied = start + token.len();
    }
    if copied == 0 {
        return None;
    }
    quoted.text.push_str(&text[copied..]);
    Some(quoted)
}

impl Quoted {
    /// Returns `part`, which must be a slice of [`Self::text`], as it was before. Any other text is returned as it is.
    pub(super) fn original(&self, part: &str) -> String {
        let start = part.as_ptr().addr().wrapping_sub(self.text.as_ptr().addr());
        if self.text.get(start..start.wrapping_add(part.len())) != Some(part) {
            return part.to_owned();
        }
        let first = self.quotes.partition_point(|&quote| quote < start);
        let mut original = String::with_capacity(part.len());
        let mut from = start;
        for &quote in self.quotes[first..].iter().take_while(|&&quote| quote < start + part.len()) {
            original.push_str(&self.text[from..quote]);
            from = quote + 1;
        }
        original + &self.text[from..start + part.len()]
    }
}

/// The positions of the bare tokens that are values of metrics.
struct Tokens<'t> {
    text: &'t str,
    index: usize,
    open: Vec<Container>,
    /// The last string before a colon.
    key: &'t str,
    after_colon: bool,
    after_comma_or_bracket: bool,
    last_string: &'t str,
}

/// A container that is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Container {
    /// The object under the key `metrics`.
    Metrics,
    /// The object under the key `dimensions` or `labels`.
    Labels,
    Object,
    /// The list under the key `value` or `buckets` of an object.
    Numbers,
    List,
}

impl<'t> Tokens<'t> {
    fn new(text: &'t str) -> Self {
        Self {
            text,
            index: 0,
            open: Vec::new(),
            key: "",
            after_colon: false,
            after_comma_or_bracket: false,
            last_string: "",
        }
    }

    /// Returns the index after the string that begins at `self.index`. A line break ends a string that is not closed.
    fn string_end(&self) -> usize {
        let bytes = self.text.as_bytes();
        let mut i = self.index + 1;
        while i < bytes.len() {
            match bytes[i] {
                b'"' => return i + 1,
                b'\n' => return i,
                b'\\' => i += 2,
                _ => i += 1,
            }
        }
        bytes.len()
    }

    /// Returns whether a token is allowed here.
    fn takes_token(&self) -> bool {
        match self.open.last() {
            Some(Container::Metrics) => self.after_colon,
            Some(Container::Object) => self.after_colon && self.key == "value",
            Some(Container::Numbers) => self.after_comma_or_bracket,
            Some(Container::Labels | Container::List) | None => false,
        }
    }

    fn token_at(&self, index: usize) -> Option<&'static str> {
        let rest = self.text.get(index..)?;
        let ends = |token: &str| {
            rest[token.len()..]
                .bytes()
                .next()
                .is_none_or(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\t' | b'\r' | b'\n'))
        };
        TOKENS.into_iter().find(|token| rest.starts_with(token) && ends(token))
    }
}

impl Iterator for Tokens<'_> {
    type Item = (usize, &'static str);

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(&byte) = self.text.as_bytes().get(self.index) {
            let start = self.index;
            self.index += 1;
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => continue,
                b'"' => {
                    self.index = start;
                    self.index = self.string_end();
                    self.last_string = self.text.get(start + 1..self.index.saturating_sub(1)).unwrap_or("");
                    self.after_colon = false;
                }
                b':' => {
                    self.after_colon = true;
                    self.after_comma_or_bracket = false;
                    self.key = self.last_string;
                    continue;
                }
                b'{' => self.open.push(match self.key {
                    "metrics" if self.after_colon => Container::Metrics,
                    "dimensions" | "labels" if self.after_colon => Container::Labels,
                    _ => Container::Object,
                }),
                b'[' => {
                    let is_of_metric = self.after_colon && self.open.last() == Some(&Container::Object);
                    let are_numbers = is_of_metric && matches!(self.key, "value" | "buckets");
                    self.open.push(if are_numbers { Container::Numbers } else { Container::List });
                }
                b'}' | b']' => {
                    self.open.pop();
                }
                _ if self.takes_token() => {
                    if let Some(token) = self.token_at(start) {
                        self.index = start + token.len();
                        self.after_colon = false;
                        self.after_comma_or_bracket = false;
                        return Some((start, token));
                    }
                }
                _ => {}
            }
            self.after_colon = false;
            self.after_comma_or_bracket = matches!(byte, b',' | b'[');
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_the_five_tokens_into_quotes_where_they_are_values_of_metrics() {
        let table = [
            (
                r#"{"metrics": {"a": NaN, "b":-Infinity,"c": Infinity}}"#,
                r#"{"metrics": {"a": "NaN", "b":"-Infinity","c": "Infinity"}}"#,
            ),
            (
                r#"[{"metrics":{"a":nan}},{"metrics":{"a":inf}}]"#,
                r#"[{"metrics":{"a":"nan"}},{"metrics":{"a":"inf"}}]"#,
            ),
            (r#"{"detail":{"metrics":{"a":NaN}}}"#, r#"{"detail":{"metrics":{"a":"NaN"}}}"#),
            (r#"{"type":"gauge","value":NaN}"#, r#"{"type":"gauge","value":"NaN"}"#),
            (
                r#"{"value":[NaN, 1,inf],"buckets":[1, Infinity]}"#,
                r#"{"value":["NaN", 1,"inf"],"buckets":[1, "Infinity"]}"#,
            ),
            ("{\"metrics\":{\"a:1\n{\"metrics\":{\"b\":NaN}}", "{\"metrics\":{\"a:1\n{\"metrics\":{\"b\":\"NaN\"}}"),
        ];
        for (text, expected) in table {
            let quoted = quote(text).unwrap();
            assert_eq!(quoted.text, expected);
            assert_eq!(quoted.original(&quoted.text), text);
            assert_eq!(quoted.original(&quoted.text[2..]), text[2..]);
        }
    }

    #[test]
    fn leaves_other_tokens_and_other_places_alone() {
        let table = [
            r#"{"metrics":{"a":NAN}}"#,
            r#"{"metrics":{"a":+Infinity}}"#,
            r#"{"metrics":{"a":-nan}}"#,
            r#"{"metrics":{"a":NaNs}}"#,
            r#"{"metrics":{"a":[NaN]}}"#,
            r#"{"metrics":{"a":{"b":NaN}}}"#,
            r#"{"metrics":{NaN:1}}"#,
            r#"{"metrics":NaN}"#,
            r#"{"metrics":[NaN]}"#,
            r#"{"dimensions":{"a":NaN},"metrics":{"a":"NaN"}}"#,
            r#"{"timestamp":NaN}"#,
            r#"{"labels":{"value":NaN}}"#,
            r#"{"labels":{"value":[NaN]}}"#,
            r#"{"quantiles":[NaN]}"#,
            r#"{"value":[1 NaN]}"#,
            r#"{"value":[[NaN]]}"#,
            r#"{"value" NaN}"#,
            r#"{"metrics":{"a":" : NaN"}}"#,
            "NaN",
            "",
            "\"",
            "\"\\",
        ];
        for text in table {
            assert!(quote(text).is_none(), "{text}");
        }
    }
}
