//! The settings of the Lambda extension. They are environment variables of the function that has the extension.

use super::{ENV_AWS_DEFAULT_REGION, ENV_AWS_REGION, Env, Problem, Reader, SettingsErrors, Vars, parse};
use crate::aws::secrets::SecretArn;
use crate::limits::MAX_TYPED_BUCKETS;
use crate::model::{Label, LabelName, LabelSet, Layout};
use crate::telemetry::PlatformRules;
use std::borrow::Cow;
use std::time::Duration;
use tracing_subscriber::filter::Targets;
use url::Url;

/// The queue of the gateway. It, or [`ENV_GATEWAY`], is required.
pub const ENV_PUSH_QUEUE_URL: &str = "PUSH_QUEUE_URL";
/// The URL of a Pushgateway, or of the gateway's HTTP door.
pub const ENV_GATEWAY: &str = "GATEWAY";
/// The ARN of a secret with the keys `username` and `password` for [`ENV_GATEWAY`]. Default: none.
pub const ENV_AUTH_SECRET: &str = "AUTH_SECRET";
/// A dispatch begins when so many records wait. Default: `100`.
pub const ENV_DISPATCH_MIN_BATCH_SIZE: &str = "DISPATCH_MIN_BATCH_SIZE";
/// A dispatch begins when a record waits for so long, from `1s` to `1h`. Default: `10s`.
pub const ENV_DISPATCH_MAX_AGE: &str = "DISPATCH_MAX_AGE";
/// The longest wait for a dispatch after the function has answered, from `10ms` to `10s`. Default: `1s`.
pub const ENV_DISPATCH_TIMEOUT: &str = "DISPATCH_TIMEOUT";
/// `on` or `off` (default): the label `function_version`.
pub const ENV_VERSION_LABEL: &str = "VERSION_LABEL";
/// `0.01,0.1,1`: the upper bounds of all histograms. Default: none, and histograms are native.
pub const ENV_HISTOGRAM_BUCKETS: &str = "HISTOGRAM_BUCKETS";
/// `on` or `off` (default): lines of the function's log are counted.
pub const ENV_LOGS: &str = "LOGS";
/// `on` (default, which is port 8125), `off`, or the port on which `StatsD` lines are taken.
pub const ENV_STATSD: &str = "STATSD";
/// `on` (default, which is port 9091), `off`, or the port on which typed metrics are taken.
pub const ENV_EVENTS: &str = "EVENTS";
/// The log filter, as `RUST_LOG` of the gateway. Default: `info`. `RUST_LOG` is for the function.
pub const ENV_EXTENSION_LOG: &str = "EXTENSION_LOG";

const ENV_FUNCTION_NAME: &str = "AWS_LAMBDA_FUNCTION_NAME";
const ENV_FUNCTION_VERSION: &str = "AWS_LAMBDA_FUNCTION_VERSION";
const ENV_INITIALIZATION_TYPE: &str = "AWS_LAMBDA_INITIALIZATION_TYPE";
const ENV_RUNTIME_API: &str = "AWS_LAMBDA_RUNTIME_API";

const DEFAULT_MIN_BATCH_SIZE: u32 = 100;
const MAX_MIN_BATCH_SIZE: u32 = 1_000_000;
const STATSD_PORT: u16 = 8125;
const EVENTS_PORT: u16 = 9091;

/// The surroundings that Lambda gives to an extension. No setting of a user is among them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LambdaEnvironment {
    /// Host and port of the Runtime API.
    pub runtime_api: String,
    pub function_name: String,
    pub function_version: String,
    /// A Managed Instance gives no INVOKE events.
    pub is_managed_instance: bool,
    /// The environment is restored from a snapshot, once or many times.
    pub is_snap_start: bool,
}

