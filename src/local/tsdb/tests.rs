//! What a workspace stores of whole requests.

use super::*;
use crate::wire::messages::{self, Label};
use proptest::prelude::*;

const NOW: i64 = 1_700_000_000_000;

fn tsdb(flavour: Flavour, out_of_order_window_ms: i64) -> Tsdb {
    Tsdb::new(Rules { flavour, out_of_order_window_ms, ..Rules::default() })
}

fn series(device: &str, samples: &[(i64, f64)]) -> TimeSeries {
    let label = |name: &str, value: &str| Label { name: name.to_owned(), value: value.to_owned() };
    let sample = |&(timestamp, value): &(i64, f64)| messages::Sample { value, timestamp };
    TimeSeries {
        labels: vec![label("__name__", "ph"), label("device", device)],
        samples: samples.iter().map(sample).collect(),
    }
}

fn request(timeseries: Vec<TimeSeries>) -> WriteRequest {
    WriteRequest { timeseries }
}

fn stored(tsdb: &Tsdb) -> Vec<Vec<(i64, f64)>> {
    let samples = |series: StoredSeries| series.samples.iter().map(|s| (s.timestamp, s.value)).collect();
    tsdb.snapshot().into_iter().map(samples).collect()
}

#[test]
fn the_valid_rest_of_a_request_is_stored_as_amp_does_it() {
    let mut tsdb = tsdb(Flavour::StoresTheValidRest, 0);
    tsdb.append(request(vec![series("a", &[(NOW, 1.0)])]), Timestamp(NOW));
    let verdict = tsdb.append(
        request(vec![series("a", &[(NOW - 1, 1.0)]), series("b", &[(NOW - 1, 5.0), (NOW, 6.0)])]),
        Timestamp(NOW),
    );
    assert_eq!((verdict.stored, verdict.refused), (2, 1));
    assert_eq!(verdict.first.unwrap().fault, Fault::OutOfOrderSample);
    assert_eq!(stored(&tsdb), [vec![(NOW, 1.0)], vec![(NOW - 1, 5.0), (NOW, 6.0)]]);
}

#[test]
fn nothing_of_a_request_is_stored_as_prometheus_does_it() {
    let mut tsdb = tsdb(Flavour::AllOrNothing, 0);
    tsdb.append(request(vec![series("a", &[(NOW, 1.0)])]), Timestamp(NOW));
    let verdict =
        tsdb.append(request(vec![series("b", &[(NOW, 6.0)]), series("a", &[(NOW - 1, 1.0)])]), Timestamp(NOW));
    assert_eq!((verdict.stored, verdict.refused), (0, 1));
    assert_eq!(stored(&tsdb), [vec![(NOW, 1.0)]]);
}

#[test]
fn ages_are_measured_by_the_wall_clock() {
    let rules = Rules::default();
    let table = [
        (NOW - rules.max_sample_age_ms, None),
        (NOW - rules.max_sample_age_ms - 1, Some(Fault::TimestampTooOld)),
        (NOW + rules.max_sample_lead_ms, None),
        (NOW + rules.max_sample_lead_ms + 1, Some(Fault::TimestampTooNew)),
        (i64::MIN, Some(Fault::TimestampTooOld)),
        (i64::MAX, Some(Fault::TimestampTooNew)),
    ];
    for (time, expected) in table {
        let verdict = Tsdb::new(rules.clone()).append(request(vec![series("a", &[(time, 1.0)])]), Timestamp(NOW));
        assert_eq!(verdict.first.map(|refused| refused.fault), expected, "{time}");
    }
}

#[test]
fn a_future_sample_of_one_series_costs_the_others_their_window() {
    let mut tsdb = tsdb(Flavour::StoresTheValidRest, 60_000);
    tsdb.append(request(vec![series("a", &[(NOW, 1.0)])]), Timestamp(NOW));
    let late = || request(vec![series("a", &[(NOW - 30_000, 1.0)])]);
    assert_eq!(tsdb.clone().append(late(), Timestamp(NOW)).stored, 1);
    tsdb.append(request(vec![series("b", &[(NOW + 300_000, 1.0)])]), Timestamp(NOW));
    assert_eq!(tsdb.append(late(), Timestamp(NOW)).first.unwrap().fault, Fault::TooOldSample);
}

