use super::{FAILURE_TIME, Group, GroupTooLarge, GroupingKey, PUSH_TIME, PushMode, unpack};
use crate::blob::BlobError;
use crate::limits::MAX_GROUP_ITEM_BYTES;
use crate::model::{
    Counts, FamilySeries, FamilyValue, Label, LabelName, LabelSet, MetricFamily, MetricName, MetricType,
    NativeHistogram, ResetHint, Span, Timestamp,
};
use proptest::prelude::*;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

const HOUR: i64 = 3_600_000;

fn name(text: &str) -> MetricName<'static> {
    MetricName::as_is(Cow::Owned(text.to_owned())).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> LabelSet<'static> {
    let label = |(name, value): &(&str, &str)| Label {
        name: LabelName::as_is(Cow::Owned((*name).to_owned())).unwrap(),
        value: Cow::Owned((*value).to_owned()),
    };
    LabelSet::new(pairs.iter().map(label).collect()).unwrap()
}

fn series(name_of: &str, label: &str, value: f64) -> FamilySeries<'static> {
    FamilySeries { name: name(name_of), labels: labels(&[("l", label)]), value: FamilyValue::Float(value) }
}

fn family(name_of: &str, series: Vec<FamilySeries<'static>>) -> MetricFamily<'static> {
    let (metric_type, help) = (MetricType::Gauge, Some(Cow::Borrowed("Help.")));
    MetricFamily { name: name(name_of), metric_type, help, unit: None, series }
}

/// A family with one series for each label.
fn gauges(name_of: &str, labels: &[&str]) -> MetricFamily<'static> {
    family(name_of, labels.iter().map(|label| series(name_of, label, 1.0)).collect())
}

fn group() -> Group<'static> {
    Group::new(GroupingKey::parse("job/x/instance/").unwrap())
}

fn exposed(group: &Group<'_>, at: i64) -> Vec<String> {
    let all = group.families().iter().flat_map(|pushed| &pushed.family.series);
    let shown = all.map(|series| shown(&series.name, &series.labels));
    if group.is_exposed(Timestamp(at)) { shown.collect() } else { Vec::new() }
}

fn shown(name: &MetricName<'_>, labels: &LabelSet<'_>) -> String {
    labels.get("l").map_or(name.as_str().to_owned(), |label| format!("{}:{label}", name.as_str()))
}

fn ended(group: &Group<'_>, acknowledged: Option<i64>, at: i64) -> Vec<(String, i64)> {
    let ended = group.ended(acknowledged.map(Timestamp), Timestamp(at));
    let mut ended: Vec<_> = ended.iter().map(|series| (shown(&series.name, &series.labels), series.time.0)).collect();
    ended.sort();
    ended
}

fn times(group: &Group<'_>) -> [String; 2] {
    let value = |name| group.own_series().iter().find(|own| own.name == name).unwrap().value.to_string();
    [value(PUSH_TIME), value(FAILURE_TIME)]
}

fn at(time: i64, names: &[&str]) -> Vec<(String, i64)> {
    names.iter().map(|name| ((*name).to_owned(), time)).collect()
}

#[test]
fn a_put_replaces_all_families_and_a_post_those_of_the_same_name() {
    let mut group = group();
    group.push(PushMode::Replace, vec![gauges("b", &["1", "2"]), gauges("a", &["1"])], Timestamp(10), None);
    assert_eq!(exposed(&group, 10), ["a:1", "b:1", "b:2"]);
    group.push(PushMode::Merge, vec![gauges("b", &["2", "3"]), gauges("c", &["1"])], Timestamp(20), None);
    assert_eq!(exposed(&group, 20), ["a:1", "b:2", "b:3", "c:1"]);
    assert_eq!(ended(&group, None, 20), at(20, &["b:1"]));
    let pushed: Vec<_> = group.families().iter().map(|pushed| pushed.pushed.0).collect();
    assert_eq!(pushed, [10, 20, 20]);
    group.push(PushMode::Replace, vec![gauges("c", &["2"])], Timestamp(30), None);
    assert_eq!(exposed(&group, 30), ["c:2"]);
    assert_eq!(ended(&group, Some(20), 30), at(30, &["a:1", "b:2", "b:3", "c:1"]));
}

