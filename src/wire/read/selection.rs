//! Parses the selector of a user, such as `http_requests_total{method="GET",path=~"/api/.*"}`, and finds label sets that
//! match. <https://prometheus.io/docs/prometheus/latest/querying/basics/#time-series-selectors>
//!
//! As in Prometheus a missing label counts as empty, and an expression must match the whole value. At least one matcher
//! must not match the empty string. Names of labels, and the name of the metric, may be in quotes: `{"with.dot","label
//! name"="x"}`.

use super::{Matcher, Operator};
use crate::limits::MAX_READ_MATCHERS;
use crate::model::METRIC_NAME_LABEL;
use regex_lite::{Regex, RegexBuilder};
use std::fmt;

/// The memory of a compiled expression.
const MAX_REGEX_BYTES: usize = 1 << 20;

/// Bytes of a selector.
const MAX_SELECTOR_BYTES: usize = 64 << 10;

/// The matchers of a selector. All of them must take a label set.
#[derive(Clone, Debug)]
pub struct Selection(Vec<Compiled>);

#[derive(Clone, Debug)]
struct Compiled {
    matcher: Matcher,
    /// `None` for operators without an expression.
    regex: Option<Regex>,
}

/// Why a text is no selector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SelectorError {
    /// The character at which the problem is, counted from 1.
    pub at: usize,
    pub problem: SelectorProblem,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SelectorProblem {
    /// Something else was expected.
    Expected(&'static str),
    StringWithoutEnd,
    /// The escape sequence is none of Go's.
    Escape,
    NameTwice,
    TooLong,
    TooManyMatchers,
    /// The expression cannot be compiled: the cause.
    Expression(String),
    /// Every matcher takes the empty string.
    TakesEverything,
}

impl Selection {
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.len() > MAX_SELECTOR_BYTES {
            return Err(SelectorError { at: 1, problem: SelectorProblem::TooLong });
        }
        let mut reader = Reader { chars: text.chars().collect(), at: 0 };
        let selection = Self(reader.selector()?);
        let is_bounded = selection.0.iter().any(|compiled| !compiled.takes(""));
        if is_bounded { Ok(selection) } else { Err(SelectorError { at: 1, problem: SelectorProblem::TakesEverything }) }
    }

    /// Reports whether all matchers take a label set. `label` returns the value of a label; the name of the metric is the label `__name__`.
    pub fn takes<'l>(&self, label: impl Fn(&str) -> Option<&'l str>) -> bool {
        self.0.iter().all(|compiled| compiled.takes(label(&compiled.matcher.name).unwrap_or_default()))
    }

    /// Returns the name of the metric, if the selector asks for a single one.
    pub fn metric_name(&self) -> Option<&str> {
        let is_name = |matcher: &&Matcher| matcher.name == METRIC_NAME_LABEL && matcher.operator == Operator::Equal;
        self.0.iter().map(|compiled| &compiled.matcher).find(is_name).map(|matcher| matcher.value.as_str())
    }
}

impl Compiled {
    fn new(matcher: Matcher) -> Result<Self, SelectorProblem> {
        let regex = match matcher.operator {
            Operator::Equal | Operator::NotEqual => None,
            Operator::Matches | Operator::NotMatches => Some(whole(&matcher.value)?),
        };
        Ok(Self { matcher, regex })
    }

    fn takes(&self, value: &str) -> bool {
        let matches = match &self.regex {
            Some(regex) => regex.is_match(value),
            None => self.matcher.value == value,
        };
        matches == matches!(self.matcher.operator, Operator::Equal | Operator::Matches)
    }
}

