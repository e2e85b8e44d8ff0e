//! The requests of a tick: metadata, refused series last, and nothing after a newer tick. Each shard has requests of its own.

use super::*;
use crate::limits::MAX_METADATA_BYTES;

/// Returns the families of each request with metadata.
fn metadata(rig: &Rig) -> Vec<Vec<String>> {
    let database = rig.receiver.0.lock().unwrap();
    let of_request = |request: &WriteRequest| {
        let families = request.metadata.iter().map(|family| family.metric_family_name.clone());
        families.collect::<Vec<_>>()
    };
    database.requests.iter().map(of_request).filter(|families| !families.is_empty()).collect()
}

#[tokio::test(start_paused = true)]
async fn metadata_comes_behind_the_values_when_a_family_is_new_and_in_the_first_tick_of_each_hour() {
    let mut rig = Rig::new();
    rig.event(NOW - 5, count("a", 1)).await;
    rig.tick(NOW).await;
    {
        let database = rig.receiver.0.lock().unwrap();
        let last = database.requests.last().unwrap();
        assert!(last.timeseries.is_empty() && last.metadata[0].metric_family_name == "a");
    }
    rig.tick(NOW + MINUTE).await;
    rig.event(NOW + MINUTE + 1, count("b", 1)).await;
    for minute in 2..122 {
        rig.tick(NOW + minute * MINUTE).await;
    }
    assert_eq!(metadata(&rig), [vec!["a"], vec!["b"], vec!["a", "b"], vec!["a", "b"]]);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_cut_to_what_the_receiver_takes() {
    let mut rig = Rig::new();
    let help = Some(Cow::Owned("é".repeat(MAX_METADATA_BYTES / 2) + "é"));
    rig.event(NOW - 5, TypedMetric { help, ..count("a", 1) }).await;
    rig.tick(NOW).await;
    let database = rig.receiver.0.lock().unwrap();
    assert_eq!(database.requests.last().unwrap().metadata[0].help.len(), MAX_METADATA_BYTES);
}

#[tokio::test(start_paused = true)]
async fn metadata_that_is_not_taken_is_counted_and_not_sent_again_and_the_tick_is_acknowledged() {
    let mut rig = Rig::new();
    rig.event(NOW - 5, count("a", 1)).await;
    rig.fail_metadata(503);
    let summary = rig.tick(NOW).await;
    assert!(summary.sum.acknowledged && summary.sum.error.is_none(), "{summary:?}");
    assert_eq!((summary.sum.metadata_failed, metadata(&rig).len()), (1, 1));
    assert!(rig.tick(NOW).await.sum.repeated);
    assert_eq!(rig.tick(NOW + MINUTE).await.sum.metadata_failed, 0);
    assert_eq!((metadata(&rig).len(), rig.samples("a").len()), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn a_tick_stops_between_two_tries_of_a_request_when_there_is_a_newer_head() {
    let mut rig = Rig::new();
    rig.event(NOW - 5, gauge("a", 1)).await;
    // The first tries of both ticks.
    rig.answer(&[503, 503]);
    let newer = async {
        tokio::time::sleep(Duration::from_millis(1)).await;
        rig.tick(NOW + MINUTE).await
    };
    let (older, newer) = tokio::join!(rig.tick(NOW), newer);
    assert!(older.sum.overtaken && !older.sum.acknowledged, "{older:?}");
    assert_eq!((older.sum.error, older.sum.errored, older.sum.refused), (None, 0, 0));
    assert!(newer.sum.acknowledged, "{newer:?}");
    assert_eq!(rig.samples("\"a\""), ["60000: 1"]);
    let database = rig.receiver.0.lock().unwrap();
    let of_older = database.requests.iter().filter(|request| {
        request.timeseries.iter().any(|series| series.samples.iter().any(|sample| sample.timestamp == NOW))
    });
    assert_eq!((of_older.count(), database.refused), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn bisections_take_at_most_fifty_requests_of_a_tick_and_end_after_some_ticks() {
    const BAD: usize = 40;
    let mut rig = Rig::new();
    for i in 0..300 {
        rig.event(NOW - 500 + i, gauge(&format!("s{i:03}"), 1)).await;
    }
    // Somebody else writes some of the series, far ahead.
    for bad in 0..BAD {
        let series = format!("__name__=\"s{:03}\"", bad * 3);
        rig.receiver.0.lock().unwrap().series.insert(series, vec![(NOW + 1_000 * MINUTE, 0)]);
    }
    let mut summaries = Vec::new();
    for minute in 0..24 {
        summaries.push(rig.tick(NOW + minute * MINUTE).await.sum);
    }
    for (minute, sum) in summaries.iter().enumerate() {
        // One more for the table that is not refused, and metadata.
        assert!(sum.sent.requests <= 50 + 4 + 1, "{minute} {sum:?}");
        assert_eq!(sum.errored > 0, matches!(sum.error, Some(TickError::NotSent(_))), "{minute} {sum:?}");
    }
    assert!(summaries[0].errored > 0, "the first tick cannot find all culprits: {:?}", summaries[0]);
    let last = &summaries[23];
    assert!(last.acknowledged && last.refused == 0, "{last:?}");
    for i in (0..300).filter(|i| i % 3 != 0) {
        assert_eq!(rig.samples(&format!("s{i:03}")).last().unwrap(), "1380000: 1", "{i}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_tables_of_a_tick_share_the_fifty_requests_of_its_bisections() {
    const SERIES: u64 = 20_000;
    let rig = Rig::new();
    let mut builder = JournalBuilder::default();
    for i in 0..SERIES {
        let metric = gauge(&format!("s{i:05}"), 1);
        builder.add(0, Identity::of_event("m", i), &metric, Timestamp(NOW)).unwrap();
    }
    for (number, item) in builder.finish().unwrap().into_iter().enumerate() {
        rig.put(Key::new("j#0", format!("{:013}#{number:04x}#0", NOW - 9)), item.blob).await;
    }
    for bad in (0..SERIES).step_by(250) {
        let series = format!("__name__=\"s{bad:05}\"");
        rig.receiver.0.lock().unwrap().series.insert(series, vec![(NOW + 1_000 * MINUTE, 0)]);
    }
    let sum = rig.tick(NOW).await.sum;
    assert_eq!((sum.series, sum.errored > 0), (SERIES, true), "{sum:?}");
    let sent: std::collections::BTreeSet<String> = {
        let database = rig.receiver.0.lock().unwrap();
        let series = database.requests.iter().flat_map(|request| &request.timeseries);
        series.map(|series| series.labels[0].value.clone()).collect()
    };
    assert_eq!(sent.len() as u64, SERIES, "what one table leaves unsettled keeps no other back");
    // Four for each of the two tables, and metadata.
    assert!((50..=50 + 2 * 4 + 1).contains(&sum.sent.requests), "{sum:?}");
}

#[tokio::test(start_paused = true)]
async fn zeros_that_are_settled_are_not_sent_again_if_the_values_fail() {
    let mut rig = Rig::new();
    rig.event(NOW - 5, count("a", 3)).await;
    rig.answer(&[0, 503, 503, 503, 503, 503]);
    assert!(!rig.tick(NOW).await.sum.acknowledged);
    rig.answer(&[]);
    let before = rig.requests();
    assert!(rig.tick(NOW + MINUTE).await.sum.acknowledged);
    assert_eq!(rig.samples("a"), ["-59999: 0", "60000: 3"]);
    assert_eq!(rig.requests() - before, 2, "values and metadata");
}

/// A histogram is one series of many samples. A series of a group is one sample.
#[tokio::test(start_paused = true)]
async fn a_histogram_and_a_series_of_a_group_that_are_refused_again_and_again_are_alone_too() {
    let mut rig = Rig::new();
    let observations = vec![Observation { value: 1.5, count: 1 }];
    let histogram = Update::Histogram { layout: Layout::Classic(vec![1.0, 2.0]), observations };
    rig.event(NOW - 9, metric("h", histogram)).await;
    rig.group(&mut group("a", &[("bad", 1.0), ("good", 1.0)], NOW - 5_000, None)).await;
    for series in [r#"__name__="bad", job="a""#, r#"__name__="h_bucket", le="2.0""#] {
        let far_ahead = vec![(NOW + 1_000 * MINUTE, 0)];
        rig.receiver.0.lock().unwrap().series.insert(series.to_owned(), far_ahead);
    }
    let mut refused = Vec::new();
    for minute in 0..64 {
        let sum = rig.tick(NOW + minute * MINUTE).await.sum;
        if sum.refused > 0 {
            refused.push((minute, sum.refused));
        }
    }
    assert_eq!(refused, [(0, 2), (1, 2), (2, 2), (62, 2)]);
    assert_eq!(rig.samples("\"good\"").len(), 64);
}

#[tokio::test(start_paused = true)]
async fn a_series_that_is_refused_now_and_then_stays_among_the_others() {
    let mut rig = Rig::new();
    for name in ["a", "bad"] {
        rig.event(NOW - 9, gauge(name, 1)).await;
    }
    for minute in 0..12 {
        {
            // Somebody else writes the series, far ahead, in two of three minutes.
            let mut database = rig.receiver.0.lock().unwrap();
            let others = if minute % 3 == 2 { Vec::new() } else { vec![(NOW + 1_000 * MINUTE, 0)] };
            database.series.insert(r#"__name__="bad""#.to_owned(), others);
        }
        let before = rig.requests();
        assert_eq!(rig.tick(NOW + minute * MINUTE).await.sum.refused, u64::from(minute % 3 < 2), "minute {minute}");
        let first = rig.receiver.0.lock().unwrap().requests[before].timeseries.len();
        assert_eq!(first, 2, "minute {minute}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_series_that_is_refused_again_and_again_is_the_last_request_and_alone() {
    let mut rig = Rig::new();
    for name in ["a", "bad", "c"] {
        rig.event(NOW - 9, gauge(name, 1)).await;
    }
    let series = r#"__name__="bad""#.to_owned();
    rig.receiver.0.lock().unwrap().series.insert(series, vec![(NOW + 1_000 * MINUTE, 0)]);
    let mut tried_alone = Vec::new();
    for minute in 0..64 {
        let before = rig.requests();
        assert!(rig.tick(NOW + minute * MINUTE).await.sum.acknowledged);
        let database = rig.receiver.0.lock().unwrap();
        let requests: Vec<_> =
            database.requests[before..].iter().filter(|request| !request.timeseries.is_empty()).collect();
        let names = |request: &WriteRequest| {
            request.timeseries.iter().map(|series| series.labels[0].value.clone()).collect::<Vec<_>>()
        };
        if minute >= 3 {
            assert_eq!(names(requests[0]), ["a", "c"], "minute {minute}");
            if let Some(second) = requests.get(1) {
                assert_eq!((names(second), requests.len()), (vec!["bad".to_owned()], 2));
                tried_alone.push(minute);
            }
        }
    }
    assert_eq!(tried_alone, [62]);
}

#[tokio::test(start_paused = true)]
async fn each_shard_has_a_state_and_an_end_of_its_own() {
    let mut rig = Rig::new();
    rig.rules.shards = 2;
    rig.event(NOW - 9, count("zero", 1)).await;
    let put = |shard: u16, number: u32, metric: TypedMetric<'static>| {
        let mut builder = JournalBuilder::default();
        builder.add(shard, Identity::of_event("of shard", number.into()), &metric, Timestamp(NOW)).unwrap();
        let item = builder.finish().unwrap().remove(0);
        (
            Key::new(format!("j#{shard}"), format!("{:013}#{number:016x}", NOW + 60_000 * (i64::from(number) - 1) - 8)),
            item.blob,
        )
    };
    let (key, body) = put(1, 1, count("one", 2));
    rig.put(key, body).await;
    let summary = rig.tick(NOW).await;
    assert_eq!((summary.shards, summary.failed, summary.sum.series), (2, 0, 2));
    assert!(summary.sum.acknowledged && summary.sum.error.is_none());
    // One shard alone.
    let (key, body) = put(1, 2, count("one", 3));
    rig.put(key, body).await;
    let call = TickCall {
        tick: Timestamp(NOW + MINUTE),
        shard: Some(1),
        started: Timestamp(NOW + MINUTE),
        request_id: "r",
        deadline: Instant::now() + Duration::from_mins(1),
    };
    let summary = rig.gateway.tick_in(&rig.store, &rig.rules, &call).await.unwrap();
    assert_eq!((summary.shards, summary.sum.series), (1, 1));
    assert_eq!((rig.samples("zero").len(), rig.samples("one").last().unwrap().as_str()), (2, "60000: 5"));
    // A shard that fails does not stop the other.
    rig.put(Key::new("s#0", "head"), Bytes::from_static(b"\x01damaged")).await;
    let summary = rig.tick(NOW + 2 * MINUTE).await;
    assert_eq!((summary.shards, summary.failed), (2, 1));
    assert!(matches!(summary.sum.error, Some(TickError::Blob { what: "the head", .. })) && !summary.sum.acknowledged);
    assert_eq!((rig.samples("zero").len(), rig.samples("one").last().unwrap().as_str()), (2, "120000: 5"));
}

#[tokio::test(start_paused = true)]
async fn an_item_of_a_newer_release_or_a_damaged_one_stops_the_tick_before_it_writes_or_sends() {
    for (sort, what) in [
        ("head", "the head"),
        ("sent", "what the receiver has settled"),
        ("b#", "a snapshot"),
        ("i#", "identities"),
        ("g#", "a group"),
    ] {
        for (body, is_newer) in [(&b"\xffnewer"[..], true), (b"\x01damaged", false)] {
            let mut rig = Rig::new();
            rig.event(NOW - 9, count("a", 3)).await;
            rig.group(&mut group("j", &[("x", 2.5)], NOW - 5_000, None)).await;
            rig.tick(NOW).await;
            rig.event(NOW + 9, count("a", 4)).await;
            let range = if sort == "g#" { Range::all("g#0") } else { Range::prefix("s#0", sort) };
            let key = rig.store.query(&range, None).await.unwrap().items[0].key.clone();
            rig.put(key, Bytes::copy_from_slice(body)).await;
            let (requests, items) = (rig.requests(), rig.store.query(&Range::all("s#0"), None).await.unwrap());
            let error = rig.tick(NOW + MINUTE).await.sum.error;
            if sort == "g#" && !is_newer {
                assert_eq!(error, None, "a damaged group is reported, and the others are sent");
                continue;
            }
            let is_right = match &error {
                Some(TickError::Blob { what: found, error: BlobError::NewerVersion { .. } }) => {
                    is_newer && *found == what
                }
                Some(TickError::Blob { what: found, error: BlobError::Damaged(_) }) => !is_newer && *found == what,
                _ => false,
            };
            assert!(is_right, "{what}, newer {is_newer}: {error:?}");
            assert_eq!(rig.requests(), requests, "{what}");
            if sort != "g#" {
                assert_eq!(rig.store.query(&Range::all("s#0"), None).await.unwrap(), items, "{what}");
            }
        }
    }
}
