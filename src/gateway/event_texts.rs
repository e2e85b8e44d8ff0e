//! Remembers where the events of a direct payload are, so that nobody parses the payload again for dead letters.
//!
//! * The position of a text takes eight bytes. If a text is not a part of the payload, because it was unwrapped, it is
//!   copied.
//! * With more than [`MAX_EVENT_DEAD_LETTERS`] rejected events the payload becomes one dead letter, and no text is kept.

use crate::limits::MAX_EVENT_DEAD_LETTERS;

#[derive(Debug)]
pub(super) struct EventTexts<'b> {
    payload: &'b str,
    /// Texts that are not part of the payload.
    copied: String,
    /// The begin and the length of each text. If the begin is above the payload's length, the text is in `copied`.
    spans: Vec<(u32, u32)>,
    rejected: usize,
    is_full: bool,
}

impl<'b> EventTexts<'b> {
    pub(super) fn new(payload: &'b str) -> Self {
        Self { payload, copied: String::new(), spans: Vec::new(), rejected: 0, is_full: false }
    }

    /// Keeps the text of the next event.
    pub(super) fn keep(&mut self, text: &str, is_rejected: bool) {
        self.rejected += usize::from(is_rejected);
        if self.is_full {
            return;
        }
        let begin = self.begin_of(text);
        match (u32::try_from(begin), u32::try_from(text.len())) {
            (Ok(begin), Ok(len)) if self.rejected <= MAX_EVENT_DEAD_LETTERS => self.spans.push((begin, len)),
            _ => *self = Self { rejected: self.rejected, is_full: true, ..Self::new(self.payload) },
        }
    }

    /// Returns the text of an event; `None` if it was not kept.
    pub(super) fn text(&self, event: usize) -> Option<&str> {
        let (begin, len) = *self.spans.get(event)?;
        let (begin, len) = (begin as usize, len as usize);
        match begin.checked_sub(self.payload.len()) {
            Some(begin) => self.copied.get(begin..begin + len),
            None => self.payload.get(begin..begin + len),
        }
    }

    fn begin_of(&mut self, text: &str) -> usize {
        let begin = text.as_ptr().addr().wrapping_sub(self.payload.as_ptr().addr());
        let end = begin.saturating_add(text.len());
        if end <= self.payload.len() && self.payload.get(begin..end) == Some(text) {
            return begin;
        }
        let begin = self.payload.len() + self.copied.len();
        self.copied.push_str(text);
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn returns_the_texts_of_the_payload_and_those_that_were_copied() {
        let payload = r#"[{"a":1}, {"é":2}]"#.to_owned();
        let mut texts = EventTexts::new(&payload);
        let other = "{\"é\":3}".to_owned();
        for text in [&payload[1..8], other.as_str(), &payload[10..18], "", other.as_str()] {
            texts.keep(text, false);
        }
        assert_eq!(texts.copied.len(), 2 * other.len());
        let expected = [Some("{\"a\":1}"), Some("{\"é\":3}"), Some("{\"é\":2}"), Some(""), Some("{\"é\":3}"), None];
        for (event, text) in expected.into_iter().enumerate() {
            assert_eq!(texts.text(event), text, "{event}");
        }
    }

    #[test]
    fn keeps_no_text_once_the_payload_becomes_one_dead_letter() {
        let payload = "0".repeat(MAX_EVENT_DEAD_LETTERS + 2);
        let mut texts = EventTexts::new(&payload);
        texts.keep(&payload[..1], false);
        for at in 1..=MAX_EVENT_DEAD_LETTERS {
            texts.keep(&payload[at..=at], true);
        }
        assert_eq!(texts.text(MAX_EVENT_DEAD_LETTERS), Some("0"));
        for _ in 0..2 {
            texts.keep(&payload[..1], true);
            assert_eq!((texts.text(0), texts.spans.capacity()), (None, 0));
        }
    }
}
