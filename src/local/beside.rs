//! The workspace and the dead letters of this process, for the page.

use super::dead_letters::InMemoryDeadLetters;
use super::workspace::Workspace;
use crate::http::{
    Beside, MAX_CHART_SAMPLES, MAX_CHARTS, MAX_LETTERS, ShownLetter, ShownLetters, ShownSeries, ShownWorkspace,
};
use crate::model::{METRIC_NAME_LABEL, Timestamp};
use std::sync::Arc;

/// The workspace and the dead letters of this process, if it has them.
#[derive(Debug)]
pub struct LocalBeside {
    pub workspace: Option<Arc<Workspace>>,
    pub dead_letters: Option<InMemoryDeadLetters>,
}

impl Beside for LocalBeside {
    fn workspace(&self) -> Option<ShownWorkspace> {
        let workspace = self.workspace.as_ref()?;
        let (series, all_series, all_samples) = workspace.newest(MAX_CHARTS, MAX_CHART_SAMPLES);
        let series = series.into_iter().map(|(stored, all_samples)| {
            let (names, labels): (Vec<_>, Vec<_>) =
                stored.labels.into_iter().partition(|(name, _)| name == METRIC_NAME_LABEL);
            let name = names.into_iter().next().map_or(String::new(), |(_, name)| name);
            let samples =
                stored.samples.into_iter().map(|sample| (Timestamp(sample.timestamp), sample.value)).collect();
            ShownSeries { name, labels, samples, all_samples }
        });
        Some(ShownWorkspace { series: series.collect(), all_series, all_samples })
    }

    fn dead_letters(&self) -> Option<ShownLetters> {
        let (letters, all) = self.dead_letters.as_ref()?.newest(MAX_LETTERS);
        let letters = letters.into_iter().map(|letter| ShownLetter {
            reason: letter.reason.to_string(),
            detail: letter.detail,
            body: letter.body,
        });
        Some(ShownLetters { letters: letters.collect(), all })
    }
}