#[test]
fn an_empty_put_empties_the_group_and_an_empty_post_renews_its_push_time() {
    let mut group = group();
    group.push(PushMode::Replace, vec![gauges("a", &["1"])], Timestamp(1_000), None);
    group.push(PushMode::Merge, Vec::new(), Timestamp(2_000), None);
    assert_eq!((exposed(&group, 2_000), times(&group)), (vec!["a:1".to_owned()], ["2", "0"].map(str::to_owned)));
    group.push(PushMode::Replace, Vec::new(), Timestamp(3_000), None);
    assert_eq!((exposed(&group, 3_000), times(&group)), (Vec::new(), ["3", "0"].map(str::to_owned)));
    assert!(group.exists() && group.is_exposed(Timestamp(3_000)));
    assert_eq!(ended(&group, None, 3_000), at(3_000, &["a:1"]));
}

#[test]
fn a_family_that_is_pushed_without_series_is_gone() {
    let mut group = group();
    group.push(PushMode::Replace, vec![gauges("a", &["1"]), gauges("b", &["1"])], Timestamp(1), None);
    group.push(PushMode::Merge, vec![gauges("a", &[])], Timestamp(2), None);
    assert_eq!(exposed(&group, 2), ["b:1"]);
    assert_eq!(ended(&group, None, 2), at(2, &["a:1"]));
}

#[test]
fn a_failed_push_makes_the_group_and_leaves_what_is_there() {
    let mut group = group();
    group.fail(Timestamp(1_000), Some(HOUR));
    assert_eq!(
        (times(&group), group.last_push_succeeded(), group.exists()),
        (["0", "1"].map(str::to_owned), false, true)
    );
    assert_eq!(group.expires(), Some(Timestamp(HOUR + 1_000)));
    group.push(PushMode::Replace, vec![gauges("a", &["1"])], Timestamp(2_000), Some(HOUR));
    assert_eq!((times(&group), group.last_push_succeeded()), (["2", "1"].map(str::to_owned), true));
    group.fail(Timestamp(3_000), Some(2 * HOUR));
    assert_eq!((times(&group), group.last_push_succeeded()), (["2", "3"].map(str::to_owned), false));
    assert_eq!(exposed(&group, 3_000), ["a:1"]);
    assert_eq!(group.expires(), Some(Timestamp(HOUR + 2_000)), "a failed push renews nothing");
}

#[test]
fn every_push_renews_the_expiry_with_its_own_time() {
    let mut group = group();
    group.push(PushMode::Merge, vec![gauges("a", &["1"])], Timestamp(0), Some(1_000));
    assert!(group.is_exposed(Timestamp(999)) && !group.is_exposed(Timestamp(1_000)));
    group.push(PushMode::Merge, Vec::new(), Timestamp(900), Some(500));
    assert_eq!(group.expires(), Some(Timestamp(1_400)));
    group.push(PushMode::Merge, Vec::new(), Timestamp(900), Some(0));
    assert_eq!((group.expires(), group.is_exposed(Timestamp(i64::MAX))), (None, true));
}

#[test]
fn a_whole_group_ends_when_it_expires() {
    let mut group = group();
    group.push(PushMode::Replace, vec![gauges("a", &["1"])], Timestamp(10), Some(90));
    let all = ["a:1", FAILURE_TIME, PUSH_TIME];
    let [mut before, mut after] = [Some(99), Some(100)].map(|acknowledged| ended(&group, acknowledged, 160));
    assert_eq!((before.clone(), after.clone()), (at(100, &all), Vec::new()));
    assert_eq!(ended(&group, None, 99), []);
    // The same once a push has noticed it.
    group.fail(Timestamp(150), None);
    group.delete(Timestamp(150));
    [before, after] = [Some(99), Some(100)].map(|acknowledged| ended(&group, acknowledged, 160));
    assert_eq!(
        (before, after),
        (at(100, &["a:1"]).into_iter().chain(at(150, &all[1..])).collect(), at(150, &all[1..]))
    );
}

#[test]
fn a_push_to_an_expired_group_finds_it_empty() {
    let mut group = group();
    group.push(PushMode::Merge, vec![gauges("a", &["1", "2"])], Timestamp(10), Some(90));
    group.push(PushMode::Merge, vec![gauges("b", &["1"])], Timestamp(200), None);
    assert_eq!(exposed(&group, 200), ["b:1"]);
    assert_eq!(ended(&group, None, 200), at(100, &["a:1", "a:2"]));
    assert_eq!(times(&group), ["0.2", "0"]);
}

