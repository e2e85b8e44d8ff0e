//! Tests of the state, the fold and the snapshots together.

use super::*;
use crate::aggregate::journal::{Journal, JournalBuilder};
use crate::aggregate::series_key::tests::{labels, name};
use crate::aggregate::{ExposedValue, Fold, FoldRules, Folded, Identity, OwedReason, Seen};
use crate::model::{Layout, Observation, TypedMetric, Update, Value};
use proptest::prelude::*;
use std::borrow::Cow;

const MINUTE: i64 = 60_000;

/// An event: its series, its update, its time, and the number that identifies it.
#[derive(Clone, Debug)]
struct Event {
    name: String,
    labels: Vec<(String, String)>,
    update: Update,
    time: i64,
    id: u64,
}

fn event(name: &str, update: Update, id: u64) -> Event {
    Event { name: name.to_owned(), labels: Vec::new(), update, time: 0, id }
}

fn count(name: &str, value: i64, id: u64) -> Event {
    event(name, Update::Counter(Value::Integer(value)), id)
}

fn with_label(event: Event, name: &str, value: &str) -> Event {
    Event { labels: vec![(name.to_owned(), value.to_owned())], ..event }
}

fn classic(bounds: &[f64], values: &[f64]) -> Update {
    Update::Histogram { layout: Layout::Classic(bounds.to_vec()), observations: observed(values) }
}

fn observed(values: &[f64]) -> Vec<Observation> {
    values.iter().map(|&value| Observation { value, count: 1 }).collect()
}

fn summary(values: &[f64]) -> Update {
    Update::Summary { quantiles: vec![0.5], observations: observed(values) }
}

fn journal(events: &[Event]) -> Vec<Journal> {
    let mut builder = JournalBuilder::default();
    for Event { name: metric, labels: pairs, update, time, id } in events {
        let pairs: Vec<_> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        let help = Some(Cow::Owned(format!("help {id}")));
        let (name, labels) = (name(metric), labels(&pairs));
        let metric = TypedMetric { name, labels, update: update.clone(), help, time: Timestamp(*time), id: None };
        builder.add(0, Identity::of_event("m", *id), &metric, Timestamp(0)).unwrap();
    }
    builder.finish().unwrap().iter().map(|item| Journal::open(&item.blob).unwrap()).collect()
}

fn rules(tick: i64) -> FoldRules {
    FoldRules { tick: Timestamp(tick), window: SummaryWindow::default(), max_series: 1_000 }
}

fn fold_by(state: &mut TypedState, events: &[Event], rules: FoldRules) -> Folded {
    let mut seen = Seen::default();
    let items = journal(events);
    for item in &items {
        seen.add(item).unwrap();
    }
    let mut fold = Fold::new(state, &mut seen, rules);
    for item in &items {
        fold.item(item).unwrap();
    }
    fold.finish().0
}

fn fold(state: &mut TypedState, events: &[Event], tick: i64) -> Folded {
    fold_by(state, events, rules(tick))
}

/// Returns everything that a state says, in an order of its own.
fn shown(state: &TypedState) -> Vec<String> {
    let series = |series: &Series| {
        let Series { aggregate, born, zero, updated, .. } = series;
        format!("{:?} {aggregate:?} {born} {zero} {updated}", series.key())
    };
    let mut all: Vec<String> = state.series().map(series).collect();
    all.extend(state.families().map(|(name, Family { metric_type, help, born, series, .. })| {
        format!("{name} {metric_type} {help} {born} {series}")
    }));
    all.extend(state.ended.iter().map(|ended| format!("ended {} {}", series(&ended.series), ended.time)));
    all.extend(state.owed().map(|event| format!("{event:?}")));
    all.push(format!("next {}", state.owed.next));
    all.sort();
    all
}

