//! A sink that checks the translation of OTLP.

use amp_push_gateway::limits::{MAX_LABEL_VALUE_BYTES, MAX_LABELS, MAX_NAME_BYTES};
use amp_push_gateway::model::{
    BOUND_LABEL, ClassicCounts, Counts, Label, LabelName, LabelSet, METRIC_NAME_LABEL, MetricName, NativeCounts,
    NativeHistogram, Rejection, Span, Timestamp, Update, Value,
};
use amp_push_gateway::otlp::{Family, Increment, Item, Sink};

/// Checks what it is given.
#[derive(Default, Debug)]
pub struct Checks {
    /// An item has begun, and a sample or a rejection must follow.
    is_open: bool,
    has_family: bool,
    labels: LabelSet<'static>,
}

impl Checks {
    fn sample(&mut self, name: &MetricName<'_>, bound: Option<&str>) {
        assert!(self.has_family, "a sample without a family");
        let mut labels = self.labels.clone();
        if let Some(bound) = bound {
            assert!(labels.get(BOUND_LABEL).is_none(), "le twice");
            labels = labels.with(Label { name: LabelName::BOUND, value: bound.to_owned().into() });
        }
        self.series(name, &labels);
    }

    fn series(&mut self, name: &MetricName<'_>, labels: &LabelSet<'_>) {
        self.is_open = false;
        assert!(name.as_str().len() <= MAX_NAME_BYTES && MetricName::classic(name.as_str()).is_ok());
        let labels = labels.as_slice();
        assert!(labels.len() < MAX_LABELS, "{} labels", labels.len());
        assert!(labels.is_sorted_by(|a, b| a.name < b.name), "labels in another order");
        for label in labels {
            assert!(LabelName::classic(label.name.as_str()).is_ok() && label.name.as_str() != METRIC_NAME_LABEL);
            assert!((1..=MAX_LABEL_VALUE_BYTES).contains(&label.value.len()), "{:?}", label.value);
        }
    }
}

impl<'a> Sink<'a> for Checks {
    fn begin(&mut self, _: Item) -> bool {
        assert!(!self.is_open, "an item without a sample and without a rejection");
        self.is_open = true;
        true
    }

    fn family(&mut self, family: &Family<'a>) {
        assert!(MetricName::classic(family.name.as_str()).is_ok());
        self.has_family = true;
    }

    fn labels(&mut self, labels: LabelSet<'a>) {
        self.labels = labels.into_owned();
    }

    fn number(&mut self, name: &MetricName<'a>, bound: Option<&str>, time: Timestamp, _: Value) {
        assert!(time.0 >= 0);
        self.sample(name, bound);
    }

    fn histogram(&mut self, name: &MetricName<'a>, _: Timestamp, value: NativeHistogram) {
        self.sample(name, None);
        let Counts::Integer { negative_deltas, positive_deltas, .. } = &value.counts else { panic!("floats") };
        assert!((-4..=8).contains(&value.schema));
        for (spans, deltas) in [(&value.negative_spans, negative_deltas), (&value.positive_spans, positive_deltas)] {
            let of_spans: u64 = spans.iter().map(|Span { length, .. }| u64::from(*length)).sum();
            assert_eq!(of_spans, deltas.len() as u64);
        }
    }

    fn increment(&mut self, increment: Increment<'_, 'a>) -> Result<(), Rejection> {
        self.series(increment.name, &increment.labels);
        match &increment.update {
            Update::Counter(value) => assert!(f64::from_bits(value.wire_bits()) >= 0.0),
            Update::GaugeIncrement(value) => assert!(f64::from_bits(value.wire_bits()).is_finite()),
            Update::ClassicCounts(ClassicCounts { bounds, counts, sum }) => {
                assert!(bounds.is_sorted_by(|a, b| a < b) && bounds.iter().all(|bound| bound.is_finite()));
                assert!(counts.len() == bounds.len() + 1 && sum.is_none_or(f64::is_finite));
                assert!(counts.iter().try_fold(0, |sum: i64, count| sum.checked_add_unsigned(*count)).is_some());
            }
            Update::NativeCounts(NativeCounts { schema, positive, negative, sum, .. }) => {
                assert!((-4..=8).contains(schema) && sum.is_finite());
                for buckets in [positive, negative] {
                    assert!(
                        buckets.is_sorted_by(|(a, _), (b, _)| a < b) && buckets.iter().all(|(_, count)| *count > 0)
                    );
                }
            }
            other => panic!("{other:?}"),
        }
        Ok(())
    }

    fn reject(&mut self, rejection: Rejection) {
        assert!(self.is_open, "a rejection of no item");
        self.is_open = false;
        assert!(rejection.detail.starts_with("metric \"") && rejection.detail.len() <= 2_000, "{rejection}");
    }
}