#[test]
fn a_series_that_stands_twice_in_a_request_is_one() {
    let mut tsdb = tsdb(Flavour::StoresTheValidRest, 0);
    let twice = request(vec![series("a", &[(NOW, 1.0)]), series("a", &[(NOW, 1.0), (NOW + 1, 2.0)])]);
    let verdict = tsdb.append(twice, Timestamp(NOW));
    assert_eq!((verdict.stored, verdict.known, verdict.refused), (2, 1, 0));
}

#[test]
fn an_empty_request_is_accepted() {
    let verdict = tsdb(Flavour::StoresTheValidRest, 0).append(request(vec![]), Timestamp(NOW));
    assert_eq!(verdict, Verdict::default());
}

#[test]
fn series_labels_and_samples_are_bounded() {
    let rules = Rules { max_series: 2, max_samples: 4, ..Rules::default() };
    let mut tsdb = Tsdb::new(rules);
    let devices = ["a", "b", "c"].map(|device| series(device, &[(NOW, 1.0)]));
    let verdict = tsdb.append(request(devices.to_vec()), Timestamp(NOW));
    assert_eq!((verdict.stored, verdict.refused), (2, 1));
    assert_eq!(verdict.first.unwrap().fault, Fault::SeriesLimit { limit: 2 });
    for second in 1..100 {
        let verdict = tsdb.append(request(vec![series("a", &[(NOW + second, 1.0)])]), Timestamp(NOW));
        assert_eq!(verdict.stored, 1);
    }
    let left = stored(&tsdb);
    assert!(left.iter().map(Vec::len).sum::<usize>() <= 5, "{left:?}");
    assert_eq!(left[0].last(), Some(&(NOW + 99, 1.0)), "the newest stays");
}

fn steps() -> impl Strategy<Value = Vec<(u8, i64, u8)>> {
    proptest::collection::vec((0_u8..3, 0_i64..200_000, 0_u8..2), 1..40)
}

proptest! {
    /// What is accepted is stored once, in order; what is refused changes nothing; and a stored sample sent again is
    /// accepted where it is the newest of its series or inside the window, and refused everywhere else.
    #[test]
    fn property_test_a_replay_is_judged_as_stated(
        steps in steps(),
        window in prop_oneof![Just(0_i64), Just(60_000)],
        flavour in prop_oneof![Just(Flavour::StoresTheValidRest), Just(Flavour::AllOrNothing)],
    ) {
        let mut tsdb = tsdb(flavour, window);
        for (device, offset, value) in &steps {
            let sample = (NOW - offset, f64::from(*value));
            let before = stored(&tsdb);
            let verdict = tsdb.append(request(vec![series(&device.to_string(), &[sample])]), Timestamp(NOW));
            prop_assert_eq!(verdict.refused == 1, verdict.first.is_some());
            if verdict.stored == 0 {
                prop_assert_eq!(&before, &stored(&tsdb));
            }
        }
        let snapshot = tsdb.snapshot();
        let newest = snapshot.iter().filter_map(|s| s.samples.last()).map(|s| s.timestamp).max().unwrap_or(NOW);
        for kept in &snapshot {
            prop_assert!(kept.samples.windows(2).all(|pair| pair[0].timestamp < pair[1].timestamp));
            for (index, sample) in kept.samples.iter().enumerate() {
                let again = series(&kept.labels[1].1, &[(sample.timestamp, sample.value)]);
                let verdict = tsdb.clone().append(request(vec![again]), Timestamp(NOW));
                let is_newest = index + 1 == kept.samples.len();
                let inside = window > 0 && sample.timestamp >= newest - window;
                prop_assert_eq!(verdict.refused == 0, is_newest || inside, "{:?} newest {}", sample, newest);
                prop_assert_eq!(verdict.stored, 0);
            }
        }
    }

    /// One request of many samples ends in one of two ways: all or the valid rest; never in between.
    #[test]
    fn property_test_all_or_nothing_is_never_in_between(steps in steps()) {
        let whole: Vec<_> = steps.iter().map(|(device, offset, value)| {
            series(&device.to_string(), &[(NOW - offset, f64::from(*value))])
        }).collect();
        let mut tsdb = tsdb(Flavour::AllOrNothing, 0);
        let verdict = tsdb.append(request(whole), Timestamp(NOW));
        prop_assert_eq!(verdict.refused + verdict.known + verdict.stored == steps.len(), verdict.refused == 0);
        prop_assert_eq!(stored(&tsdb).iter().map(Vec::len).sum::<usize>(), verdict.stored);
    }
}
