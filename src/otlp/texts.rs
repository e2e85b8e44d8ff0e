//! Texts that are made while a request is translated, and live as long as its samples. So a copy of a label copies no text.

use std::borrow::Cow;
use std::sync::OnceLock;

/// Texts of one request. Any others stay with their labels.
const MAX_TEXTS: usize = 1_000;

/// A list of texts that only grows.
#[derive(Default, Debug)]
pub struct Texts {
    first: Place,
}

/// The place of a text, and of those behind it.
#[derive(Default, Debug)]
struct Place(OnceLock<Box<(String, Place)>>);

/// Adds texts to a list.
#[derive(Debug)]
pub(super) struct Appender<'a> {
    end: &'a Place,
    left: usize,
}

impl Texts {
    pub(super) fn appender(&self) -> Appender<'_> {
        let (mut end, mut left) = (&self.first, MAX_TEXTS);
        while let Some(place) = end.0.get() {
            (end, left) = (&place.1, left.saturating_sub(1));
        }
        Appender { end, left }
    }
}

impl<'a> Appender<'a> {
    /// Returns the same text, which is cheap to copy unless the list is full.
    pub(super) fn kept(&mut self, text: Cow<'a, str>) -> Cow<'a, str> {
        let Cow::Owned(text) = text else { return text };
        if self.left == 0 {
            return Cow::Owned(text);
        }
        let (text, next) = self.end.add(text);
        (self.end, self.left) = (next, self.left - 1);
        Cow::Borrowed(text)
    }
}

impl Place {
    /// Puts a text into the first empty place from here on. Returns it, and the place behind it.
    fn add(&self, text: String) -> (&str, &Self) {
        let mut text = Some(text);
        let mut place = self;
        loop {
            let (kept, next) = &**place.0.get_or_init(|| Box::new((text.take().unwrap_or_default(), Self::default())));
            if text.is_none() {
                return (kept, next);
            }
            place = next;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_as_many_texts_as_there_is_room_for() {
        let texts = Texts::default();
        for round in 0..3 {
            let mut appender = texts.appender();
            for number in 0..400 {
                let kept = appender.kept(Cow::Owned(format!("text {number}")));
                assert_eq!(kept, format!("text {number}"));
                assert_eq!(matches!(kept, Cow::Borrowed(_)), round * 400 + number < MAX_TEXTS);
            }
        }
    }
}
