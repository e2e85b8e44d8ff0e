use super::{Facts, Groups, SCRIPT, STYLE, policy, push_end};
use crate::aggregate::head::LastTick;
use crate::gateway::{GroupsError, Listing};
use crate::model::{
    FamilySeries, FamilyValue, Label, LabelName, LabelSet, MetricFamily, MetricName, MetricType, Timestamp,
};
use crate::push_group::{Group, GroupingKey, PushMode, unpack};
use crate::store::StoreError;
use std::borrow::Cow;

const NOW: i64 = 1_796_000_000_000;
const HOSTILE: &str = "</style><script>alert(1)</script>\" onclick=\"x\u{202e}";

fn facts(max_bytes: usize) -> Facts {
    Facts { now: Timestamp(NOW), started: Timestamp(NOW - 90_000_000), max_bytes }
}

fn series(of: &str, labels: &[(&str, &str)], value: f64) -> FamilySeries<'static> {
    let label = |(name, value): &(&str, &str)| Label {
        name: LabelName::as_is(Cow::Owned((*name).to_owned())).unwrap(),
        value: Cow::Owned((*value).to_owned()),
    };
    let labels = LabelSet::new(labels.iter().map(label).collect()).unwrap();
    FamilySeries {
        name: MetricName::as_is(Cow::Owned(of.to_owned())).unwrap(),
        labels,
        value: FamilyValue::Float(value),
    }
}

fn family(of: &str, metric_type: MetricType, help: &str, series: Vec<FamilySeries<'static>>) -> MetricFamily<'static> {
    let name = MetricName::as_is(Cow::Owned(of.to_owned())).unwrap();
    MetricFamily { name, metric_type, help: Some(Cow::Owned(help.to_owned())), unit: None, series }
}

fn body(
    path: &str,
    families: Vec<MetricFamily<'static>>,
    pushed: i64,
    failed: Option<i64>,
    ttl: Option<i64>,
) -> Vec<u8> {
    let mut group = Group::new(GroupingKey::parse(path).unwrap());
    group.push(PushMode::Replace, families, Timestamp(NOW - pushed), ttl);
    if let Some(failed) = failed {
        group.fail(Timestamp(NOW - failed), None);
    }
    unpack(&group.encode().unwrap()).unwrap()
}

fn shown(bodies: Vec<Vec<u8>>, max_bytes: usize) -> String {
    let listing = Listing { bodies, ..Listing::default() };
    page(&Groups::Listed(&listing), None, max_bytes)
}

fn page(groups: &Groups<'_>, last: Option<LastTick>, max_bytes: usize) -> String {
    let mut page = super::page(groups, &Ok(None), &Ok(last), &facts(max_bytes));
    push_end(&mut page);
    page
}

#[test]
fn shows_groups_with_their_times_and_the_failed_ones_first() {
    let records = vec![series("records", &[("table", "orders")], 1_234_567.0)];
    let bodies = vec![
        body(
            "job/backup/instance/db-1",
            vec![family("records", MetricType::Gauge, "Rows.", records)],
            200_000,
            None,
            Some(900_000),
        ),
        body("job/zebra", Vec::new(), 7_200_000, Some(60_000), None),
    ];
    let page = shown(bodies, 1 << 20);
    for part in [
        "<b>2</b> groups",
        "<span>last good push 2026-11-30 00:50:00 UTC</span>",
        "<b>1</b> failing",
        "3 min 20 s ago</time>",
        "expires in <time datetime=\"2026-11-30T",
        "11 min</time>",
        "push failed <time",
        "never expires",
        "<span class=number>1234567</span>",
        "<span class=type>gauge</span>",
        "Rows.",
        "metrics/job@base64/YmFja3Vw/instance@base64/ZGItMQ",
        "up 1 d 1 h",
    ] {
        assert!(page.contains(part), "{part} is missing:\n{page}");
    }
    let position = |text: &str| page.find(text).unwrap();
    assert!(position("&quot;zebra&quot;") < position("&quot;backup&quot;"));
}

#[test]
fn shows_every_text_of_a_sender_as_text() {
    let path = format!("job/x/instance@base64/{}", base64_of(HOSTILE));
    let hostile = family(HOSTILE, MetricType::Gauge, HOSTILE, vec![series(HOSTILE, &[(HOSTILE, HOSTILE)], 1.0)]);
    let page = shown(vec![body(&path, vec![hostile], 1, None, None)], 1 << 20);
    assert!(!page.contains(HOSTILE) && !page.contains("<script>alert") && !page.contains("onclick=\""), "{page}");
    assert!(page.contains("&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;&quot; onclick=&quot;x‹202e›"));
    assert_eq!((page.matches("<script>").count(), page.matches("<style>").count()), (1, 1));
}

#[test]
fn the_policy_allows_nothing_but_the_one_style_and_script() {
    let page = shown(Vec::new(), 1 << 20);
    assert!(page.contains(&format!("<style>{STYLE}</style>")) && page.contains(&format!("<script>{SCRIPT}</script>")));
    assert!(!page.contains(" style=") && !page.contains("http://") && !page.contains("https://"));
    let policy = policy();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
}

#[test]
fn shows_the_first_groups_and_says_how_many_more_there_are() {
    let bodies: Vec<_> = (0..200).map(|i| body(&format!("job/{i:03}"), Vec::new(), 1, None, None)).collect();
    let page = shown(bodies, 100_000);
    assert!(page.len() < 110_000 && page.contains("&quot;000&quot;") && !page.contains("&quot;199&quot;"));
    let shown = page.matches("<details").count();
    assert!(page.contains(&format!("{} more groups are not on this page", 200 - shown)), "{shown}");
}

#[test]
fn shows_what_the_last_tick_wrote_and_why_something_is_missing() {
    let listing = Listing::default();
    let failure = "503: <b>try later</b>".to_owned();
    let last = LastTick {
        tick: NOW - 12_000,
        samples: 1_234,
        increments: 40,
        duplicates: 3,
        errored: 7,
        failure,
        ..LastTick::default()
    };
    let shown = page(&Groups::Listed(&listing), Some(last), 1 << 20);
    for part in [
        "12 s ago</time>",
        "<b>1234</b> samples written",
        "<b>40</b> updates counted",
        "<b>3</b> duplicates dropped",
        "<span class=\"figure bad\"><b>7</b> series not sent</span>",
        "503: &lt;b&gt;try later&lt;/b&gt;",
    ] {
        assert!(shown.contains(part), "{part} is missing:\n{shown}");
    }
    assert!(!shown.contains("refused") && !shown.contains("stale markers"));
    assert!(page(&Groups::Listed(&listing), None, 1 << 20).contains("No tick has written anything yet"));
    assert!(!page(&Groups::None, None, 1 << 20).contains("Last tick"));
}

#[test]
fn says_why_there_are_no_groups() {
    let error = GroupsError::Store(StoreError::Forbidden("<x>".to_owned()));
    let listing = Listing::default();
    let table = [
        (Groups::None, "Set <code>STATE_TABLE</code>"),
        (Groups::Failed(&error), "no permission for the table: &lt;x&gt;"),
        (Groups::Listed(&listing), "Nobody has pushed yet"),
    ];
    for (groups, expected) in table {
        let page = page(&groups, None, 1 << 20);
        assert!(page.contains(expected), "{expected}");
    }
}

fn base64_of(text: &str) -> String {
    use base64::Engine as _;
    base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text)
}
