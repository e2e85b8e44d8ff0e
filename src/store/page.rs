//! Cuts the pages of local tables as DynamoDB does.

use super::{Item, Page, Range, SortRange};
use crate::limits::MAX_STORE_PAGE_BYTES;

/// Takes the items of a partition in order, until the page is full or the range has ended.
pub(super) struct PageBuilder<'r> {
    range: &'r Range,
    page: Page,
    bytes: usize,
}

impl<'r> PageBuilder<'r> {
    pub(super) fn new(range: &'r Range) -> Self {
        Self { range, page: Page::default(), bytes: 0 }
    }

    /// Returns the least sort key of the range after `after`, and whether it is in the range.
    pub(super) fn start<'a>(&'a self, after: Option<&'a str>) -> (&'a str, bool) {
        let first = match &self.range.sort {
            SortRange::All => "",
            SortRange::From(first) | SortRange::Prefix(first) => first,
        };
        match after {
            Some(after) if after >= first => (after, false),
            _ => (first, true),
        }
    }

    /// Takes `item`, and returns whether the next one may belong to this page, too.
    pub(super) fn add(&mut self, item: Item) -> bool {
        let is_over = match &self.range.sort {
            SortRange::Prefix(prefix) => !item.key.sort.starts_with(prefix),
            SortRange::All | SortRange::From(_) => false,
        };
        if is_over || item.key.partition != self.range.partition {
            return false;
        }
        let last = self.page.items.last().map(|item| &item.key.sort);
        let is_full = self.bytes + item.bytes() > MAX_STORE_PAGE_BYTES
            || self.range.page_items.is_some_and(|most| self.page.items.len() >= most as usize);
        if let Some(last) = last
            && is_full
        {
            self.page.next = Some(last.clone());
            return false;
        }
        self.bytes += item.bytes();
        self.page.items.push(item);
        true
    }

    pub(super) fn finish(self) -> Page {
        self.page
    }
}
