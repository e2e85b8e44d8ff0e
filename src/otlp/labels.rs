//! Makes labels of attributes.
//!
//! * If the keys of several attributes become the same name, they are one label. Its value has their values in the order of
//!   the keys, with `;` between them.
//! * `job` and `instance`, which are made of `service.*`, and the labels of the scope win over attributes with these names.
//!   A promoted attribute of the resource does not win.

use super::message::{Attribute, Resource, Scope};
use super::names::label_name;
use super::texts::{Appender, Texts};
use super::translate::{Promoted, Rules};
use crate::limits::{MAX_LABEL_VALUE_BYTES, MAX_LABELS};
use crate::model::{Label, LabelName, LabelSet, METRIC_NAME_LABEL, NameError, Reason, Rejection, excerpt};
use crate::order::sort_by;
use foldhash::fast::RandomState;
use std::borrow::Cow;
use std::collections::HashMap;

const SERVICE_NAMESPACE: &str = "service.namespace";
const SERVICE_NAME: &str = "service.name";
const SERVICE_INSTANCE: &str = "service.instance.id";
const IDENTIFYING: [&str; 3] = [SERVICE_NAMESPACE, SERVICE_NAME, SERVICE_INSTANCE];

/// Keys of attributes whose names are remembered.
const MAX_KNOWN: usize = 1_000;

/// The names of labels that a request has had so far.
#[derive(Debug)]
pub(super) struct LabelNames<'a> {
    texts: Appender<'a>,
    /// By the key of the attribute.
    known: HashMap<&'a str, LabelName<'a>, RandomState>,
}

impl<'a> LabelNames<'a> {
    pub(super) fn new(texts: &'a Texts) -> Self {
        Self { texts: texts.appender(), known: HashMap::default() }
    }

    /// Returns the name of a key.
    fn of(&mut self, key: &Cow<'a, str>) -> Result<LabelName<'a>, Rejection> {
        if let Some(name) = self.known.get(&**key) {
            return Ok(name.clone());
        }
        let name = self.new_name(key.clone(), key)?;
        if let Cow::Borrowed(key) = *key
            && self.known.len() < MAX_KNOWN
        {
            self.known.insert(key, name.clone());
        }
        Ok(name)
    }

    /// Returns the name of `key`, which an error shows as `shown`.
    fn new_name(&mut self, key: Cow<'a, str>, shown: &str) -> Result<LabelName<'a>, Rejection> {
        let rejected = |reason, problem: &dyn std::fmt::Display| {
            Rejection::new(reason, format!("the attribute {}: {problem}", excerpt(shown)))
        };
        let Some(name) = label_name(key) else {
            return Err(rejected(Reason::InvalidLabelName, &NameError::OnlyUnderscores));
        };
        LabelName::as_is(self.texts.kept(name)).map_err(|error| rejected(Reason::TooLarge, &error))
    }
}

/// The labels that the data points of one resource or scope share.
#[derive(Clone, Default, Debug)]
pub(super) struct Context<'a> {
    /// They win over attributes of the data point. An empty value removes the attribute.
    winning: Vec<Label<'a>>,
    promoted: Vec<Label<'a>>,
    /// The reason why no data point has labels, if there is one.
    problem: Option<Rejection>,
}

impl<'a> Context<'a> {
    pub(super) fn of_resource(names: &mut LabelNames<'a>, resource: &Resource<'a>, promoted: &[Promoted]) -> Self {
        let mut context = Self { winning: identity(resource), ..Self::default() };
        for label in &mut context.winning {
            label.value = names.texts.kept(std::mem::take(&mut label.value));
        }
        for (key, value) in &resource.attributes {
            if let Some(promoted) = promoted.iter().find(|promoted| promoted.key == *key) {
                set(&mut context.promoted, Label { name: promoted.name.clone(), value: value.clone() });
            }
        }
        context
    }

    /// Adds the labels of a scope, if it has a name.
    pub(super) fn with_scope(&self, names: &mut LabelNames<'a>, scope: &Scope<'a>) -> Self {
        let mut context = self.clone();
        if scope.name.is_empty() {
            return context;
        }
        let own = [
            ("otel_scope_name", &scope.name),
            ("otel_scope_version", &scope.version),
            ("otel_scope_schema_url", &scope.schema_url),
        ];
        if scope.attributes.len() > MAX_LABELS {
            let detail =
                format!("the scope has {} attributes, at most {MAX_LABELS} labels are allowed", scope.attributes.len());
            context.problem = Some(Rejection::new(Reason::TooManyLabels, detail));
            return context;
        }
        for (key, value) in &scope.attributes {
            match names.new_name(Cow::Owned(format!("otel_scope_{key}")), key) {
                Ok(name) => set(&mut context.winning, Label { name, value: value.clone() }),
                Err(rejection) => {
                    context.problem.get_or_insert(rejection);
                }
            }
        }
        for (name, value) in own {
            if let Ok(name) = LabelName::classic(name) {
                set(&mut context.winning, Label { name, value: value.clone() });
            }
        }
        context
    }