#[derive(Clone, Debug)]
pub struct ExtensionSettings {
    pub destination: Destination,
    pub dispatch: DispatchSettings,
    pub platform: PlatformRules,
    /// `None`: nobody listens.
    pub statsd_port: Option<u16>,
    pub events_port: Option<u16>,
    pub log_filter: Targets,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Destination {
    Queue(Url),
    Gateway { url: Url, secret: Option<SecretArn> },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DispatchSettings {
    pub min_batch_size: u32,
    pub max_age: Duration,
    pub timeout: Duration,
}

impl LambdaEnvironment {
    /// Returns `None` if the program was not started by Lambda.
    pub fn from_vars(vars: &impl Vars) -> Option<Self> {
        let kind = vars.get(ENV_INITIALIZATION_TYPE).unwrap_or_default();
        Some(Self {
            runtime_api: vars.get(ENV_RUNTIME_API)?,
            function_name: vars.get(ENV_FUNCTION_NAME).unwrap_or_else(|| "unknown".to_owned()),
            function_version: vars.get(ENV_FUNCTION_VERSION).unwrap_or_else(|| "$LATEST".to_owned()),
            is_managed_instance: kind == "lambda-managed-instances",
            is_snap_start: kind == "snap-start",
        })
    }

    pub fn from_env() -> Option<Self> {
        Self::from_vars(&Env)
    }
}

impl ExtensionSettings {
    pub fn from_env(lambda: &LambdaEnvironment) -> Result<Self, SettingsErrors> {
        Self::from_vars(&Env, lambda)
    }

    pub fn from_vars(vars: &impl Vars, lambda: &LambdaEnvironment) -> Result<Self, SettingsErrors> {
        let mut reader = Reader::new(vars);
        let destination = reader.destination();
        let dispatch = DispatchSettings {
            min_batch_size: reader.read(ENV_DISPATCH_MIN_BATCH_SIZE, batch_size).unwrap_or(DEFAULT_MIN_BATCH_SIZE),
            max_age: reader.read(ENV_DISPATCH_MAX_AGE, max_age).unwrap_or(Duration::from_secs(10)),
            timeout: reader.read(ENV_DISPATCH_TIMEOUT, timeout).unwrap_or(Duration::from_secs(1)),
        };
        let has_version = reader.read(ENV_VERSION_LABEL, parse::switch).unwrap_or_default();
        let platform = PlatformRules {
            labels: labels(lambda, has_version),
            layout: reader.read(ENV_HISTOGRAM_BUCKETS, buckets).map_or(Layout::Native, Layout::Classic),
            logs: reader.read(ENV_LOGS, parse::switch).unwrap_or_default(),
        };
        let statsd_port = reader.read(ENV_STATSD, |text| port(text, STATSD_PORT)).unwrap_or(Some(STATSD_PORT));
        let events_port = reader.read(ENV_EVENTS, |text| port(text, EVENTS_PORT)).unwrap_or(Some(EVENTS_PORT));
        let log_filter = reader.read(ENV_EXTENSION_LOG, parse::log_filter).unwrap_or_else(parse::default_log_filter);
        match destination {
            Some(destination) => {
                reader.finish(Self { destination, dispatch, platform, statsd_port, events_port, log_filter })
            }
            None => Err(SettingsErrors(reader.errors)),
        }
    }
}

impl<V: Vars> Reader<'_, V> {
    fn destination(&mut self) -> Option<Destination> {
        let queue = self.read(ENV_PUSH_QUEUE_URL, parse::queue_url);
        let gateway = self.read(ENV_GATEWAY, gateway_url);
        let secret = self.read(ENV_AUTH_SECRET, secret_arn);
        match (self.vars.get(ENV_PUSH_QUEUE_URL), self.vars.get(ENV_GATEWAY)) {
            (None, None) => self.error(ENV_PUSH_QUEUE_URL, None, Problem::NoDestination),
            (Some(_), Some(value)) => self.error(ENV_GATEWAY, Some(value), Problem::TwoDestinations),
            (Some(_), None) => self.check_region(queue.as_ref()),
            (None, Some(_)) => {}
        }
        let gateway = gateway.map(|url| Destination::Gateway { url, secret });
        queue.map(Destination::Queue).or(gateway)
    }

    /// Reports an error if neither the URL of the queue nor a variable names the region to sign for.
    fn check_region(&mut self, queue: Option<&Url>) {
        let Some(host) = queue.and_then(Url::host_str) else { return };
        let names = [ENV_AWS_REGION, ENV_AWS_DEFAULT_REGION];
        if crate::aws::sqs::region_of(host).is_none() && names.iter().all(|name| self.vars.get(name).is_none()) {
            self.error(ENV_AWS_REGION, None, Problem::NoQueueRegion);
        }
    }
}

/// Takes an address without a scheme, too, as Prometheus' client library for Python does.
fn gateway_url(text: &str) -> Result<Url, Problem> {
    let text = text.trim();
    let url = if text.contains("://") { parse::http_url(text) } else { parse::http_url(&format!("http://{text}")) }?;
    if url.query().is_some() || url.fragment().is_some() { Err(Problem::NotAnHttpUrl(None)) } else { Ok(url) }
}

fn secret_arn(text: &str) -> Result<SecretArn, Problem> {
    SecretArn::parse(text.trim()).ok_or(Problem::NotASecret)
}

fn batch_size(text: &str) -> Result<u32, Problem> {
    let is_allowed = |size: &u32| (1..=MAX_MIN_BATCH_SIZE).contains(size);
    text.parse().ok().filter(is_allowed).ok_or(Problem::NotANumberUpTo(MAX_MIN_BATCH_SIZE))
}

fn max_age(text: &str) -> Result<Duration, Problem> {
    match parse::milliseconds(text)? {
        milliseconds @ 1_000..=3_600_000 => Ok(Duration::from_millis(milliseconds.unsigned_abs())),
        _ => Err(Problem::NotATimeWithin("1s", "1h")),
    }
}

fn timeout(text: &str) -> Result<Duration, Problem> {
    match parse::milliseconds(text)? {
        milliseconds @ 10..=10_000 => Ok(Duration::from_millis(milliseconds.unsigned_abs())),
        _ => Err(Problem::NotATimeWithin("10ms", "10s")),
    }
}

fn port(text: &str, default: u16) -> Result<Option<u16>, Problem> {
    match text {
        "on" => Ok(Some(default)),
        "off" => Ok(None),
        _ => text.parse().ok().filter(|port| *port > 0).map(Some).ok_or(Problem::NotAPort),
    }
}

/// Parses finite bounds that ascend. A last `+Inf` is implied.
fn buckets(text: &str) -> Result<Vec<f64>, Problem> {
    let bounds: Option<Vec<f64>> = text.split(',').map(|bound| bound.trim().parse().ok()).collect();
    let mut bounds = bounds.ok_or(Problem::NotBuckets)?;
    bounds.pop_if(|last| *last == f64::INFINITY);
    let ascends = bounds.windows(2).all(|pair| pair[0] < pair[1]) && bounds.iter().all(|bound| bound.is_finite());
    if ascends && (1..=MAX_TYPED_BUCKETS).contains(&bounds.len()) { Ok(bounds) } else { Err(Problem::NotBuckets) }
}

fn labels(lambda: &LambdaEnvironment, has_version: bool) -> LabelSet<'static> {
    let label = |name: &'static str, value: &str| {
        Some(Label { name: LabelName::classic(name).ok()?, value: Cow::Owned(value.to_owned()) })
    };
    let name = label("function_name", &lambda.function_name);
    let version = label("function_version", &lambda.function_version).filter(|_| has_version);
    LabelSet::new(name.into_iter().chain(version).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn lambda() -> LambdaEnvironment {
        let vars = [("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"), ("AWS_LAMBDA_FUNCTION_NAME", "checkout")];
        LambdaEnvironment::from_vars(&vars_of(&vars)).unwrap()
    }

    fn vars_of(vars: &[(&str, &str)]) -> BTreeMap<String, String> {
        vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn read(vars: &[(&str, &str)]) -> Result<ExtensionSettings, String> {
        ExtensionSettings::from_vars(&vars_of(vars), &lambda()).map_err(|errors| errors.to_string())
    }

    const QUEUE: (&str, &str) = (ENV_PUSH_QUEUE_URL, "https://sqs.eu-west-1.amazonaws.com/123456789012/metrics");

    #[test]
    fn needs_only_a_destination() {
        let settings = read(&[QUEUE]).unwrap();
        assert_eq!(settings.destination, Destination::Queue(Url::parse(QUEUE.1).unwrap()));
        let (max_age, timeout) = (Duration::from_secs(10), Duration::from_secs(1));
        assert_eq!(settings.dispatch, DispatchSettings { min_batch_size: 100, max_age, timeout });
        assert_eq!((settings.statsd_port, settings.events_port), (Some(8125), Some(9091)));
        assert_eq!(settings.platform.labels.get("function_name"), Some("checkout"));
        assert_eq!(settings.platform.labels.as_slice().len(), 1);
        assert_eq!(settings.platform.layout, Layout::Native);
    }

    #[test]
    fn takes_the_settings_of_the_python_sample() {
        let arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:push";
        for gateway in ["10.0.0.7:9091", "http://10.0.0.7:9091"] {
            let settings =
                read(&[("DISPATCH_MIN_BATCH_SIZE", "5"), ("GATEWAY", gateway), ("AUTH_SECRET", arn)]).unwrap();
            let secret = SecretArn::parse(arn);
            let url = Url::parse("http://10.0.0.7:9091").unwrap();
            assert_eq!(settings.destination, Destination::Gateway { url, secret });
            assert_eq!(settings.dispatch.min_batch_size, 5);
        }
    }

    #[test]
    fn reads_every_other_setting() {
        let more = [
            (ENV_DISPATCH_MAX_AGE, "1m"),
            (ENV_DISPATCH_TIMEOUT, "250ms"),
            (ENV_VERSION_LABEL, "on"),
            (ENV_HISTOGRAM_BUCKETS, "0.1, 1,+Inf"),
            (ENV_LOGS, "on"),
            (ENV_STATSD, "off"),
            (ENV_EVENTS, "9999"),
        ];
        let settings = read(&[&[QUEUE][..], &more].concat()).unwrap();
        assert_eq!(settings.dispatch.max_age, Duration::from_mins(1));
        assert_eq!(settings.dispatch.timeout, Duration::from_millis(250));
        assert_eq!(settings.platform.labels.get("function_version"), Some("$LATEST"));
        assert_eq!(settings.platform.layout, Layout::Classic(vec![0.1, 1.0]));
        assert!(settings.platform.logs);
        assert_eq!((settings.statsd_port, settings.events_port), (None, Some(9999)));
    }

    #[test]
    fn names_every_wrong_setting_at_once() {
        let wrong = [
            (ENV_GATEWAY, "ftp://x"),
            (ENV_AUTH_SECRET, "password"),
            (ENV_DISPATCH_MIN_BATCH_SIZE, "0"),
            (ENV_DISPATCH_MAX_AGE, "1"),
            (ENV_DISPATCH_TIMEOUT, "1h"),
            (ENV_VERSION_LABEL, "yes"),
            (ENV_HISTOGRAM_BUCKETS, "1,1"),
            (ENV_LOGS, "1"),
            (ENV_STATSD, "0"),
            (ENV_EVENTS, "65536"),
            (ENV_EXTENSION_LOG, "loud"),
        ];
        let errors = read(&wrong).unwrap_err();
        let lines: Vec<_> = errors.lines().collect();
        assert_eq!(lines.len(), wrong.len(), "{errors}");
        for ((name, value), line) in wrong.iter().zip(lines) {
            assert!(line.starts_with(&format!("{name}={value}: ")), "{line}");
        }
    }

    #[test]
    fn needs_exactly_one_destination_and_a_region_for_a_queue_elsewhere() {
        let none = read(&[]).unwrap_err();
        assert!(none.starts_with("PUSH_QUEUE_URL: neither this variable nor GATEWAY is set"), "{none}");
        let both = read(&[QUEUE, (ENV_GATEWAY, "http://g")]).unwrap_err();
        assert!(both.starts_with("GATEWAY=http://g: PUSH_QUEUE_URL is set, too"), "{both}");
        let elsewhere = (ENV_PUSH_QUEUE_URL, "http://127.0.0.1:9324/000000000000/q");
        let no_region = read(&[elsewhere]).unwrap_err();
        assert!(no_region.starts_with("AWS_REGION: "), "{no_region}");
        assert!(read(&[elsewhere, ("AWS_REGION", "eu-west-1")]).is_ok());
    }

    #[test]
    fn tells_the_kinds_of_environments_apart() {
        let of = |kind: &str| {
            let vars = [("AWS_LAMBDA_RUNTIME_API", "x"), (ENV_INITIALIZATION_TYPE, kind)];
            let found = LambdaEnvironment::from_vars(&vars_of(&vars)).unwrap();
            (found.is_managed_instance, found.is_snap_start)
        };
        assert_eq!(of("on-demand"), (false, false));
        assert_eq!(of("lambda-managed-instances"), (true, false));
        assert_eq!(of("snap-start"), (false, true));
        assert_eq!(LambdaEnvironment::from_vars(&vars_of(&[])), None);
    }
}