/// Compiles an expression that must match the whole value.
fn whole(expression: &str) -> Result<Regex, SelectorProblem> {
    let failed = |error: regex_lite::Error| SelectorProblem::Expression(error.to_string());
    let compile = |text: &str| RegexBuilder::new(text).size_limit(MAX_REGEX_BYTES).build().map_err(failed);
    // First it is compiled alone, because `a)|(b` would close the group around it.
    compile(expression)?;
    compile(&format!("^(?s:{expression})$"))
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn selector(&mut self) -> Result<Vec<Compiled>, SelectorError> {
        let mut matchers = Vec::new();
        if let Some(name) = self.word(|c| c == ':') {
            matchers.push(named(name));
        }
        if self.takes('{') {
            while !self.takes('}') {
                self.matcher(&mut matchers)?;
                if !self.takes(',') && self.peek() != Some('}') {
                    return Err(self.expected("a comma or } behind a matcher"));
                }
            }
        } else if matchers.is_empty() {
            return Err(self.expected("a metric name or {"));
        }
        match self.peek() {
            None => matchers.into_iter().map(|(matcher, at)| self.compiled(matcher, at)).collect(),
            Some(_) => Err(self.expected("the end of the selector")),
        }
    }

    fn compiled(&self, matcher: Matcher, at: usize) -> Result<Compiled, SelectorError> {
        Compiled::new(matcher).map_err(|problem| self.error(at, problem))
    }

    fn matcher(&mut self, matchers: &mut Vec<(Matcher, usize)>) -> Result<(), SelectorError> {
        self.skip_blanks();
        let begin = self.at;
        let is_quoted = matches!(self.peek(), Some('"' | '\'' | '`'));
        let name = match self.word(|_| false) {
            Some((name, _)) => name,
            None if is_quoted => self.string()?,
            None => return Err(self.expected("a label name")),
        };
        let is_alone = matches!(self.peek(), Some(',' | '}'));
        let matcher = if is_quoted && is_alone {
            named((name, begin)).0
        } else {
            let operator = self.operator()?;
            let value = self.string()?;
            Matcher { operator, name, value }
        };
        let is_name = |matcher: &Matcher| matcher.name == METRIC_NAME_LABEL && matcher.operator == Operator::Equal;
        if is_name(&matcher) && matchers.iter().any(|(other, _)| is_name(other)) {
            return Err(self.error(begin, SelectorProblem::NameTwice));
        }
        if matchers.len() >= MAX_READ_MATCHERS {
            return Err(self.error(begin, SelectorProblem::TooManyMatchers));
        }
        matchers.push((matcher, begin));
        Ok(())
    }

    fn operator(&mut self) -> Result<Operator, SelectorError> {
        self.skip_blanks();
        let mut next = [0, 1].map(|i| self.chars.get(self.at + i).copied().unwrap_or_default());
        let operator = match &mut next {
            ['!', '='] => Operator::NotEqual,
            ['=', '~'] => Operator::Matches,
            ['!', '~'] => Operator::NotMatches,
            ['=', _] => {
                self.at += 1;
                return Ok(Operator::Equal);
            }
            _ => return Err(self.expected("one of = != =~ !~")),
        };
        self.at += 2;
        Ok(operator)
    }

    /// Reads a string in double quotes, single quotes or backticks.
    fn string(&mut self) -> Result<String, SelectorError> {
        self.skip_blanks();
        let begin = self.at;
        let Some(quote @ ('"' | '\'' | '`')) = self.next() else {
            self.at = begin;
            return Err(self.expected("a value in quotes"));
        };
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.next() {
                None => return Err(self.error(begin, SelectorProblem::StringWithoutEnd)),
                Some('\n') if quote != '`' => return Err(self.error(begin, SelectorProblem::StringWithoutEnd)),
                Some(c) if c == quote => return Ok(text),
                Some('\\') if quote != '`' => {
                    text.push(self.escape(quote).ok_or_else(|| self.error(at, SelectorProblem::Escape))?);
                }
                Some(c) => text.push(c),
            }
        }
    }

    /// Reads an escape sequence of Go after its backslash.
    fn escape(&mut self, quote: char) -> Option<char> {
        Some(match self.next()? {
            'a' => '\x07',
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            '\\' => '\\',
            c if c == quote => c,
            'x' => self.digits(2, 16).filter(char::is_ascii)?,
            'u' => self.digits(4, 16)?,
            'U' => self.digits(8, 16)?,
            '0'..='7' => {
                self.at -= 1;
                self.digits(3, 8).filter(char::is_ascii)?
            }
            _ => return None,
        })
    }

    fn digits(&mut self, count: usize, radix: u32) -> Option<char> {
        let digits = (0..count).map(|_| self.next()?.to_digit(radix));
        let number = digits
            .collect::<Option<Vec<_>>>()?
            .into_iter()
            .fold(0_u32, |number, digit| number.wrapping_mul(radix).wrapping_add(digit));
        char::from_u32(number)
    }

    /// Reads a name without quotes, and its position. `or` says which characters it may have besides letters, digits and underscores.
    fn word(&mut self, or: impl Fn(char) -> bool) -> Option<(String, usize)> {
        self.skip_blanks();
        let begin = self.at;
        while let Some(c) = self.chars.get(self.at) {
            let is_digit = c.is_ascii_digit() && self.at > begin;
            if !(c.is_ascii_alphabetic() || *c == '_' || is_digit || or(*c)) {
                break;
            }
            self.at += 1;
        }
        (self.at > begin).then(|| (self.chars[begin..self.at].iter().collect(), begin))
    }

    fn takes(&mut self, sign: char) -> bool {
        let is_there = self.peek() == Some(sign);
        self.at += usize::from(is_there);
        is_there
    }

    /// Returns the next character that is not blank.
    fn peek(&mut self) -> Option<char> {
        self.skip_blanks();
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.chars.get(self.at).copied();
        self.at += usize::from(c.is_some());
        c
    }

    fn skip_blanks(&mut self) {
        while self.chars.get(self.at).is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r')) {
            self.at += 1;
        }
    }

    fn expected(&self, what: &'static str) -> SelectorError {
        self.error(self.at, SelectorProblem::Expected(what))
    }

    #[expect(clippy::unused_self, reason = "reads like the other methods")]
    fn error(&self, at: usize, problem: SelectorProblem) -> SelectorError {
        SelectorError { at: at + 1, problem }
    }
}

