use super::super::{GroupingKey, PushMode};
use super::*;
use crate::model::LabelName;

fn labels(pairs: &[(&'static str, &'static str)]) -> LabelSet<'static> {
    let label = |&(name, value): &(&'static str, &'static str)| crate::model::Label {
        name: LabelName::classic(name).unwrap(),
        value: Cow::Borrowed(value),
    };
    LabelSet::new(pairs.iter().map(label).collect()).unwrap()
}

/// Pushes `name{zone="z"}` to a group. In the group `job/x/zone/z` the label comes from the path.
fn push(group: &mut Group<'static>, name: &'static str, value: f64, time: i64) {
    let name = MetricName::classic(name).unwrap();
    let series =
        FamilySeries { name: name.clone(), labels: labels(&[("zone", "z")]), value: FamilyValue::Float(value) };
    let family = MetricFamily { name, metric_type: MetricType::Gauge, help: None, unit: None, series: vec![series] };
    group.push(PushMode::Merge, vec![family], Timestamp(time), None);
}

fn two_groups() -> [Group<'static>; 2] {
    ["job/x", "job/x/zone/z"].map(|path| Group::new(GroupingKey::parse(path).unwrap()))
}

/// Returns the values of a metric.
fn values(groups: &[Group<'_>], name: &str) -> Vec<String> {
    let external = LabelSet::default();
    let exposed = exposed(groups, &external, Timestamp(1_000));
    let series = exposed.families.iter().flat_map(|family| &family.series);
    let named = series.filter(|series| series.name.as_str() == name);
    named.map(|series| format!("{:?}", series.value)).collect()
}

#[test]
fn a_later_push_of_other_families_does_not_make_a_series_younger() {
    let [mut first, mut second] = two_groups();
    push(&mut first, "shared", 1.0, 10);
    push(&mut second, "shared", 2.0, 20);
    push(&mut first, "other", 3.0, 30);
    first.fail(Timestamp(40), None);
    for groups in [[first.clone(), second.clone()], [second, first]] {
        assert_eq!(values(&groups, "shared"), ["Float(2.0)"]);
        assert_eq!(values(&groups, "other"), ["Float(3.0)"]);
    }
}

#[test]
fn the_same_one_of_two_pushes_at_one_time_wins_in_any_order() {
    let [mut first, mut second] = two_groups();
    push(&mut first, "shared", 1.0, 10);
    push(&mut second, "shared", 2.0, 10);
    let one = values(&[first.clone(), second.clone()], "shared");
    assert_eq!((one.len(), one), (1, values(&[second, first], "shared")));
}
