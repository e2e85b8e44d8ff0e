//! A file to messages: the whole of it, or each of its lines.

use serde::de::IgnoredAny;

/// One message of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part<'a> {
    /// Its line, counted from 1, where the file is of JSON lines.
    pub(crate) line: Option<usize>,
    pub(crate) bytes: &'a [u8],
}

/// The messages of a file. It is of JSON lines where it is not JSON as a whole and at least every second line of it is.
pub(crate) fn parts(bytes: &[u8]) -> Vec<Part<'_>> {
    let whole = vec![Part { line: None, bytes }];
    if is_json(bytes) {
        return whole;
    }
    let lines = bytes.split(|&byte| byte == b'\n').enumerate();
    let lines = lines.map(|(number, line)| Part { line: Some(number + 1), bytes: line.trim_ascii() });
    let lines: Vec<_> = lines.filter(|part| !part.bytes.is_empty()).collect();
    let good = lines.iter().filter(|part| matches!(part.bytes[0], b'{' | b'[') && is_json(part.bytes)).count();
    if lines.len() > 1 && good * 2 >= lines.len() { lines } else { whole }
}

/// `serde_json` does not recurse for what it ignores, so that depth is no matter here.
fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_message_or_json_lines() {
        let table: [(&str, &[Option<usize>]); 9] = [
            ("{}", &[None]),
            ("[{},\n{}]", &[None]),
            ("{\n  \"metrics\": {}\n}\n", &[None]),
            ("", &[None]),
            ("{", &[None]),
            ("eyJtZXRyaWNzIjp7ImEiOjF9fQ==", &[None]),
            ("{}\n{}\n", &[Some(1), Some(2)]),
            ("{}\r\n\r\n{}", &[Some(1), Some(3)]),
            ("{}\n{\n[{}]\n", &[Some(1), Some(2), Some(3)]),
        ];
        for (text, expected) in table {
            let lines: Vec<_> = parts(text.as_bytes()).iter().map(|part| part.line).collect();
            assert_eq!(lines, expected, "{text:?}");
        }
    }
}
