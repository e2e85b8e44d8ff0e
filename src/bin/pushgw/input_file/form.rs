//! Decides whether a text is one message, or JSON lines. Pure.

use serde::de::IgnoredAny;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Form {
    /// One message.
    Text,
    /// Each line is a message.
    Lines,
}

impl Form {
    /// A text has JSON lines if it is not JSON as a whole, but at least every second line is. Returns `None` if only more than this
    /// `beginning` of it can tell.
    pub(super) fn of(beginning: &[u8], is_whole: bool) -> Option<Self> {
        // `serde_json` does not recurse into what it ignores, so any depth will do.
        let parsed = serde_json::from_slice::<IgnoredAny>(beginning);
        if is_whole {
            let is_lines = parsed.is_err() && has_json_lines(beginning);
            return Some(if is_lines { Self::Lines } else { Self::Text });
        }
        // It can still be the beginning of one JSON text.
        if parsed.map_or_else(|error| error.is_eof(), |_| true) {
            return None;
        }
        let end = beginning.iter().rposition(|&byte| byte == b'\n')?;
        has_json_lines(&beginning[..end]).then_some(Self::Lines)
    }
}

fn has_json_lines(text: &[u8]) -> bool {
    let (mut lines, mut good) = (0, 0);
    for line in text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()) {
        lines += 1;
        good += usize::from(matches!(line[0], b'{' | b'[') && serde_json::from_slice::<IgnoredAny>(line).is_ok());
    }
    lines >= 2 && good * 2 >= lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_one_message_or_json_lines() {
        let table = [
            ("{}", Form::Text),
            ("[{},\n{}]", Form::Text),
            ("{\n  \"metrics\": {}\n}\n", Form::Text),
            ("", Form::Text),
            ("{", Form::Text),
            ("{}\nx\ny\n", Form::Text),
            ("eyJtZXRyaWNzIjp7ImEiOjF9fQ==", Form::Text),
            ("{}\n{}\n", Form::Lines),
            ("{}\r\n\r\n{}", Form::Lines),
            ("{}\n{\n[{}]\n", Form::Lines),
        ];
        for (text, expected) in table {
            assert_eq!(Form::of(text.as_bytes(), true), Some(expected), "{text:?}");
        }
    }

    #[test]
    fn a_beginning_decides_only_if_no_rest_can_make_one_json_text_of_it() {
        let table = [
            ("{}\n{}\n{\"met", Some(Form::Lines)),
            ("{}\n[{}]\n", Some(Form::Lines)),
            ("{\n{}\n{}\n{}\n", Some(Form::Lines)),
            ("[\n{},\n{},\n", None),
            ("[\n{}\n,{}\n,{}\n", None),
            ("{\"metrics\":\n{}\n", None),
            ("{}\n", None),
            ("{}\n{\"met", None),
            ("{}\nx\ny\n", None),
            ("eyJtZXRyaWNz", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(Form::of(text.as_bytes(), false), expected, "{text:?}");
        }
    }
}