/// Returns the exposed numbers as `suffix{bound} value`.
fn exposed(state: &TypedState, metric: &str, at: i64) -> Vec<String> {
    let mut all = Vec::new();
    for series in state.series().filter(|series| series.key().name() == metric) {
        series.aggregate.expose(Timestamp(at), SummaryWindow::default(), &mut |exposed| {
            let bound = exposed.bound.map(|bound| format!("{{{bound}}}")).unwrap_or_default();
            let value = match exposed.value {
                ExposedValue::Number(value) => value.to_string(),
                ExposedValue::Histogram(_) => "native".to_owned(),
            };
            all.push(format!("{}{bound} {value}", exposed.suffix));
        });
    }
    all
}

fn read(bases: &[&[bytes::Bytes]]) -> TypedState {
    let mut state = TypedState::default();
    for part in bases.iter().copied().flatten() {
        state.read_part(part).unwrap();
    }
    state.finish_reading();
    state
}

#[test]
fn counts_each_event_once() {
    let mut state = TypedState::default();
    let folded = fold(&mut state, &[count("a", 2, 1), count("a", 3, 2), count("a", 2, 1)], MINUTE);
    assert_eq!((folded.entries, folded.increments, folded.duplicates, folded.births), (3, 2, 1, 1));
    assert_eq!(exposed(&state, "a", MINUTE), [" 5"]);
}

#[test]
fn the_first_layout_of_a_series_wins_and_the_sum_stays_right() {
    let mut state = TypedState::default();
    let native = Update::Histogram { layout: Layout::Native, observations: observed(&[0.5]) };
    let events =
        [event("h", classic(&[1.0], &[0.5]), 1), event("h", classic(&[2.0], &[1.5]), 2), event("h", native, 3)];
    let folded = fold(&mut state, &events, MINUTE);
    assert_eq!((folded.bucket_conflicts, folded.increments), (2, 3));
    assert_eq!(exposed(&state, "h", MINUTE), ["_bucket{1.0} 2", "_bucket{+Inf} 3", "_sum 2.5", "_count 3"]);
}

#[test]
fn an_event_of_another_type_is_owed_once_and_remembered_as_counted() {
    let mut state = TypedState::default();
    let gauge = Event { time: 7, ..event("a", Update::Gauge(Value::Float(1.5)), 2) };
    let folded = fold(&mut state, &[count("a", 1, 1), gauge.clone(), gauge], MINUTE);
    assert_eq!((folded.type_conflicts, folded.duplicates, folded.dropped), (1, 1, [0, 0]));
    let owed: Vec<_> = state.owed().collect();
    let [OwedEvent { number: 0, reason: OwedReason::TypeConflict, json, identity, .. }] = owed[..] else {
        panic!("{owed:?}")
    };
    assert_eq!(*identity, Identity::of_event("m", 2));
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let expected = r#"{"type":"gauge","name":"a","labels":{},"value":1.5,"timestamp":7,"help":"help 2"}"#;
    assert_eq!(json, serde_json::from_str::<serde_json::Value>(expected).unwrap());
}

