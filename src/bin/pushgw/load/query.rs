//! What a Prometheus holds of the load.

use super::http::Http;
use super::ledger::Ledger;
use amp_push_gateway::local::fleet::SEED_LABEL;
use amp_push_gateway::model::Timestamp;
use serde::Deserialize;
use std::collections::BTreeMap;
use url::Url;

/// Clocks differ, and times of events may be some milliseconds ahead.
const SLACK_SECONDS: i64 = 60;

/// Where to ask.
#[derive(Debug)]
pub(super) struct Query {
    http: Http,
    url: Url,
    seed: u64,
}

#[derive(Deserialize)]
struct Answer {
    data: Matrix,
}

#[derive(Deserialize)]
struct Matrix {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

// === impl Query ===

impl Query {
    /// The Prometheus whose API is under `base`.
    pub(super) fn new(http: Http, base: &Url, seed: u64) -> Self {
        let mut url = base.clone();
        url.set_path(&format!("{}/api/v1/query", base.path().trim_end_matches('/')));
        Self { http, url, seed }
    }

    /// Raw samples from `since` on, of all series of the load; none where there are none.
    pub(super) async fn samples(&self, since: Timestamp, now: Timestamp) -> Result<Found, String> {
        let end = now.0 / 1_000 + SLACK_SECONDS;
        let window = end - since.0 / 1_000 + SLACK_SECONDS;
        let mut url = self.url.clone();
        let selector = format!("{{{SEED_LABEL}=\"{}\"}}[{window}s]", self.seed);
        url.query_pairs_mut().append_pair("query", &selector).append_pair("time", &end.to_string());
        let answer = self.http.get(&url).await?;
        read(&answer.body).map_err(|error| format!("{}: its answer is no matrix: {error}", self.url))
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Found(Vec<FoundSeries>);

#[derive(Debug)]
struct FoundSeries {
    labels: BTreeMap<String, String>,
    values: Vec<(i64, f64)>,
}

// === impl Found ===

impl Found {
    pub(super) fn enter(&self, ledger: &mut Ledger, now: Timestamp) {
        for FoundSeries { labels, values } in &self.0 {
            let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
            ledger.find(labels, values.iter().copied(), now);
        }
    }
}

fn read(body: &[u8]) -> Result<Found, serde_json::Error> {
    let answer: Answer = serde_json::from_slice(body)?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds with three digits")]
    let value = |(time, text): (f64, String)| Some(((time * 1_000.0).round() as i64, text.parse().ok()?));
    let series =
        |one: Series| FoundSeries { labels: one.metric, values: one.values.into_iter().filter_map(value).collect() };
    Ok(Found(answer.data.result.into_iter().map(series).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_prometheus_is_read_to_the_millisecond() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"load_metric_0"},"values":[[1700000000.123,"14.3"],[1700000001,"7"]]}]}}"#;
        let found = read(body).unwrap();
        assert_eq!(found.0[0].values, [(1_700_000_000_123, 14.3), (1_700_000_001_000, 7.0)]);
        assert!(read(b"{\"status\":\"error\"}").is_err());
    }
}
