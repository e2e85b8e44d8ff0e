//! Parses the literal of a metric's value into a [`Value`].

use super::entries::unquote;
use super::path::{at, excerpt, kind};
use crate::model::{Reason, Rejection, Value};
use std::fmt;

/// Why a literal is no value.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueError<'l> {
    /// A string without a number, and what may be the matter.
    NotANumber(&'l str, &'static str),
    OtherKind(&'l str),
    BeyondDouble(&'l str),
    NotFinite(&'l str),
}

/// Returns the value of the metric `name`; `None` if it is null, which says that nothing was measured.
///
/// A value is a JSON number, a boolean (1 or 0), or a string. The string holds a decimal number, or `nan`, `inf` or `infinity`
/// in any case with an optional sign; blanks around it are ignored. Anything else, and a number beyond the largest double, is
/// `invalid_value`.
pub(super) fn read(name: &str, literal: &str) -> Result<Option<Value>, Rejection> {
    parse(literal).map_err(|error| Rejection::new(Reason::InvalidValue, at("metrics", name, error)))
}

/// Returns what [`read`] returns.
pub(super) fn parse(literal: &str) -> Result<Option<Value>, ValueError<'_>> {
    let value = match literal.as_bytes().first() {
        Some(b'"') => {
            let text = unquote(literal).ok_or(ValueError::NotANumber(literal, ""))?;
            let text = text.trim_ascii();
            if is_decimal(text.as_bytes()) {
                number(text)
            } else if let Some(float) = not_finite(text) {
                return Ok(Some(Value::Float(float)));
            } else {
                return Err(ValueError::NotANumber(literal, hint(text)));
            }
        }
        Some(b'-' | b'0'..=b'9') => number(literal),
        Some(b't') => Some(Value::Integer(1)),
        Some(b'f') => Some(Value::Integer(0)),
        Some(b'n') => return Ok(None),
        _ => return Err(ValueError::OtherKind(literal)),
    };
    value.map(Some).ok_or(ValueError::BeyondDouble(literal))
}

/// Returns NaN or an infinity from its name, as Python, C, Java and firmware write it.
fn not_finite(text: &str) -> Option<f64> {
    let (sign, name) = match text.as_bytes() {
        [b'-', ..] => (-1.0, &text[1..]),
        [b'+', ..] => (1.0, &text[1..]),
        _ => (1.0, text),
    };
    match name.to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "infinity" => Some(sign * f64::INFINITY),
        _ => None,
    }
}

/// Returns what may be the matter with a string that is not a number.
fn hint(text: &str) -> &'static str {
    let unsigned = text.trim_start_matches(['+', '-']);
    let ends_in_unit = || {
        let number = unsigned.trim_end_matches(|c: char| !c.is_ascii_digit() && c != '.');
        number.len() < unsigned.len() && is_decimal(number.trim_ascii().as_bytes())
    };
    if text.is_empty() {
        ", it is blank; send null for a metric that was not measured"
    } else if unsigned.starts_with("0x") || unsigned.starts_with("0X") {
        ", hexadecimal is not accepted"
    } else if unsigned.contains(',') && is_decimal(unsigned.replace(',', "").as_bytes()) {
        ", it has a comma; the decimal separator is a point"
    } else if unsigned.contains('_') && is_decimal(unsigned.replace('_', "").as_bytes()) {
        ", it has an underscore"
    } else if ends_in_unit() {
        ", it has a unit; send the number alone"
    } else {
        ""
    }
}

/// `text` must be a JSON number, or pass [`is_decimal`]. Returns `None` if it is beyond the largest double.
fn number(text: &str) -> Option<Value> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.bytes().all(|b| b.is_ascii_digit())
        && let Ok(integer) = text.parse()
    {
        return Some(Value::Integer(integer));
    }
    text.parse().ok().filter(|float: &f64| float.is_finite()).map(Value::Float)
}

/// Returns whether `text` is `[+-]? ([0-9]+ (\. [0-9]*)? | \. [0-9]+) ([eE] [+-]? [0-9]+)?`. `str::parse` takes more:
/// `inf`, `infinity`, `nan`.
pub(super) fn is_decimal(text: &[u8]) -> bool {
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        _ => text,
    };
    let (whole, rest) = digits(unsigned);
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => digits(rest),
        _ => (0, rest),
    };
    let exponent = match rest {
        [] => true,
        [b'e' | b'E', b'+' | b'-', rest @ ..] | [b'e' | b'E', rest @ ..] => matches!(digits(rest), (1.., [])),
        _ => false,
    };
    whole + fraction > 0 && exponent
}

/// Returns how many digits `text` begins with, and the rest.
fn digits(text: &[u8]) -> (usize, &[u8]) {
    let count = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count, &text[count..])
}