/// The families on the left are held; the event on the right is born or conflicts.
#[test]
fn a_series_that_another_family_exposes_conflicts() {
    let le = |event, value| with_label(event, "le", value);
    let quantile = |event, value| with_label(event, "quantile", value);
    let native = || Update::Histogram { layout: Layout::Native, observations: observed(&[1.0]) };
    let table = [
        (event("h", classic(&[1.0], &[1.0]), 1), count("h_count", 1, 2), true),
        (event("h", classic(&[1.0], &[1.0]), 1), count("h_sum", 1, 2), true),
        (event("h", classic(&[1.0], &[1.0]), 1), le(count("h_bucket", 1, 2), "1.0"), true),
        (event("h", classic(&[1.0], &[1.0]), 1), le(count("h_bucket", 1, 2), "+Inf"), true),
        (event("h", classic(&[1.0], &[1.0]), 1), le(count("h_bucket", 1, 2), "2.0"), false),
        (event("h", classic(&[1.0], &[1.0]), 1), count("h_bucket", 1, 2), false),
        (event("h", classic(&[1.0], &[1.0]), 1), event("h_count", native(), 2), true),
        (event("h", classic(&[1.0], &[1.0]), 1), event("h_count", classic(&[1.0], &[1.0]), 2), false),
        (event("h", classic(&[1.0], &[1.0]), 1), event("h", summary(&[1.0]), 2), true),
        (event("h", native(), 1), count("h_count", 1, 2), false),
        (event("h", native(), 1), count("h", 1, 2), true),
        (event("s", summary(&[1.0]), 1), count("s_sum", 1, 2), true),
        (event("s", summary(&[1.0]), 1), quantile(count("s", 1, 2), "0.5"), true),
        (event("s", summary(&[1.0]), 1), quantile(count("s", 1, 2), "0.9"), false),
        (count("s_count", 1, 1), event("s", summary(&[1.0]), 2), true),
        (count("h_sum", 1, 1), event("h", classic(&[1.0], &[1.0]), 2), true),
        (le(count("h_bucket", 1, 1), "1.0"), event("h", classic(&[1.0], &[1.0]), 2), true),
        (quantile(count("s", 1, 1), "0.5"), event("s", summary(&[1.0]), 2), true),
        (with_label(count("h_sum", 1, 1), "a", "b"), event("h", classic(&[1.0], &[1.0]), 2), false),
        (with_label(count("a", 1, 1), "a", "b"), event("a", Update::Gauge(Value::Integer(1)), 2), false),
    ];
    for (held, new, conflicts) in table {
        let mut state = TypedState::default();
        fold(&mut state, std::slice::from_ref(&held), MINUTE);
        let folded = fold(&mut state, std::slice::from_ref(&new), 2 * MINUTE);
        assert_eq!(folded.type_conflicts == 1, conflicts, "{held:?} {new:?}");
    }
}

#[test]
fn a_new_series_over_the_limit_is_owed_and_the_family_that_grew_most_is_named() {
    let mut state = TypedState::default();
    let of = |name: &str, i: u64| with_label(count(name, 1, 100 + i), "i", &format!("{name}{i}"));
    let events: Vec<_> = (0..2).map(|i| of("a", i)).chain((10..15).map(|i| of("b", i))).collect();
    let rules = FoldRules { max_series: 3, ..rules(MINUTE) };
    let folded = fold_by(&mut state, &events, rules);
    assert_eq!((folded.births, folded.series_limit, folded.grew_most.as_deref()), (3, 4, Some("b")));
    assert!(state.owed().all(|event| event.reason == OwedReason::SeriesLimit) && state.owed().len() == 4);
    // A series that is held goes on.
    let again = Event { id: 900, ..of("a", 0) };
    assert_eq!(fold_by(&mut state, &[again], rules).series_limit, 0);
}

#[test]
fn owes_a_bounded_number_of_events_and_drops_the_rest() {
    let mut state = TypedState::default();
    let events: Vec<_> = (0..10_010).map(|i| event("a", Update::Gauge(Value::Integer(1)), i)).collect();
    fold(&mut state, &[count("a", 1, 99_999)], MINUTE);
    let folded = fold(&mut state, &events, MINUTE);
    assert_eq!((state.owed().len(), folded.type_conflicts, folded.dropped), (10_000, 10_010, [10, 0]));
    state.forget_owed_before(9_990);
    assert_eq!(state.owed().map(|event| event.number).collect::<Vec<_>>(), (9_990..10_000).collect::<Vec<_>>());
}