/// Returns the matcher of a metric's name.
fn named((name, at): (String, usize)) -> (Matcher, usize) {
    (Matcher { operator: Operator::Equal, name: METRIC_NAME_LABEL.to_owned(), value: name }, at)
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, problem } = self;
        match problem {
            SelectorProblem::Expected(what) => write!(f, "at character {at}: expected {what}"),
            SelectorProblem::StringWithoutEnd => write!(f, "the string that begins at character {at} has no end"),
            SelectorProblem::Escape => {
                write!(f, "at character {at}: this escape sequence is unknown; a backslash is written \\\\")
            }
            SelectorProblem::NameTwice => write!(f, "at character {at}: the name of the metric occurs twice"),
            SelectorProblem::TooLong => write!(f, "it is longer than {MAX_SELECTOR_BYTES} bytes"),
            SelectorProblem::TooManyMatchers => write!(f, "it has more than {MAX_READ_MATCHERS} matchers"),
            SelectorProblem::Expression(cause) => {
                write!(f, "the expression of the matcher at character {at} cannot be used: {cause}")
            }
            SelectorProblem::TakesEverything => {
                f.write_str("at least one matcher must not match the empty string, such as __name__=~\".+\"")
            }
        }
    }
}

impl std::error::Error for SelectorError {}

#[cfg(test)]
mod tests {
    use super::super::selector;
    use super::*;
    use proptest::prelude::*;

    /// Returns the matchers in the form of remote read.
    fn read(text: &str) -> Result<String, String> {
        let selection = Selection::parse(text).map_err(|error| error.to_string())?;
        let matchers: Vec<_> = selection.0.into_iter().map(|compiled| compiled.matcher).collect();
        Ok(selector(&matchers).unwrap())
    }

    fn takes(text: &str, labels: &[(&str, &str)]) -> bool {
        let label = |name: &str| labels.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
        Selection::parse(text).unwrap().takes(label)
    }

