//! Type conflicts: a new series must not expose a series that another family of the state already exposes.
//!
//! | a family | exposes |
//! |---|---|
//! | counter, gauge, native histogram `x` | `x` |
//! | classic histogram `x` | `x_bucket` with `le`, `x_sum`, `x_count` |
//! | summary `x` | `x` with `quantile`, `x_sum`, `x_count` |
//!
//! Two families can conflict if one has a name such as `x_count`, or a label such as `le`. Two series with the same name
//! and labels are the same series, and not checked here.

use super::held::Series;
use super::state::TypedState;
use super::{Aggregate, Bound, Exposed, SeriesKey};

/// Suffixes of the series of a histogram or a summary.
const SUFFIXES: [&str; 3] = ["_sum", "_count", "_bucket"];

type Pair<'p> = (&'p str, &'p str);

/// Reports whether a series with this key and this empty state must not begin.
pub(super) fn is_exposed_by_another(state: &TypedState, key: SeriesKey<'_>, empty: &Aggregate) -> bool {
    if !may_meet(state, key, empty) {
        return false;
    }
    let name = key.name();
    let mut found = false;
    each_exposed(empty, &mut |suffix, bound| {
        found = found || is_exposed(state, key, &format!("{name}{suffix}"), bound);
    });
    found
}

/// Reports whether a conflict is possible by names and labels. For nearly all series it is not.
fn may_meet(state: &TypedState, key: SeriesKey<'_>, empty: &Aggregate) -> bool {
    let name = key.name();
    let is_summary = matches!(empty, Aggregate::Summary(_));
    let suffixes: &[&str] = match empty {
        Aggregate::Counter(_) | Aggregate::Gauge(_) | Aggregate::GaugeSum(_) | Aggregate::Native(_) => &[""],
        Aggregate::Histogram(_) => &["_bucket", "_sum", "_count"],
        Aggregate::Summary(_) => &["", "_sum", "_count"],
    };
    let stem_is_held = |name: &str| {
        let stems = SUFFIXES.iter().filter_map(|suffix| name.strip_suffix(suffix));
        stems.into_iter().any(|stem| stem != key.name() && state.has_family(stem))
    };
    let has_quantile = || is_summary || key.labels().any(|(name, _)| name == "quantile");
    suffixes.iter().any(|suffix| {
        let exposed = format!("{name}{suffix}");
        (state.has_family(&exposed) && (!suffix.is_empty() || has_quantile())) || stem_is_held(&exposed)
    })
}

impl TypedState {
    /// Reports whether a held series exposes the series with this name and these labels.
    pub fn exposes(&self, series: SeriesKey<'_>) -> bool {
        !self.is_empty() && is_exposed_beside(self, series, series.name(), None, "")
    }
}

/// Gives `out` what a series exposes at some time: suffixes, and the bounds or quantiles.
fn each_exposed(aggregate: &Aggregate, out: &mut dyn FnMut(&'static str, Option<Bound>)) {
    match aggregate {
        Aggregate::Counter(_) | Aggregate::Gauge(_) | Aggregate::GaugeSum(_) | Aggregate::Native(_) => out("", None),
        Aggregate::Histogram(_) => aggregate.expose_zero(&mut |exposed: Exposed| out(exposed.suffix, exposed.bound)),
        Aggregate::Summary(summary) => {
            for &value in summary.quantiles() {
                out("", Some(Bound { name: "quantile", value }));
            }
            out("_sum", None);
            out("_count", None);
        }
    }
}

/// Reports whether the state exposes the series `name` with the labels of `key` and the label of `bound`.
fn is_exposed(state: &TypedState, key: SeriesKey<'_>, name: &str, bound: Option<Bound>) -> bool {
    is_exposed_beside(state, key, name, bound, key.name())
}

/// Does not look at histograms and summaries of the family `own`.
fn is_exposed_beside(
    state: &TypedState,
    key: SeriesKey<'_>,
    name: &str,
    bound: Option<Bound>,
    own_family: &str,
) -> bool {
    let text = || bound.map(|bound| (bound.name, bound.to_string()));
    // As it is.
    if state.has_family(name) {
        let text = text();
        let own = with(key, text.as_ref().map(|(name, value)| (*name, value.as_str())));
        let is_scalar = |series: &Series| {
            matches!(
                series.aggregate,
                Aggregate::Counter(_) | Aggregate::Gauge(_) | Aggregate::GaugeSum(_) | Aggregate::Native(_)
            )
        };
        // A quantile of a summary.
        if find(state, name, &own).is_some_and(is_scalar) || by_label(state, name, &own, "quantile", "") {
            return true;
        }
    }
    for suffix in SUFFIXES {
        let Some(stem) = name.strip_suffix(suffix).filter(|stem| *stem != own_family && state.has_family(stem)) else {
            continue;
        };
        let text = text();
        let own = with(key, text.as_ref().map(|(name, value)| (*name, value.as_str())));
        let found = if suffix == "_bucket" {
            by_label(state, stem, &own, "le", suffix)
        } else {
            let is_it = |series: &Series| exposes(series, suffix, None);
            find(state, stem, &own).is_some_and(is_it)
        };
        if found {
            return true;
        }
    }
    false
}

/// Reports whether the series without the label `label` exposes one with it.
fn by_label(state: &TypedState, name: &str, own: &[Pair<'_>], label: &str, suffix: &'static str) -> bool {
    let Some(&(_, value)) = own.iter().find(|(name, _)| *name == label) else { return false };
    let others: Vec<Pair<'_>> = own.iter().copied().filter(|(name, _)| *name != label).collect();
    find(state, name, &others).is_some_and(|series| exposes(series, suffix, Some((label, value))))
}

fn exposes(series: &Series, suffix: &str, bound: Option<Pair<'_>>) -> bool {
    let mut found = false;
    each_exposed(&series.aggregate, &mut |own_suffix, own| {
        found = found
            || own_suffix == suffix
                && match (own, bound) {
                    (None, None) => true,
                    (Some(own), Some((name, value))) => own.name == name && own.to_string() == value,
                    _ => false,
                };
    });
    found
}

/// Returns the labels of a key and one more, in their order.
fn with<'p>(key: SeriesKey<'p>, more: Option<Pair<'p>>) -> Vec<Pair<'p>> {
    let mut labels: Vec<Pair<'p>> = key.labels().chain(more).collect();
    labels.sort_unstable();
    labels
}

fn find<'s>(state: &'s TypedState, name: &str, labels: &[Pair<'_>]) -> Option<&'s Series> {
    let mut bytes = Vec::new();
    SeriesKey::write_parts(name, labels.iter().copied(), &mut bytes);
    state.get(SeriesKey::of_checked(&bytes))
}