#[test]
fn events_are_owed_as_arrays_of_one_fold_and_one_reason_that_fit_into_a_message() {
    let gauge = |id| event("a", Update::Gauge(Value::Integer(1)), id);
    let numbers = |state: &TypedState| state.owed().map(|event| event.number).collect::<Vec<_>>();
    let mut state = TypedState::default();
    let new = |id| count("b", 1, id);
    let full = FoldRules { max_series: 1, ..rules(MINUTE) };
    fold_by(&mut state, &[count("a", 1, 1), gauge(2), gauge(3), new(4), gauge(5)], full);
    assert_eq!(numbers(&state), [0, 1, 1_000, 2_000]);
    // The next tick begins an array, also if it reads what the last one committed.
    let mut read = read(&[&state.base().unwrap()]);
    for state in [&mut state, &mut read] {
        fold_by(state, &[gauge(6), gauge(7)], full);
        assert_eq!(numbers(state), [0, 1, 1_000, 2_000, 3_000, 3_001]);
        // Numbers of events that were sent are not used again.
        state.forget_owed_before(3_002);
        fold_by(state, &[gauge(8)], full);
        assert_eq!(numbers(state), [4_000]);
    }
    let large = |id| with_label(gauge(id), "l", &"x".repeat(100_000));
    let mut state = TypedState::default();
    fold(&mut state, &[with_label(count("a", 1, 1), "l", &"x".repeat(100_000))], MINUTE);
    fold(&mut state, &[large(2), large(3), large(4)], MINUTE);
    assert_eq!(numbers(&state), [0, 1, 1_000]);
}

