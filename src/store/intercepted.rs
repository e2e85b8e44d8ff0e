//! A table whose calls a test intercepts: it may delay a call, fail it, or do something else before or after it.

use super::{BoxFuture, Item, Key, Page, Range, Replaced, Store, StoreError};
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

/// A call of a table, with its timeout if it has one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call<'c> {
    Put(&'c Item, Duration),
    Get(&'c Key),
    Query(&'c Range),
    Replace(&'c Item),
    Delete,
}

/// The test's part in each call. Without a method of its own the call is as it would be without a test.
pub(crate) trait Intercept: Send + Sync {
    /// Comes before a call of `table`. An error is the answer to the call, which is then not made.
    fn before<'c>(&'c self, _table: &'c dyn Store, _call: Call<'c>) -> BoxFuture<'c, Result<(), StoreError>> {
        Box::pin(async { Ok(()) })
    }

    /// Comes after a call that was made.
    fn after<'c>(&'c self, _call: Call<'c>, _failed: bool) -> BoxFuture<'c, ()> {
        Box::pin(async {})
    }

    /// Reports whether a get of this item finds nothing.
    fn hides(&self, _key: &Key) -> bool {
        false
    }

    /// Returns the items of each page; `None` for as many as fit.
    fn page_items(&self) -> Option<u32> {
        None
    }
}

pub(crate) struct InterceptedStore<I> {
    pub(crate) table: Arc<dyn Store>,
    pub(crate) intercept: I,
}

impl<I: Intercept> InterceptedStore<I> {
    async fn call<T>(
        &self,
        call: Call<'_>,
        made: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.intercept.before(self.table.as_ref(), call).await?;
        let answer = made.await;
        self.intercept.after(call, answer.is_err()).await;
        answer
    }
}

impl<I: Intercept> Store for InterceptedStore<I> {
    fn put(&self, item: Item, timeout: Duration) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move { self.call(Call::Put(&item, timeout), self.table.put(item.clone(), timeout)).await })
    }

    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Option<Item>, StoreError>> {
        Box::pin(async move {
            let found = self.call(Call::Get(key), self.table.get(key)).await?;
            Ok(found.filter(|_| !self.intercept.hides(key)))
        })
    }

    fn query<'a>(&'a self, range: &'a Range, after: Option<&'a str>) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let range = match self.intercept.page_items() {
                Some(items) => range.clone().with_page_items(items),
                None => range.clone(),
            };
            self.call(Call::Query(&range), self.table.query(&range, after)).await
        })
    }

    fn replace(&self, item: Item, expected: Option<u64>) -> BoxFuture<'_, Result<Replaced, StoreError>> {
        Box::pin(async move { self.call(Call::Replace(&item), self.table.replace(item.clone(), expected)).await })
    }

    fn delete<'a>(&'a self, key: &'a Key, expected: Option<u64>) -> BoxFuture<'a, Result<Replaced, StoreError>> {
        Box::pin(self.call(Call::Delete, self.table.delete(key, expected)))
    }
}

impl<I> Debug for InterceptedStore<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.table.fmt(f)
    }
}
