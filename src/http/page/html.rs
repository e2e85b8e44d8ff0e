//! Text in HTML.

use std::fmt::Write as _;

/// Appends untrusted text, for the content of an element or for an attribute in double quotes. Control characters, and
/// characters that change the direction of text, are shown by their numbers.
pub(super) fn push_text(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' => out.push('⏎'),
            c if is_hidden(c) => {
                // Writing to a string does not fail.
                let _written = write!(out, "\u{2039}{:x}\u{203a}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}

/// Reports whether a reader would not see the character, or would see others in another order because of it.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_every_text_as_text() {
        let table = [
            ("plain", "plain"),
            ("<script>alert('1')</script>", "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"),
            ("\" onload=\"x", "&quot; onload=&quot;x"),
            ("&lt;", "&amp;lt;"),
            ("a\nb\0c", "a⏎b‹0›c"),
            ("\u{202e}desrever", "‹202e›desrever"),
            ("水🌊", "水🌊"),
        ];
        for (text, expected) in table {
            let mut out = String::new();
            push_text(&mut out, text);
            assert_eq!(out, expected, "{text:?}");
        }
    }
}