    #[test]
    fn reads_selectors_as_prometheus_does() {
        let table = [
            ("up", r#"{__name__="up"}"#),
            ("job:rate:5m{}", r#"{__name__="job:rate:5m"}"#),
            (r#"x{a="1", b!='2',c=~`\d+`, d !~ "" ,}"#, r#"{__name__="x",a="1",b!="2",c=~"\\d+",d!~""}"#),
            (r#"{__name__=~"a.*"}"#, r#"{__name__=~"a.*"}"#),
            (r#"{"with.dot","label name"="x"}"#, r#"{__name__="with.dot","label name"="x"}"#),
            (r#"{a="\n\t\\\"\x41\101\u00e9\U0001F321"}"#, r#"{a="\n\u0009\\\"AAé🌡"}"#),
            (r"{a='it\'s'}", r#"{a="it's"}"#),
            (" x {\n a = \"1\" } ", r#"{__name__="x",a="1"}"#),
        ];
        for (text, expected) in table {
            assert_eq!(read(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn names_the_character_of_what_is_wrong() {
        let table = [
            ("", "at character 1: expected a metric name or {"),
            ("{}", "at least one matcher must not match the empty string"),
            (r#"{a=""}"#, "at least one matcher"),
            (r#"{a!="x",b=~".*"}"#, "at least one matcher"),
            ("x{a}", "at character 4: expected one of = != =~ !~"),
            ("x{a=b}", "at character 5: expected a value in quotes"),
            (r#"x{a="b}"#, "the string that begins at character 5 has no end"),
            (r#"x{a="b" c="d"}"#, "at character 9: expected a comma or }"),
            (r#"x{a="b""#, "at character 8: expected a comma or }"),
            (r#"x{a="\d"}"#, "at character 6: this escape sequence is unknown"),
            ("x{a=\"b\"} 5", "at character 10: expected the end"),
            ("x{1a=\"b\"}", "at character 3: expected a label name"),
            (r#"x{__name__="y"}"#, "at character 3: the name of the metric occurs twice"),
            (r#"x{a=~"("}"#, "the expression of the matcher at character 3 cannot be used"),
            (r#"x{a=~"a)|(b"}"#, "the expression of the matcher at character 3 cannot be used"),
            ("rate(x[5m])", "at character 5: expected the end"),
        ];
        for (text, expected) in table {
            let error = read(text).unwrap_err();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
        assert!(read(&format!("x{{a=\"{}\"}}", "y".repeat(70_000))).unwrap_err().contains("longer than"));
    }

    #[test]
    fn takes_a_label_set_if_every_matcher_does() {
        let labels = [("__name__", "x"), ("job", "backup"), ("path", "/a\nb")];
        let table = [
            ("x", true),
            ("y", false),
            (r#"x{job="backup"}"#, true),
            (r#"x{job="back"}"#, false),
            (r#"{job=~"back"}"#, false),
            (r#"{job=~"back.*|x"}"#, true),
            (r#"{job=~"x|backup"}"#, true),
            (r#"{path=~"/.*"}"#, true),
            (r#"x{job!~"b.*"}"#, false),
            (r#"x{missing="",job!="other"}"#, true),
            (r#"x{missing!=""}"#, false),
            (r#"x{missing=~".*"}"#, true),
        ];
        for (text, expected) in table {
            assert_eq!(takes(text, &labels), expected, "{text}");
        }
    }

    proptest! {
        /// Remote read writes selectors for the receiver; they are read as they were meant.
        #[test]
        fn property_test_a_written_selector_is_read_back(
            name in "[a-z]{1,3}|[a-zé .\"\\\\]{1,4}",
            value in r#"([\\"'\n\r\u{0}-\u{2f}nux]|\PC){0,12}"#,
        ) {
            let matchers = [Matcher { operator: Operator::NotEqual, name: "a".to_owned(), value: String::new() },
                Matcher { operator: Operator::Equal, name, value }];
            let text = selector(&matchers).unwrap();
            let read = Selection::parse(&text).unwrap();
            prop_assert_eq!(read.0.into_iter().map(|compiled| compiled.matcher).collect::<Vec<_>>(), matchers);
        }

        #[test]
        fn property_test_any_text_is_read_or_an_error(text in ".{0,40}|[a{}=!~\"'`\\\\,]{0,30}") {
            let _any = Selection::parse(&text);
        }
    }
}