#[test]
fn a_deletion_ends_everything_and_leaves_an_item_until_the_markers_are_acknowledged() {
    let mut group = group();
    assert!(!group.delete(Timestamp(5)) && group.is_empty());
    group.push(PushMode::Replace, vec![gauges("a", &["1"])], Timestamp(10), None);
    assert!(group.delete(Timestamp(20)));
    assert!(!group.exists() && !group.is_empty() && exposed(&group, 20).is_empty());
    assert_eq!(ended(&group, Some(0), 60), at(20, &["a:1", FAILURE_TIME, PUSH_TIME]));
    assert!(!group.forget_removed(Timestamp(19)));
    assert!(group.forget_removed(Timestamp(60)) && group.is_empty());
}

#[test]
fn a_series_that_is_pushed_again_gets_no_marker() {
    let mut group = group();
    group.push(PushMode::Replace, vec![gauges("a", &["1"])], Timestamp(10), None);
    group.delete(Timestamp(20));
    group.push(PushMode::Merge, vec![gauges("a", &["1"])], Timestamp(30), None);
    assert_eq!(ended(&group, None, 60), []);
    group.delete(Timestamp(40));
    group.fail(Timestamp(50), None);
    assert_eq!(ended(&group, None, 60), at(40, &["a:1"]), "the push times are exposed again");
}

#[test]
fn a_series_moves_to_the_family_that_is_pushed_last() {
    let mut group = group();
    let summary = family("x", vec![series("x_count", "1", 3.0), series("x_sum", "1", 4.0)]);
    group.push(PushMode::Replace, vec![summary], Timestamp(1), None);
    group.push(PushMode::Merge, vec![gauges("x_count", &["1"])], Timestamp(2), None);
    assert_eq!(exposed(&group, 2), ["x_sum:1", "x_count:1"]);
    assert_eq!(ended(&group, None, 2), []);
}

#[test]
fn removed_series_are_forgotten_after_an_hour() {
    let mut group = group();
    for i in 0..4 {
        let time = Timestamp(i64::from(i) * HOUR / 2);
        group.push(PushMode::Replace, vec![gauges("a", &[i.to_string().as_str()])], time, None);
    }
    assert_eq!(group.removed().len(), 2);
    assert_eq!(ended(&group, None, 2 * HOUR), [("a:1".to_owned(), HOUR), ("a:2".to_owned(), HOUR / 2 * 3)]);
}

#[test]
fn forgets_the_oldest_removed_series_if_the_item_is_full() {
    let mut group = group();
    // Digits that do not compress, so that a few thousand series fill the item.
    let mut state = 1_u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state ^ (state >> 29))
    };
    let mut push = |group: &mut Group<'static>, time: i64, count: usize| {
        let series = (0..count).map(|_| series("a", &random(), 1.0)).collect();
        group.push(PushMode::Replace, vec![family("a", series)], Timestamp(time), None);
    };
    push(&mut group, 1, 8_000);
    push(&mut group, 2, 8_000);
    push(&mut group, 3, 8_000);
    assert_eq!(group.removed().len(), 16_000);
    let item = group.encode().unwrap();
    assert!(item.len() <= MAX_GROUP_ITEM_BYTES, "{}", item.len());
    let kept = group.removed();
    assert!((1..16_000).contains(&kept.len()) && kept.iter().all(|series| series.time == Timestamp(3)));
    push(&mut group, 4, 40_000);
    assert!(matches!(group.encode(), Err(GroupTooLarge::Item(_))), "the removed series are not to blame");
}

#[test]
fn tells_an_item_of_a_newer_gateway_from_a_damaged_one() {
    let mut group = group();
    group.push(PushMode::Replace, vec![gauges("a", &["1"])], Timestamp(10), None);
    let item = group.encode().unwrap();
    let newer = [&[2][..], &item[1..]].concat();
    assert_eq!(unpack(&newer), Err(BlobError::NewerVersion { found: 2, known: 1 }));
    assert!(matches!(unpack(&item[..item.len() - 1]), Err(BlobError::Damaged(_))));
}

#[test]
fn the_digest_tells_keys_apart() {
    let digest = |path: &str| GroupingKey::parse(path).unwrap().digest();
    assert_eq!(digest("job/x/a/1/b/2"), digest("job/x/b/2/a/1"));
    let paths = ["", "job/x", "job/xa", "job/x/a/", "job/x/a/1", "job/x/a/1b", "job/x/a1/b", "job/x/a/1/b/2"];
    let distinct: BTreeSet<_> = paths.iter().map(|path| digest(path)).collect();
    assert_eq!(distinct.len(), paths.len());
    let shards: BTreeSet<_> = (0..100).map(|i| GroupingKey::parse(&format!("job/{i}")).unwrap().shard(4)).collect();
    assert_eq!(shards, BTreeSet::from([0, 1, 2, 3]));
    assert_eq!(GroupingKey::default().shard(0), 0);
}

