//! Tests with whole requests.

use super::*;
use crate::wire::messages::Label;
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000_000;

fn tsdb(flavour: Flavour, out_of_order_window_ms: i64) -> Tsdb {
    Tsdb::new(Rules { flavour, out_of_order_window_ms, ..Rules::default() })
}

fn series(device: &str, samples: &[(i64, f64)]) -> TimeSeries {
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let sample = |&(timestamp, value): &(i64, f64)| Sample { value, timestamp };
    TimeSeries {
        labels: vec![label("__name__", "ph"), label("device", device)],
        samples: samples.iter().map(sample).collect(),
        ..TimeSeries::default()
    }
}

fn request(timeseries: Vec<TimeSeries>) -> WriteRequest {
    WriteRequest { timeseries, ..WriteRequest::default() }
}

fn stored(tsdb: &Tsdb) -> Vec<Vec<(i64, f64)>> {
    let samples = |series: StoredSeries| series.samples.iter().map(|s| (s.timestamp, s.value)).collect();
    tsdb.snapshot().into_iter().map(samples).collect()
}

#[test]
fn stores_the_valid_rest_of_a_request_as_amp_does() {
    let mut tsdb = tsdb(Flavour::StoresTheValidRest, 0);
    tsdb.append(request(vec![series("a", &[(NOW, 1.0)])]), Timestamp(NOW));
    let appended = tsdb.append(
        request(vec![series("a", &[(NOW - 1, 1.0)]), series("b", &[(NOW - 1, 5.0), (NOW, 6.0)])]),
        Timestamp(NOW),
    );
    assert_eq!((appended.stored, appended.refused), (2, 1));
    assert_eq!(appended.first.unwrap().reason, RefusalReason::OutOfOrderSample);
    assert_eq!(stored(&tsdb), [vec![(NOW, 1.0)], vec![(NOW - 1, 5.0), (NOW, 6.0)]]);
}

#[test]
fn stores_nothing_of_a_request_with_an_invalid_part_as_prometheus_does() {
    let mut tsdb = tsdb(Flavour::AllOrNothing, 0);
    tsdb.append(request(vec![series("a", &[(NOW, 1.0)])]), Timestamp(NOW));
    let appended =
        tsdb.append(request(vec![series("b", &[(NOW, 6.0)]), series("a", &[(NOW - 1, 1.0)])]), Timestamp(NOW));
    assert_eq!((appended.stored, appended.refused), (0, 1));
    assert_eq!(stored(&tsdb), [vec![(NOW, 1.0)]]);
}

#[test]
fn refuses_samples_that_are_too_old_or_too_new_by_the_wall_clock() {
    let rules = Rules::default();
    let table = [
        (NOW - rules.max_sample_age_ms, None),
        (NOW - rules.max_sample_age_ms - 1, Some(RefusalReason::TimestampTooOld)),
        (NOW + rules.max_sample_lead_ms, None),
        (NOW + rules.max_sample_lead_ms + 1, Some(RefusalReason::TimestampTooNew)),
        (i64::MIN, Some(RefusalReason::TimestampTooOld)),
        (i64::MAX, Some(RefusalReason::TimestampTooNew)),
    ];
    for (time, expected) in table {
        let appended = Tsdb::new(rules.clone()).append(request(vec![series("a", &[(time, 1.0)])]), Timestamp(NOW));
        assert_eq!(appended.first.map(|refusal| refusal.reason), expected, "{time}");
    }
}

#[test]
fn a_future_sample_of_one_series_ends_the_window_of_the_others() {
    let mut tsdb = tsdb(Flavour::StoresTheValidRest, 60_000);
    tsdb.append(request(vec![series("a", &[(NOW, 1.0)])]), Timestamp(NOW));
    let late = || request(vec![series("a", &[(NOW - 30_000, 1.0)])]);
    assert_eq!(tsdb.clone().append(late(), Timestamp(NOW)).stored, 1);
    tsdb.append(request(vec![series("b", &[(NOW + 300_000, 1.0)])]), Timestamp(NOW));
    assert_eq!(tsdb.append(late(), Timestamp(NOW)).first.unwrap().reason, RefusalReason::TooOldSample);
}