    /// Returns the labels of a data point, without external ones. `more` is the number of labels that its series get later.
    pub(super) fn labels(
        &self,
        names: &mut LabelNames<'a>,
        attributes: &mut Vec<Attribute<'a>>,
        rules: &Rules<'_>,
        more: usize,
    ) -> Result<LabelSet<'a>, Rejection> {
        if let Some(rejection) = &self.problem {
            return Err(rejection.clone());
        }
        let mut labels = joined(names, attributes)?;
        let find = |labels: &[Label<'a>], name: &LabelName<'a>| labels.binary_search_by(|label| label.name.cmp(name));
        for label in &self.winning {
            match find(&labels, &label.name) {
                Ok(index) => labels[index].value.clone_from(&label.value),
                Err(index) => labels.insert(index, label.clone()),
            }
        }
        for label in &self.promoted {
            if self.winning.iter().any(|winning| winning.name == label.name) {
                continue;
            }
            match find(&labels, &label.name) {
                Ok(index) if labels[index].value.is_empty() => labels[index].value.clone_from(&label.value),
                Ok(_) => {}
                Err(index) => labels.insert(index, label.clone()),
            }
        }
        checked(labels, rules, more)
    }
}

/// Returns the labels of `target_info`. Returns `None` if the resource has no attributes besides those of `job` and
/// `instance`, or none of these. A value that is longer than the receiver takes is left out.
pub(super) fn target_info<'a>(
    names: &mut LabelNames<'a>,
    resource: &Resource<'a>,
    rules: &Rules<'_>,
) -> Option<LabelSet<'a>> {
    let (identifying, mut others): (Vec<_>, Vec<_>) =
        resource.attributes.iter().cloned().partition(|(key, _)| IDENTIFYING.contains(&key.as_ref()));
    // Prometheus counts each identifying key once.
    let keys = IDENTIFYING.iter().filter(|name| identifying.iter().any(|(key, _)| key == *name)).count();
    if resource.attributes.len() == keys {
        return None;
    }
    others.retain(|(_, value)| value.len() <= MAX_LABEL_VALUE_BYTES);
    let context = Context { winning: identity(resource), ..Context::default() };
    let labels = context.labels(names, &mut others, rules, 0).ok()?;
    ["job", "instance"].iter().any(|name| labels.get(name).is_some()).then_some(labels)
}

/// Returns `job` and `instance`.
fn identity<'a>(resource: &Resource<'a>) -> Vec<Label<'a>> {
    let get = |name: &str| resource.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let job = get(SERVICE_NAME).map(|service| match get(SERVICE_NAMESPACE) {
        Some(namespace) => Cow::Owned(format!("{namespace}/{service}")),
        None => service.clone(),
    });
    let pairs = [("instance", get(SERVICE_INSTANCE).cloned()), ("job", job)];
    let label = |(name, value): (&'static str, Option<Cow<'a, str>>)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some(Label { name: LabelName::classic(name).ok()?, value })
    };
    pairs.into_iter().filter_map(label).collect()
}

/// Sets a label in a short list.
fn set<'a>(labels: &mut Vec<Label<'a>>, label: Label<'a>) {
    match labels.iter_mut().find(|other| other.name == label.name) {
        Some(other) => other.value = label.value,
        None => labels.push(label),
    }
}

/// Returns the labels of attributes in the order of their names, each name once.
fn joined<'a>(names: &mut LabelNames<'a>, attributes: &mut Vec<Attribute<'a>>) -> Result<Vec<Label<'a>>, Rejection> {
    attributes.retain(|(key, _)| key != METRIC_NAME_LABEL);
    sort_by(attributes, |(a, _), (b, _)| a.cmp(b));
    let mut labels = Vec::with_capacity(attributes.len() + 4);
    for (key, value) in attributes.drain(..) {
        let name = names.of(&key)?;
        if name.as_str() != METRIC_NAME_LABEL {
            labels.push(Label { name, value });
        }
    }
    if !labels.is_sorted_by(|a, b| a.name < b.name) {
        sort_by(&mut labels, |a, b| a.name.cmp(&b.name));
        labels.dedup_by(|later, earlier| {
            let is_same = later.name == earlier.name;
            if is_same && earlier.value.is_empty() {
                earlier.value = std::mem::take(&mut later.value);
            } else if is_same && earlier.value.len() <= MAX_LABEL_VALUE_BYTES {
                earlier.value = format!("{};{}", earlier.value, later.value).into();
            }
            is_same
        });
    }
    Ok(labels)
}

/// Returns the labels as a set, if the receiver takes them.
fn checked<'a>(labels: Vec<Label<'a>>, rules: &Rules<'_>, more: usize) -> Result<LabelSet<'a>, Rejection> {
    if let Some(Label { name, .. }) = labels.iter().find(|label| label.value.len() > MAX_LABEL_VALUE_BYTES) {
        let detail =
            format!("the label {} has a value of more than {MAX_LABEL_VALUE_BYTES} bytes", excerpt(name.as_str()));
        return Err(Rejection::new(Reason::TooLarge, detail));
    }
    // No name occurs twice.
    let labels = LabelSet::new(labels).unwrap_or_default();
    let external = rules.external.as_slice().iter().filter(|label| labels.get(label.name.as_str()).is_none()).count();
    let count = labels.as_slice().len() + external + more + 1;
    if count > MAX_LABELS {
        let detail = format!("{count} labels with __name__ and external labels, at most {MAX_LABELS} are allowed");
        return Err(Rejection::new(Reason::TooManyLabels, detail));
    }
    Ok(labels)
}