#[test]
fn the_common_labels_are_those_of_the_key_before_external_ones() {
    let key = GroupingKey::parse("job/x/env/test/instance/").unwrap();
    let external = labels(&[("env", "prod"), ("instance", "i"), ("team", "water")]);
    let expected = labels(&[("env", "test"), ("instance", "i"), ("job", "x"), ("team", "water")]);
    assert_eq!(key.common_labels(&external), expected);
}

// --- properties ------------------------------------------------------------------------------------------------------

fn histograms() -> impl Strategy<Value = NativeHistogram> {
    let spans = || proptest::collection::vec((any::<i32>(), any::<u32>()), 0..3);
    let counts = prop_oneof![
        (any::<u64>(), any::<u64>(), proptest::collection::vec(any::<i64>(), 0..4)).prop_map(
            |(count, zero, deltas)| {
                Counts::Integer { count, zero, negative_deltas: deltas.clone(), positive_deltas: deltas }
            }
        ),
        (any::<f64>(), any::<f64>(), proptest::collection::vec(any::<f64>(), 0..4)).prop_map(
            |(count, zero, counts)| Counts::Float { count, zero, negative: counts.clone(), positive: counts }
        ),
    ];
    let hints = proptest::sample::select(vec![ResetHint::Unknown, ResetHint::Yes, ResetHint::No, ResetHint::Gauge]);
    let custom = proptest::collection::vec(any::<f64>(), 0..3);
    (any::<f64>(), any::<i32>(), any::<f64>(), counts, spans(), spans(), hints, custom).prop_map(
        |(sum, schema, zero_threshold, counts, negative, positive, reset_hint, custom_values)| {
            let spans = |pairs: Vec<(i32, u32)>| pairs.into_iter().map(|(offset, length)| Span { offset, length });
            let (negative_spans, positive_spans) = (spans(negative).collect(), spans(positive).collect());
            NativeHistogram {
                sum,
                schema,
                zero_threshold,
                counts,
                negative_spans,
                positive_spans,
                reset_hint,
                custom_values,
            }
        },
    )
}

fn values() -> impl Strategy<Value = FamilyValue> {
    prop_oneof![
        4 => any::<f64>().prop_map(FamilyValue::Float),
        1 => histograms().prop_map(|histogram| FamilyValue::Histogram(Box::new(histogram))),
    ]
}

/// Families of few names, so that they meet again, without a series twice.
fn families() -> impl Strategy<Value = Vec<MetricFamily<'static>>> {
    let series = proptest::collection::btree_map(("[ab]", "[xy]?", "[1-3]?"), values(), 0..6);
    let texts = (proptest::option::of(".{0,9}"), proptest::option::of("[a-z]{1,3}"));
    (series, texts, 0..8_u32).prop_map(|(series, (help, unit), metric_type)| {
        let mut families: BTreeMap<String, MetricFamily<'static>> = BTreeMap::new();
        for ((of, suffix, label), value) in series {
            let family = families.entry(of.clone()).or_insert_with(|| MetricFamily {
                name: name(&of),
                metric_type: MetricType::from_number(metric_type),
                help: help.clone().map(Cow::Owned),
                unit: unit.clone().map(Cow::Owned),
                series: Vec::new(),
            });
            let labels = labels(&[("l", &label), ("n", "é\n\"")]);
            family.series.push(FamilySeries { name: name(&(of + &suffix)), labels, value });
        }
        families.into_values().collect()
    })
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, Vec<MetricFamily<'static>>, Option<i64>),
    Fail(Option<i64>),
    Delete,
    Tick,
}

fn steps() -> impl Strategy<Value = Vec<(i64, Step)>> {
    let ttls = || proptest::option::of(1..200_i64);
    let step = prop_oneof![
        4 => (any::<bool>(), families(), ttls()).prop_map(|(put, families, ttl)| Step::Push(put, families, ttl)),
        1 => ttls().prop_map(Step::Fail),
        1 => Just(Step::Delete),
        2 => Just(Step::Tick),
    ];
    proptest::collection::vec((1..100_i64, step), 1..12)
}

type Names = BTreeMap<String, BTreeSet<String>>;

/// Pushgateway in few lines: the series of each family.
#[derive(Default)]
struct Model {
    families: Names,
    exists: bool,
    expires: Option<i64>,
}

