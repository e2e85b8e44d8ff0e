//! Pushes with the crates prometheus and metrics-exporter-prometheus. ../README.md has the arguments.

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

const LATENCIES: [f64; 4] = [0.0625, 0.5, 0.5, 7.0];
const BUCKETS: [f64; 3] = [0.1, 1.0, 5.0];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut next = |what: &'static str| arguments.next().ok_or(what);
    let (library, verb, url) = (next("no library")?, next("no verb")?, next("no url")?);
    let (job, orders) = (next("no job")?, next("no orders")?.parse()?);
    let pairs: HashMap<String, String> = arguments
        .filter_map(|pair| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    let user = std::env::var("PUSH_USER").ok().zip(std::env::var("PUSH_PASSWORD").ok());
    match library.as_str() {
        "prometheus" => with_prometheus(&verb, &url, &job, orders, pairs, user),
        "metrics" => with_metrics(&verb, &url, &job, orders, &pairs, user),
        other => Err(format!("no such library: {other}").into()),
    }
}

fn with_prometheus(
    verb: &str,
    url: &str,
    job: &str,
    orders: f64,
    pairs: HashMap<String, String>,
    user: Option<(String, String)>,
) -> Result<(), Box<dyn Error>> {
    use prometheus::{BasicAuthentication, Counter, Gauge, Histogram, HistogramOpts, Opts, Registry};
    let registry = Registry::new();
    let taken = Counter::with_opts(Opts::new("client_orders_total", "Orders taken.").const_label("kind", "new"))?;
    let temperature = Gauge::new("client_temperature_celsius", "Where the clients are.")?;
    let latency = Histogram::with_opts(
        HistogramOpts::new("client_latency_seconds", "Time to an answer.").buckets(BUCKETS.to_vec()),
    )?;
    registry.register(Box::new(taken.clone()))?;
    registry.register(Box::new(temperature.clone()))?;
    registry.register(Box::new(latency.clone()))?;
    taken.inc_by(orders);
    temperature.set(-12.5);
    LATENCIES.iter().for_each(|&seconds| latency.observe(seconds));
    let auth = user.map(|(username, password)| BasicAuthentication { username, password });
    match verb {
        "push" => prometheus::push_metrics(job, pairs, url, registry.gather(), auth)?,
        "pushadd" => prometheus::push_add_metrics(job, pairs, url, registry.gather(), auth)?,
        other => return Err(format!("the library has no such verb: {other}").into()),
    }
    Ok(())
}

/// The library takes the whole URL, and pushes in intervals. It logs errors and goes on.
fn with_metrics(
    verb: &str,
    url: &str,
    job: &str,
    orders: f64,
    pairs: &HashMap<String, String>,
    user: Option<(String, String)>,
) -> Result<(), Box<dyn Error>> {
    use metrics_exporter_prometheus::PrometheusBuilder;
    rustls::crypto::ring::default_provider().install_default().map_err(|_| "a TLS provider is installed twice")?;
    let mut endpoint = format!("{url}/metrics/job/{job}");
    for (name, value) in pairs {
        endpoint.push_str(&format!("/{name}/{value}"));
    }
    let (user, password) = user.unzip();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let interval = Duration::from_secs(2);
    let (recorder, exporter) = runtime.block_on(async {
        PrometheusBuilder::new()
            .set_buckets_for_metric(
                metrics_exporter_prometheus::Matcher::Suffix("latency_seconds".to_owned()),
                &BUCKETS,
            )?
            .with_push_gateway(endpoint, interval, user, password, verb == "pushadd")?
            .build()
    })?;
    metrics::with_local_recorder(&recorder, || {
        metrics::counter!("client_orders_total", "kind" => "new").increment(orders as u64);
        metrics::gauge!("client_temperature_celsius").set(-12.5);
        LATENCIES.iter().for_each(|&seconds| metrics::histogram!("client_latency_seconds").record(seconds));
    });
    // The library pushes after one interval, and again after two.
    runtime.block_on(async { _ = tokio::time::timeout(interval * 19 / 10, exporter).await });
    Ok(())
}