impl fmt::Display for ValueError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NotANumber(literal, hint) => write!(f, "{} is not a number{hint}", excerpt(literal)),
            Self::OtherKind(literal) => write!(f, "{} is not a number, it is {}", excerpt(literal), kind(literal)),
            Self::BeyondDouble(literal) => {
                write!(f, "{} is beyond the range of a double (about 1.8e308)", excerpt(literal))
            }
            Self::NotFinite(literal) => write!(f, "{} is not finite", excerpt(literal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(literal: &str) -> String {
        match read("ph", literal) {
            Ok(Some(value)) => value.to_string(),
            Ok(None) => "nothing".to_owned(),
            Err(rejection) => rejection.to_string(),
        }
    }

    #[test]
    fn takes_the_type_from_the_literal() {
        let table = [
            ("12", "12"),
            (r#""12""#, "12"),
            ("12.0", "12.0"),
            (r#""12.0""#, "12.0"),
            ("1e3", "1000.0"),
            (r#""1E+3""#, "1000.0"),
            (r#""+5""#, "5"),
            ("-0", "0"),
            (r#""-0""#, "0"),
            ("-0.0", "-0.0"),
            (r#"".5""#, "0.5"),
            (r#""5.""#, "5.0"),
            (r#""-.5e1""#, "-5.0"),
            ("9007199254740993", "9007199254740993"),
            ("9223372036854775807", "9223372036854775807"),
            ("9223372036854775808", "9.223372036854776e18"),
            ("-9223372036854775808", "-9223372036854775808"),
            ("1e-400", "0.0"),
            ("5e-324", "5e-324"),
            (r#""NaN""#, "NaN"),
            (r#""-nan""#, "NaN"),
            (r#""NAN""#, "NaN"),
            (r#""Inf""#, "+Inf"),
            (r#""+Inf""#, "+Inf"),
            (r#""-Inf""#, "-Inf"),
            (r#""-INFINITY""#, "-Inf"),
            (r#"" infinity ""#, "+Inf"),
            (r#""\u0031""#, "1"),
            (r#""  3.300""#, "3.3"),
            (r#"" -0 ""#, "0"),
            (r#""\t7\r\n""#, "7"),
            ("true", "1"),
            ("false", "0"),
            ("null", "nothing"),
        ];
        for (literal, expected) in table {
            assert_eq!(shown(literal), expected, "{literal}");
        }
    }

    #[test]
    fn rejects_a_value_that_is_not_a_number() {
        let table = [
            (r#""abc""#, r#"invalid_value: metrics.ph: "abc" is not a number"#),
            (r#""true""#, r#"invalid_value: metrics.ph: "true" is not a number"#),
            (
                r#""""#,
                r#"invalid_value: metrics.ph: "" is not a number, it is blank; send null for a metric that was not measured"#,
            ),
            (r#""0x1F""#, r#"invalid_value: metrics.ph: "0x1F" is not a number, hexadecimal is not accepted"#),
            (
                r#""21,5""#,
                r#"invalid_value: metrics.ph: "21,5" is not a number, it has a comma; the decimal separator is a point"#,
            ),
            (r#""1_000""#, r#"invalid_value: metrics.ph: "1_000" is not a number, it has an underscore"#),
            (
                r#""-21.5 °C""#,
                r#"invalid_value: metrics.ph: "-21.5 °C" is not a number, it has a unit; send the number alone"#,
            ),
            ("[1]", "invalid_value: metrics.ph: [1] is not a number, it is an array"),
            ("1e309", "invalid_value: metrics.ph: 1e309 is beyond the range of a double (about 1.8e308)"),
        ];
        for (literal, expected) in table {
            assert_eq!(shown(literal), expected, "{literal}");
        }
        let not_numbers = [
            "", " ", "0x1F", "1_000", "--5", "+", "-", ".", "e5", "1e", "1e+", "1.2.3", "1,5", "٣", "infinite", "nano",
            "--inf", "1 2", "true", "\u{a0}1",
        ];
        for text in not_numbers {
            let shown = shown(&format!("\"{text}\""));
            assert!(shown.starts_with("invalid_value: "), "{text:?} gave {shown}");
        }
    }

    proptest! {
        /// A double that is written with enough digits is read with the same bits.
        #[test]
        fn property_test_doubles_are_exact(bits: u64) {
            let double = f64::from_bits(bits);
            prop_assume!(double.is_finite());
            let Ok(Some(Value::Float(read))) = read("x", &format!("{double:e}")) else { panic!("not a float") };
            prop_assert_eq!(read.to_bits(), double.to_bits());
        }

        #[test]
        fn property_test_integers_stay_integers(integer: i64) {
            prop_assert!(matches!(read("x", &integer.to_string()), Ok(Some(Value::Integer(read))) if read == integer));
        }
    }
}