impl Model {
    fn step(&mut self, now: i64, step: &Step) {
        if self.expires.is_some_and(|expires| expires <= now) {
            *self = Self::default();
        }
        match step {
            Step::Push(put, families, ttl) => {
                if *put {
                    self.families.clear();
                }
                for family in families {
                    let all = family.series.iter().map(|series| shown(&series.name, &series.labels)).collect();
                    self.families.insert(family.name.as_str().to_owned(), all);
                }
                (self.exists, self.expires) = (true, ttl.map(|ttl| now + ttl));
            }
            Step::Fail(ttl) if !self.exists => (self.exists, self.expires) = (true, ttl.map(|ttl| now + ttl)),
            Step::Delete => *self = Self::default(),
            Step::Fail(_) | Step::Tick => {}
        }
    }

    fn exposed(&self, at: i64) -> BTreeSet<String> {
        if !self.exists || self.expires.is_some_and(|expires| expires <= at) {
            return BTreeSet::new();
        }
        let own = [PUSH_TIME, FAILURE_TIME].map(str::to_owned);
        self.families.values().flatten().cloned().chain(own).collect()
    }
}

fn is_same(a: &Group<'_>, b: &Group<'_>) -> bool {
    let values = |group: &Group<'_>| -> Vec<FamilyValue> {
        group.families.iter().flat_map(|pushed| &pushed.family.series).map(|series| series.value.clone()).collect()
    };
    let are_same = values(a).iter().zip(&values(b)).all(|(a, b)| a.is_same(b));
    let without_values = |group: &Group<'_>| {
        let mut group = group.clone();
        let all = group.families.iter_mut().flat_map(|pushed| &mut pushed.family.series);
        all.for_each(|series| series.value = FamilyValue::Float(0.0));
        format!("{group:?}")
    };
    are_same && without_values(a) == without_values(b)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// After any steps a group exposes what Pushgateway would. The bytes of the item lose nothing.
    /// A series that a tick has exposed, and the next one does not, gets its marker by then. An exposed one gets none.
    #[test]
    fn property_test_exposes_what_the_model_exposes_and_ends_what_was_exposed(steps in steps()) {
        let mut group = group();
        let mut model = Model::default();
        let (mut now, mut acknowledged) = (0, None);
        let mut at_last_tick = BTreeSet::new();
        for (pause, step) in steps {
            now += pause;
            model.step(now, &step);
            match &step {
                Step::Push(put, families, ttl) => {
                    let mode = if *put { PushMode::Replace } else { PushMode::Merge };
                    group.push(mode, families.clone(), Timestamp(now), *ttl);
                }
                Step::Fail(ttl) => group.fail(Timestamp(now), *ttl),
                Step::Delete => _ = group.delete(Timestamp(now)),
                Step::Tick => {
                    let mut shown: BTreeSet<String> = exposed(&group, now).into_iter().collect();
                    if group.is_exposed(Timestamp(now)) {
                        shown.extend([PUSH_TIME, FAILURE_TIME].map(str::to_owned));
                    }
                    prop_assert_eq!(&shown, &model.exposed(now));
                    let markers: BTreeSet<String> =
                        ended(&group, acknowledged, now).into_iter().map(|(series, _)| series).collect();
                    let gone: BTreeSet<String> = at_last_tick.difference(&shown).cloned().collect();
                    prop_assert!(gone.is_subset(&markers), "{gone:?} ended, {markers:?} are owed");
                    prop_assert!(markers.is_disjoint(&shown), "{markers:?} are owed and exposed");
                    group.forget_removed(Timestamp(now));
                    (acknowledged, at_last_tick) = (Some(now), shown);
                }
            }
            let item = group.encode().unwrap();
            let body = unpack(&item).unwrap();
            let read = Group::decode(&body).unwrap();
            prop_assert!(is_same(&group, &read), "{group:?} {read:?}");
        }
    }

    /// Any bytes are a group or an error.
    #[test]
    fn property_test_decodes_or_refuses_any_body(body in proptest::collection::vec(any::<u8>(), 0..200), cut in 0..100_usize, at in any::<usize>(), byte in any::<u8>()) {
        let _any = Group::decode(&body);
        let mut group = group();
        group.push(PushMode::Replace, vec![gauges("a", &["1", "2"])], Timestamp(10), Some(5));
        let mut body = unpack(&group.encode().unwrap()).unwrap();
        let len = body.len();
        body[at % len] = byte;
        let _any = Group::decode(&body);
        prop_assert!(Group::decode(&body[..cut.min(len - 1)]).is_err());
    }
}
