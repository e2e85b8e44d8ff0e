//! Queries the samples of a load from a Prometheus.

use super::stream::SEED_LABEL;
use crate::exit::CommandError;
use crate::view::beginning;
use amp_push_gateway::aws::{BodyPolicy, HttpTransport, Transport as _};
use amp_push_gateway::model::Timestamp;
use bytes::Bytes;
use http::Request;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;
use url::Url;

/// Clocks differ, and times of events may be some milliseconds ahead.
const SLACK_SECONDS: i64 = 60;
/// For one answer, and its size.
const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_BYTES: usize = 256 << 20;

pub(super) struct Query {
    http: HttpTransport,
    url: Url,
    seed: u64,
}

/// The labels of a series and its samples: times in milliseconds, and values.
type Found = (BTreeMap<String, String>, Vec<(i64, f64)>);

#[derive(Deserialize)]
struct Matrix {
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    result: Vec<Series>,
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    values: Vec<(f64, String)>,
}

impl Query {
    /// Asks the Prometheus whose API is under `base`.
    pub(super) fn new(base: &Url, seed: u64) -> Result<Self, CommandError> {
        let http = HttpTransport::new().map_err(CommandError::failed)?;
        let mut url = base.clone();
        url.set_path(&format!("{}/api/v1/query", base.path().trim_end_matches('/')));
        Ok(Self { http, url, seed })
    }

    /// Returns the raw samples from `since` on of all series of the load.
    pub(super) async fn samples(&self, since: Timestamp, now: Timestamp) -> Result<Vec<Found>, CommandError> {
        let end = now.0 / 1_000 + SLACK_SECONDS;
        let window = end - since.0 / 1_000 + SLACK_SECONDS;
        let mut url = self.url.clone();
        let selector = format!("{{{SEED_LABEL}=\"{}\"}}[{window}s]", self.seed);
        url.query_pairs_mut().append_pair("query", &selector).append_pair("time", &end.to_string());
        let failed = |cause: &dyn fmt::Display| CommandError::failed(format!("{}: {cause}", self.url));
        let request = Request::get(url.as_str()).body(Bytes::new()).map_err(|error| failed(&error))?;
        let whole = |_| BodyPolicy::Required { max_bytes: MAX_BYTES };
        let answer = self.http.send(request, whole, TIMEOUT).await.map_err(|error| failed(&error))?;
        if !(200..300).contains(&answer.status) {
            let text = beginning(&String::from_utf8_lossy(&answer.body));
            return Err(failed(&format_args!("status {}: {text}", answer.status)));
        }
        parse(&answer.body).map_err(|error| failed(&format_args!("its answer is not a matrix: {error}")))
    }
}

fn parse(body: &[u8]) -> Result<Vec<Found>, serde_json::Error> {
    let answer: Matrix = serde_json::from_slice(body)?;
    #[expect(clippy::cast_possible_truncation, reason = "seconds with three digits")]
    let sample = |(time, value): (f64, String)| Some(((time * 1_000.0).round() as i64, value.parse().ok()?));
    let found = |series: Series| (series.metric, series.values.into_iter().filter_map(sample).collect());
    Ok(answer.data.result.into_iter().map(found).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_an_answer_of_prometheus_to_the_millisecond() {
        let body = br#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{"__name__":"load_metric_0"},"values":[[1700000000.123,"14.3"],[1700000001,"7"]]}]}}"#;
        let (labels, values) = parse(body).unwrap().remove(0);
        assert_eq!(labels["__name__"], "load_metric_0");
        assert_eq!(values, [(1_700_000_000_123, 14.3), (1_700_000_001_000, 7.0)]);
        assert!(parse(b"{\"status\":\"error\"}").is_err());
    }
}
