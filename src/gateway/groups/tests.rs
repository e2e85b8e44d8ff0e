use super::*;
use crate::model::{FamilySeries, FamilyValue, LabelSet, MetricName, MetricType};
use crate::push_group::PUSH_TIME;
use crate::store::MemoryStore;
use bytes::Bytes;
use std::borrow::Cow;

fn key(job: &str) -> GroupingKey {
    GroupingKey::parse(&format!("job/{job}")).unwrap()
}

fn family(of: &str) -> MetricFamily<'static> {
    let name = || MetricName::as_is(Cow::Owned(of.to_owned())).unwrap();
    let series = FamilySeries { name: name(), labels: LabelSet::default(), value: FamilyValue::Float(1.0) };
    MetricFamily { name: name(), metric_type: MetricType::Gauge, help: None, unit: None, series: vec![series] }
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

async fn push(groups: &Groups, job: &str, of: &str, now: i64) -> Result<(), GroupsError> {
    let families = || vec![family(of)];
    let change = Change::Push { mode: PushMode::Merge, families: Families(&families), ttl: None };
    groups.change(&key(job), change, Timestamp(now), soon()).await
}

/// Returns the jobs and families of all groups that exist.
async fn list(groups: &Groups) -> Vec<String> {
    let listing = groups.list(soon()).await.unwrap();
    let mut all = Vec::new();
    for body in &listing.bodies {
        let group = Group::decode(body).unwrap();
        if group.exists() {
            let job = group.key().iter().next().unwrap().1;
            let names: Vec<_> = group.families().iter().map(|pushed| pushed.family.name.as_str()).collect();
            all.push(format!("{job}: {}", names.join(" ")));
        }
    }
    all.sort();
    all
}

#[tokio::test]
async fn keeps_deletes_and_wipes_groups_of_all_shards() {
    let store = Arc::new(MemoryStore::new());
    let groups = Groups::new(store.clone(), 4, None);
    for job in ["a", "b", "c", "d", "e"] {
        push(&groups, job, "x", 1_000).await.unwrap();
    }
    push(&groups, "a", "y", 2_000).await.unwrap();
    assert_eq!(list(&groups).await, ["a: x y", "b: x", "c: x", "d: x", "e: x"]);
    groups.change(&key("b"), Change::Delete, Timestamp(3_000), soon()).await.unwrap();
    groups.change(&key("nobody"), Change::Delete, Timestamp(3_000), soon()).await.unwrap();
    assert_eq!(list(&groups).await, ["a: x y", "c: x", "d: x", "e: x"]);
    let left = groups.list(soon()).await.unwrap().bodies;
    assert_eq!(left.len(), 5, "the deleted group waits for its tick, and the one that never was has no item");
    groups.wipe(Timestamp(4_000), soon()).await.unwrap();
    assert_eq!(list(&groups).await, Vec::<String>::new());
    let body = &groups.list(soon()).await.unwrap().bodies;
    let ended = Group::decode(&body[0]).unwrap().removed().to_vec();
    assert!(ended.iter().any(|series| series.name.as_str() == PUSH_TIME), "{ended:?}");
}

#[tokio::test]
async fn pushes_at_once_lose_nothing() {
    let groups = Groups::new(Arc::new(MemoryStore::new()), 1, None);
    let pushes = (0..8).map(|i| {
        let groups = groups.clone();
        tokio::spawn(async move { push(&groups, "a", &format!("m{i}"), 1_000).await })
    });
    for push in pushes.collect::<Vec<_>>() {
        push.await.unwrap().unwrap();
    }
    assert_eq!(list(&groups).await, ["a: m0 m1 m2 m3 m4 m5 m6 m7"]);
}

#[tokio::test]
async fn a_version_never_goes_back_although_the_item_was_deleted() {
    let store = Arc::new(MemoryStore::new());
    let groups = Groups::new(store.clone(), 1, Some(60_000));
    push(&groups, "a", "x", 5_000).await.unwrap();
    let item_key = groups.key(&key("a"));
    let first = store.get(&item_key).await.unwrap().unwrap();
    assert_eq!((first.version, first.expires), (5_000, Some(65 + 3_600)));
    store.delete(&item_key, None).await.unwrap();
    push(&groups, "a", "x", 5_001).await.unwrap();
    assert_eq!(store.replace(first, Some(5_000)).await.unwrap(), Replaced::Conflict);
    push(&groups, "a", "y", 4_000).await.unwrap();
    assert_eq!(store.get(&item_key).await.unwrap().unwrap().version, 5_002);
}

#[tokio::test]
async fn a_damaged_group_is_replaced_by_put_and_kept_by_post() {
    let store = Arc::new(MemoryStore::new());
    let groups = Groups::new(store.clone(), 1, None);
    let item = |body: &'static [u8]| Item {
        key: groups.key(&key("a")),
        version: 7,
        expires: None,
        body: Bytes::from_static(body),
    };
    store.put(item(b"\x01damaged"), Duration::from_secs(1)).await.unwrap();
    let error = push(&groups, "a", "x", 1).await.unwrap_err();
    assert!(matches!(error, GroupsError::Blob(BlobError::Damaged(_))), "{error:?}");
    assert!(error.to_string().contains("a PUT or a DELETE replaces it"), "{error}");
    let listing = groups.list(soon()).await.unwrap();
    assert_eq!((listing.bodies.len(), listing.unreadable), (0, 1));
    let families = || vec![family("y")];
    let put = Change::Push { mode: PushMode::Replace, families: Families(&families), ttl: None };
    groups.change(&key("a"), put, Timestamp(1), soon()).await.unwrap();
    assert_eq!(list(&groups).await, ["a: y"]);
    store.put(item(b"\xffnewer"), Duration::from_secs(1)).await.unwrap();
    let error = groups.change(&key("a"), put, Timestamp(1), soon()).await.unwrap_err();
    assert!(matches!(error, GroupsError::Blob(BlobError::NewerVersion { .. })), "nobody overwrites it: {error:?}");
}

#[tokio::test]
async fn a_group_of_a_newer_release_is_neither_left_out_of_a_list_nor_wiped() {
    let store = Arc::new(MemoryStore::new());
    let groups = Groups::new(store.clone(), 1, None);
    push(&groups, "a", "x", 1).await.unwrap();
    let key = groups.key(&key("b"));
    let newer = Item { key: key.clone(), version: 7, expires: None, body: Bytes::from_static(b"\xffnewer") };
    store.put(newer.clone(), Duration::from_secs(1)).await.unwrap();
    for result in [groups.list(soon()).await.map(drop), groups.wipe(Timestamp(2), soon()).await] {
        assert!(matches!(result, Err(GroupsError::Blob(BlobError::NewerVersion { .. }))), "{result:?}");
    }
    assert_eq!(store.get(&key).await.unwrap(), Some(newer));
}
