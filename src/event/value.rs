//! The literal of a metric's value to a [`Value`].

use super::entries::unquote;
use super::path::{at, excerpt, kind};
use crate::model::{Reason, Rejection, Value};

/// Returns the value of the metric `name`: a JSON number, or a string that holds a decimal number, `NaN`, `Inf`, `+Inf` or
/// `-Inf`. Anything else, and a number beyond the largest double, is `invalid_value`.
pub(super) fn read(name: &str, literal: &str) -> Result<Value, Rejection> {
    let rejected = |problem: String| Rejection::new(Reason::InvalidValue, at("metrics", name, problem));
    let not_a_number = || rejected(format!("{} is not a number", excerpt(literal)));
    let value = match literal.as_bytes().first() {
        Some(b'"') => {
            let text = unquote(literal).ok_or_else(not_a_number)?;
            match text.as_ref() {
                "NaN" => return Ok(Value::Float(f64::NAN)),
                "Inf" | "+Inf" => return Ok(Value::Float(f64::INFINITY)),
                "-Inf" => return Ok(Value::Float(f64::NEG_INFINITY)),
                text if is_decimal(text.as_bytes()) => number(text),
                _ => return Err(not_a_number()),
            }
        }
        Some(b'-' | b'0'..=b'9') => number(literal),
        Some(b'n') => return Err(not_a_number()),
        _ => return Err(rejected(format!("{} is not a number, it is {}", excerpt(literal), kind(literal)))),
    };
    value.ok_or_else(|| rejected(format!("{} is beyond the range of a double (about 1.8e308)", excerpt(literal))))
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
fn is_decimal(text: &[u8]) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(literal: &str) -> String {
        match read("ph", literal) {
            Ok(value) => value.to_string(),
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
            (r#""Inf""#, "+Inf"),
            (r#""+Inf""#, "+Inf"),
            (r#""-Inf""#, "-Inf"),
            (r#""\u0031""#, "1"),
        ];
        for (literal, expected) in table {
            assert_eq!(shown(literal), expected, "{literal}");
        }
    }

    #[test]
    fn rejects_a_value_that_is_not_a_number() {
        let table = [
            (r#""abc""#, r#"invalid_value: metrics.ph: "abc" is not a number"#),
            ("true", "invalid_value: metrics.ph: true is not a number, it is a boolean"),
            ("null", "invalid_value: metrics.ph: null is not a number"),
            ("[1]", "invalid_value: metrics.ph: [1] is not a number, it is an array"),
            ("1e309", "invalid_value: metrics.ph: 1e309 is beyond the range of a double (about 1.8e308)"),
        ];
        for (literal, expected) in table {
            assert_eq!(shown(literal), expected, "{literal}");
        }
        let not_numbers = [
            "", " ", " 1", "1 ", "0x1F", "1_000", "inf", "nan", "Infinity", "-NaN", "--5", "+", ".", "e5", "1e", "1e+",
            "1.2.3", "1,5", "٣",
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
            let Ok(Value::Float(read)) = read("x", &format!("{double:e}")) else { panic!("not a float") };
            prop_assert_eq!(read.to_bits(), double.to_bits());
        }

        #[test]
        fn property_test_integers_stay_integers(integer: i64) {
            prop_assert!(matches!(read("x", &integer.to_string()), Ok(Value::Integer(read)) if read == integer));
        }
    }
}