#[test]
fn accepts_a_series_twice_in_a_request() {
    let mut tsdb = tsdb(Flavour::StoresTheValidRest, 0);
    let twice = request(vec![series("a", &[(NOW, 1.0)]), series("a", &[(NOW, 1.0), (NOW + 1, 2.0)])]);
    let appended = tsdb.append(twice, Timestamp(NOW));
    assert_eq!((appended.stored, appended.known, appended.refused), (2, 1, 0));
}

#[test]
fn accepts_an_empty_request() {
    let appended = tsdb(Flavour::StoresTheValidRest, 0).append(request(vec![]), Timestamp(NOW));
    assert_eq!(appended, Appended::default());
}

#[test]
fn bounds_series_and_samples() {
    let rules = Rules { max_series: 2, max_samples: 4, ..Rules::default() };
    let mut tsdb = Tsdb::new(rules);
    let devices = ["a", "b", "c"].map(|device| series(device, &[(NOW, 1.0)]));
    let appended = tsdb.append(request(devices.to_vec()), Timestamp(NOW));
    assert_eq!((appended.stored, appended.refused), (2, 1));
    assert_eq!(appended.first.unwrap().reason, RefusalReason::SeriesLimit { limit: 2 });
    for second in 1..100 {
        let appended = tsdb.append(request(vec![series("a", &[(NOW + second, 1.0)])]), Timestamp(NOW));
        assert_eq!(appended.stored, 1);
    }
    let left = stored(&tsdb);
    assert!(left.iter().map(Vec::len).sum::<usize>() <= 5, "{left:?}");
    assert_eq!(left[0].last(), Some(&(NOW + 99, 1.0)), "the newest stays");
}

fn steps() -> impl Strategy<Value = Vec<(u8, i64, u8)>> {
    proptest::collection::vec((0_u8..3, 0_i64..200_000, 0_u8..2), 1..40)
}

proptest! {
    /// The workspace stores accepted samples once and in order, and a refused one changes nothing. It accepts a stored
    /// sample again if that is the newest of its series or inside the window, and refuses it otherwise.
    #[test]
    fn property_test_accepts_a_replay_only_of_the_newest_or_inside_the_window(
        steps in steps(),
        window in prop_oneof![Just(0_i64), Just(60_000)],
        flavour in prop_oneof![Just(Flavour::StoresTheValidRest), Just(Flavour::AllOrNothing)],
    ) {
        let mut tsdb = tsdb(flavour, window);
        for (device, offset, value) in &steps {
            let sample = (NOW - offset, f64::from(*value));
            let before = stored(&tsdb);
            let appended = tsdb.append(request(vec![series(&device.to_string(), &[sample])]), Timestamp(NOW));
            prop_assert_eq!(appended.refused == 1, appended.first.is_some());
            if appended.stored == 0 {
                prop_assert_eq!(&before, &stored(&tsdb));
            }
        }
        let snapshot = tsdb.snapshot();
        let newest = snapshot.iter().filter_map(|s| s.samples.last()).map(|s| s.timestamp).max().unwrap_or(NOW);
        for kept in &snapshot {
            prop_assert!(kept.samples.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
            for (index, sample) in kept.samples.iter().enumerate() {
                let again = series(&kept.labels[1].1, &[(sample.timestamp, sample.value)]);
                let appended = tsdb.clone().append(request(vec![again]), Timestamp(NOW));
                let is_newest = index + 1 == kept.samples.len();
                let inside = window > 0 && sample.timestamp >= newest - window;
                prop_assert_eq!(appended.refused == 0, is_newest || inside, "{:?} newest {}", sample, newest);
                prop_assert_eq!(appended.stored, 0);
            }
        }
    }

    /// The workspace stores all new samples of a request, or none.
    #[test]
    fn property_test_stores_all_samples_of_a_request_or_none(steps in steps()) {
        let whole: Vec<_> = steps.iter().map(|(device, offset, value)| {
            series(&device.to_string(), &[(NOW - offset, f64::from(*value))])
        }).collect();
        let mut tsdb = tsdb(Flavour::AllOrNothing, 0);
        let appended = tsdb.append(request(whole), Timestamp(NOW));
        prop_assert_eq!(appended.refused + appended.known + appended.stored == steps.len(), appended.refused == 0);
        prop_assert_eq!(stored(&tsdb).iter().map(Vec::len).sum::<usize>(), appended.stored);
    }
}