#[test]
fn an_event_is_owed_as_a_body_that_sqs_takes_or_dropped() {
    let mut state = TypedState::default();
    let odd = |event| with_label(event, "l", "\u{fffe}\u{ffff}\u{0}");
    fold(&mut state, &[odd(count("a", 1, 1)), odd(event("a", Update::Gauge(Value::Integer(1)), 2))], MINUTE);
    let json = state.owed().next().unwrap().json.clone();
    assert!(json.contains(r#"{"l":"\ufffe\uffff\u0000"}"#), "{json}");
    // Each character takes six bytes.
    let huge = |event| with_label(event, "l", &"\u{1}".repeat(200_000));
    let (first, second) = (huge(count("a", 1, 3)), huge(event("a", Update::Gauge(Value::Integer(1)), 4)));
    let folded = fold(&mut state, &[first, second], MINUTE);
    assert_eq!((state.owed().len(), folded.type_conflicts, folded.dropped), (1, 1, [1, 0]));
}

#[test]
fn the_gauge_value_of_the_later_event_wins_and_a_losing_value_is_an_update() {
    let gauge = |value, time, id| Event { time, ..event("g", Update::Gauge(Value::Integer(value)), id) };
    let mut state = TypedState::default();
    fold(&mut state, &[gauge(1, 10, 1), gauge(2, 9, 2), gauge(3, 10, 3)], MINUTE);
    assert_eq!(exposed(&state, "g", MINUTE), [" 3"]);
    fold(&mut state, &[gauge(9, 5, 4)], 3 * MINUTE);
    assert_eq!(exposed(&state, "g", MINUTE), [" 3"]);
    assert_eq!(state.expire(Timestamp(4 * MINUTE), 2 * MINUTE), 0);
    assert_eq!(state.expire(Timestamp(5 * MINUTE), 2 * MINUTE), 1);
}

#[test]
fn a_birth_keeps_its_tick_and_its_zero_lies_a_millisecond_behind_the_tick_before() {
    let mut state = TypedState::default();
    fold(&mut state, &[count("a", 1, 1)], 5 * MINUTE);
    fold(&mut state, &[count("a", 1, 2)], 6 * MINUTE);
    let births = |settled: Option<i64>, tick| -> Vec<i64> {
        let owed = state.series().filter(|series| is_owed(series.born, settled.map(Timestamp), Timestamp(tick)));
        owed.map(|series| series.zero.0).collect()
    };
    assert_eq!(births(None, 6 * MINUTE), [4 * MINUTE + 1]);
    assert_eq!(births(Some(4 * MINUTE), 6 * MINUTE), [4 * MINUTE + 1]);
    assert!(births(Some(5 * MINUTE), 6 * MINUTE).is_empty());
    // AMP takes nothing that is older than an hour.
    assert!(births(None, 66 * MINUTE).is_empty());
}

#[test]
fn a_series_that_is_born_again_has_its_zero_behind_its_marker() {
    let mut state = TypedState::default();
    fold(&mut state, &[count("a", 1, 1)], 0);
    assert_eq!(state.expire(Timestamp(15_000), 15_000), 1);
    let ends = |state: &TypedState, tick| state.unsettled_ends(None, Timestamp(tick)).count();
    assert_eq!((state.is_empty(), ends(&state, 15_000), state.has_family("a")), (true, 1, false));
    // Ticks of 15 s: the marker is settled, and still remembered.
    state.forget_ended(Some(Timestamp(15_000)), Timestamp(30_000));
    fold(&mut state, &[count("a", 7, 2)], 30_000);
    let series = state.series().next().unwrap();
    assert_eq!(
        (series.zero, series.born, exposed(&state, "a", 30_000)),
        (Timestamp(15_001), Timestamp(30_000), vec![" 7".to_owned()])
    );
    state.forget_ended(Some(Timestamp(15_000)), Timestamp(76_000));
    assert!(state.ended.is_empty());
}

#[test]
fn the_quantiles_of_a_summary_end_when_its_window_is_empty() {
    let mut state = TypedState::default();
    fold(&mut state, &[event("s", summary(&[3.0]), 1)], MINUTE);
    let series = state.series().next().unwrap();
    let ended = |tick| series.quantiles_ended(Timestamp(tick), SummaryWindow::default());
    assert_eq!((ended(9 * MINUTE), ended(10 * MINUTE)), (None, Some(Timestamp(10 * MINUTE))));
    assert_eq!(exposed(&state, "s", 9 * MINUTE), ["{0.5} 3.0", "_sum 3.0", "_count 1"]);
    assert_eq!(exposed(&state, "s", 10 * MINUTE), ["_sum 3.0", "_count 1"]);
}

#[test]
fn the_newest_help_of_a_family_wins_and_is_in_the_delta() {
    let mut state = TypedState::default();
    fold(&mut state, &[count("a", 1, 1), with_label(count("a", 1, 2), "l", "x"), count("b", 1, 3)], MINUTE);
    let base = state.base().unwrap();
    let mut state = read(&[&base]);
    fold(&mut state, &[count("a", 1, 4)], 2 * MINUTE);
    let state = read(&[&base, &state.delta().unwrap()]);
    let helps: Vec<_> = state.families().map(|(name, family)| (name, &*family.help)).collect();
    assert_eq!(helps, [("a", "help 4"), ("b", "help 3")]);
}

#[test]
fn a_delta_after_a_tick_without_changes_is_empty() {
    let mut state = TypedState::default();
    assert!(state.delta().unwrap().is_empty());
    fold(&mut state, &[count("a", 1, 1)], 0);
    let state = read(&[&state.base().unwrap()]);
    assert!(state.delta().unwrap().is_empty());
}

#[test]
fn a_state_of_megabytes_is_cut_into_parts_that_fit_into_items() {
    let mut state = TypedState::default();
    let of = |i: u64| with_label(count("a", 1, i), "label", &format!("{i}{}", "x".repeat(1_000)));
    fold_by(&mut state, &(0..1_000).map(of).collect::<Vec<_>>(), rules(0));
    let parts = state.base().unwrap();
    assert!(parts.len() >= 3 && parts.iter().all(|part| part.len() < 400_000));
    assert_eq!(shown(&read(&[&parts])), shown(&state));
}

fn any_event() -> impl Strategy<Value = Event> {
    let value = || -8..8_i32;
    let update = prop_oneof![
        4 => (0..9_i64).prop_map(|value| Update::Counter(Value::Integer(value))),
        1 => value().prop_map(|value| Update::Gauge(Value::Float(f64::from(value) / 2.0))),
        1 => value().prop_map(|value| classic(&[0.0, 4.0], &[f64::from(value)])),
        1 => value().prop_map(|value| summary(&[f64::from(value)])),
        1 => value().prop_map(|value| Update::Histogram { layout: Layout::Native, observations: observed(&[f64::from(value)]) }),
    ];
    ("[ab](_sum)?", "[xy]?", update, 0..5_i64, 0..40_u64).prop_map(|(name, label, update, time, id)| {
        let labels = vec![("l".to_owned(), label)];
        Event { name, labels, update, time, id }
    })
}

proptest! {
    /// The state is what its snapshots say: base and deltas after any ticks, with expiry, conflicts and dead letters.
    #[test]
    fn property_test_base_and_deltas_give_the_state_back(
        ticks in proptest::collection::vec((proptest::collection::vec(any_event(), 0..6), any::<bool>(), 0..3_u64), 1..8),
    ) {
        let mut whole = TypedState::default();
        let mut blobs: Vec<Vec<bytes::Bytes>> = Vec::new();
        for (i, (events, is_base, sent)) in ticks.into_iter().enumerate() {
            let tick = MINUTE * i64::try_from(i).unwrap();
            let bases: Vec<&[bytes::Bytes]> = blobs.iter().map(Vec::as_slice).collect();
            let mut loaded = read(&bases);
            prop_assert_eq!(shown(&loaded), shown(&whole));
            for state in [&mut whole, &mut loaded] {
                state.forget_owed_before(sent);
                fold_by(state, &events, FoldRules { max_series: 5, ..rules(tick) });
                state.expire(Timestamp(tick), 2 * MINUTE);
                state.forget_ended(Some(Timestamp(tick - MINUTE)), Timestamp(tick));
            }
            prop_assert_eq!(shown(&loaded), shown(&whole));
            if is_base {
                blobs = vec![loaded.base().unwrap()];
            } else {
                blobs.push(loaded.delta().unwrap());
            }
        }
    }

    /// Counters and classic histograms do not depend on the order, the cut or the repetition of events.
    #[test]
    fn property_test_any_order_and_repetition_gives_the_same_counts(
        values in proptest::collection::vec((0..4_usize, 0..9_i64), 1..30),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 1..60),
        cuts in proptest::collection::vec(1..9_usize, 1..20),
    ) {
        let events: Vec<Event> = values.iter().zip(0_u64..).map(|(&(series, value), id)| {
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let update = if series < 2 { Update::Counter(Value::Integer(value)) } else { classic(&[3.0], &[value as f64]) };
            event(["a", "b", "c", "d"][series], update, id)
        }).collect();
        let mut shuffled: Vec<Event> = order.iter().map(|index| index.get(&events).clone()).collect();
        shuffled.extend(events.iter().rev().cloned());
        let (mut state, mut expected) = (TypedState::default(), TypedState::default());
        fold(&mut expected, &events, MINUTE);
        // Several ticks, each with the identities of those before it.
        let mut counted: Vec<Identity> = Vec::new();
        let mut rest = shuffled.as_slice();
        for cut in cuts.into_iter().cycle() {
            let (now, later) = rest.split_at(cut.min(rest.len()));
            rest = later;
            let items = journal(now);
            let mut seen = Seen::default();
            for item in &items {
                seen.add(item).unwrap();
            }
            for identity in &counted {
                seen.remember(*identity);
            }
            let mut fold = Fold::new(&mut state, &mut seen, rules(MINUTE));
            for item in &items {
                fold.item(item).unwrap();
            }
            counted.extend(fold.finish().1);
            if rest.is_empty() {
                break;
            }
        }
        for name in ["a", "b", "c", "d"] {
            prop_assert_eq!(exposed(&state, name, MINUTE), exposed(&expected, name, MINUTE));
        }
        prop_assert_eq!(counted.len(), events.len());
    }

    #[test]
    fn property_test_any_part_is_read_or_an_error(body in proptest::collection::vec(any::<u8>(), 0..80)) {
        let blob = crate::blob::seal(1, &body).unwrap();
        let mut state = TypedState::default();
        let _any = state.read_part(&blob);
        state.finish_reading();
    }
}
