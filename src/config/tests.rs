use super::*;
use tracing::Level;

fn vars(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn read_with(pairs: &[(&str, &str)]) -> Result<Settings, SettingsErrors> {
    let mut all = vec![("REMOTE_WRITE_URL", "http://127.0.0.1:9090/api/v1/write"), ("AWS_REGION", "eu-west-1")];
    all.extend_from_slice(pairs);
    Settings::from_vars(&vars(&all))
}

#[test]
fn reports_every_error_with_the_variable_its_value_and_what_is_allowed() {
    let wrong = [
        ("AWS_PROMETHEUS_ENDPOINT", "ftp://example.com", "expected an http or https URL"),
        ("REMOTE_WRITE_AUTH", "basic", "expected sigv4 or none"),
        ("READ_URL", "localhost", "expected an http or https URL"),
        ("SIGV4_REGION", "EU West", "expected a region such as eu-west-1"),
        ("DEAD_LETTER_QUEUE_URL", "my-queue", "expected the URL of an SQS queue"),
        ("EXTERNAL_LABELS", "env", "has no \"=\""),
        ("MAX_SAMPLE_AGE", "1.5h", "expected a whole number and one unit"),
        ("MAX_SAMPLE_LEAD", "10", "expected a whole number and one unit"),
        ("LATE_SAMPLES", "keep", "expected dead-letter or drop"),
        ("METRICS", "none", "expected alarms or all"),
        ("STATE_TABLE", "my table", "expected the name of a table"),
        ("STATE_SHARDS", "17", "expected a whole number from 1 to 16"),
        ("GROUP_TTL", "1 week", "or 0 for never"),
        ("SERIES_TTL", "36501d", "at most 36500d"),
        ("MAX_SERIES", "0", "expected a whole number from 1 to 1000000"),
        ("SUMMARY_WINDOW", "2d", "expected a time from 1s to 1d"),
        ("RUST_LOG", "loud", "expected a level"),
    ];
    let pairs: Vec<_> = wrong.iter().map(|(name, value, _)| (*name, *value)).collect();
    let errors = Settings::from_vars(&vars(&pairs)).unwrap_err();
    let text = errors.to_string();
    assert_eq!(errors.0.len(), wrong.len(), "{text}");
    for (variable, value, allowed) in wrong {
        let line = text.lines().find(|line| line.starts_with(&format!("{variable}={value}: ")));
        assert!(line.is_some_and(|line| line.contains(allowed)), "{variable}: {text}");
    }
}

#[test]
fn requires_only_a_url_and_a_region_and_takes_empty_for_unset() {
    let errors = Settings::from_vars(&vars(&[("REMOTE_WRITE_URL", "")])).unwrap_err();
    assert!(errors.to_string().starts_with("REMOTE_WRITE_URL: it is not set"));
    let errors = Settings::from_vars(&vars(&[("REMOTE_WRITE_URL", "http://localhost/")])).unwrap_err();
    assert!(errors.to_string().starts_with("SIGV4_REGION: no region to sign for"));
    let empty = [
        "REMOTE_WRITE_AUTH",
        "REMOTE_WRITE_VERSION",
        "SIGV4_REGION",
        "READ_URL",
        "DEAD_LETTER_QUEUE_URL",
        "EXTERNAL_LABELS",
        "MAX_SAMPLE_AGE",
        "MAX_SAMPLE_LEAD",
        "LATE_SAMPLES",
        "RUST_LOG",
    ];
    let settings = read_with(&empty.map(|name| (name, ""))).unwrap();
    assert_eq!(settings.remote_write.signing_region.as_deref(), Some("eu-west-1"));
    assert_eq!(settings.remote_write.version, Version::V1);
    assert_eq!(settings.rules.max_sample_age_ms, 3_600_000);
    assert_eq!(settings.rules.max_sample_lead_ms, 10_000);
    assert_eq!(settings.dead_letters.late_samples, LateSamples::DeadLetter);
    assert!(settings.dead_letters.queue_url.is_none());
}

#[test]
fn takes_only_the_two_versions_of_remote_write() {
    let version = |text| read_with(&[("REMOTE_WRITE_VERSION", text)]).map(|settings| settings.remote_write.version);
    assert_eq!((version("1.0").unwrap(), version("2.0").unwrap()), (Version::V1, Version::V2));
    for text in ["1", "2", "0.1.0", "2.0.0", "v2", " 2.0"] {
        let error = version(text).unwrap_err().to_string();
        assert_eq!(error, format!("REMOTE_WRITE_VERSION={text}: expected 1.0 or 2.0"));
    }
}

#[test]
fn takes_the_region_from_the_setting_then_the_host_then_lambda() {
    let amp = "https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1/api/v1/remote_write";
    let table = [
        (vec![("REMOTE_WRITE_URL", amp), ("SIGV4_REGION", "ap-south-1")], Some("ap-south-1")),
        (vec![("REMOTE_WRITE_URL", amp)], Some("us-east-2")),
        (vec![], Some("eu-west-1")),
        (vec![("REMOTE_WRITE_AUTH", "none")], None),
    ];
    for (pairs, region) in table {
        assert_eq!(read_with(&pairs).unwrap().remote_write.signing_region.as_deref(), region, "{pairs:?}");
    }
}

#[test]
fn reads_from_the_workspace_that_it_writes_to_or_from_the_url_of_the_setting() {
    let host = "https://aps-workspaces.us-east-2.amazonaws.com";
    let amp = format!("{host}/workspaces/ws-1/api/v1/remote_write");
    let other = "https://aps-workspaces.eu-north-1.amazonaws.com/workspaces/ws-2/";
    let own_query = format!("{host}/workspaces/ws-1/api/v1/query");
    let other_query = format!("{other}api/v1/query");
    let local = ("http://localhost:9090", "http://localhost:9090/api/v1/query");
    let table = [
        (vec![], None),
        (vec![("REMOTE_WRITE_URL", &*amp)], Some((&*own_query, Some("us-east-2")))),
        (vec![("REMOTE_WRITE_URL", &amp), ("SIGV4_REGION", "ap-south-1")], Some((&own_query, Some("ap-south-1")))),
        (vec![("REMOTE_WRITE_URL", &amp), ("READ_URL", other)], Some((&other_query, Some("eu-north-1")))),
        (vec![("READ_URL", local.0)], Some((local.1, Some("eu-west-1")))),
        (vec![("READ_URL", local.0), ("REMOTE_WRITE_AUTH", "none")], Some((local.1, None))),
        // AMP answers no unsigned query.
        (vec![("READ_URL", other), ("REMOTE_WRITE_AUTH", "none")], Some((&other_query, Some("eu-north-1")))),
    ];
    for (pairs, expected) in table {
        let read = read_with(&pairs).unwrap().read;
        let read = read.as_ref().map(|read| (read.url.as_str(), read.signing_region.as_deref()));
        assert_eq!(read, expected, "{pairs:?}");
    }
    for (url, expected) in [("localhost", "expected an http or https URL"), (&*amp, "AMP takes queries at")] {
        let error = read_with(&[("READ_URL", url)]).unwrap_err().to_string();
        assert!(error.starts_with("READ_URL=") && error.contains(expected), "{error}");
    }
}

#[test]
fn prefers_its_own_variable_to_that_of_the_ancestor() {
    let settings = read_with(&[("AWS_PROMETHEUS_ENDPOINT", "http://other/")]).unwrap();
    assert_eq!(settings.remote_write.url.as_str(), "http://127.0.0.1:9090/api/v1/write");
    let settings = read_with(&[("REMOTE_WRITE_URL", ""), ("AWS_PROMETHEUS_ENDPOINT", "http://other/x")]).unwrap();
    assert_eq!(settings.remote_write.url.as_str(), "http://other/x");
}

#[test]
fn rejects_a_password_in_the_url_and_does_not_repeat_it() {
    let text = read_with(&[("REMOTE_WRITE_URL", "https://me:hunter2@host/write")]).unwrap_err().to_string();
    assert!(text.contains("REMOTE_WRITE_URL") && !text.contains("hunter2"), "{text}");
}

#[test]
fn hides_a_password_even_in_a_wrong_url() {
    let urls = [
        "htps://user:s3cr3t@host/write",
        "https://user:s3cr3t@ho st/",
        "https:///user:s3cr3t@host/",
        "https:user:s3cr3t@host/",
        "https://user:pa/s3cr3t@host/write",
        "ftp://user:a#s3cr3t@host/1/q",
    ];
    for url in urls {
        for variable in ["REMOTE_WRITE_URL", "DEAD_LETTER_QUEUE_URL"] {
            if let Err(text) = read_with(&[(variable, url)]) {
                assert!(!text.to_string().contains("s3cr3t"), "{variable}={url}: {text}");
            }
        }
    }
}

#[test]
fn reads_durations_of_a_whole_number_and_a_unit() {
    let table = [
        ("250ms", Some(250)),
        ("0s", Some(0)),
        ("90s", Some(90_000)),
        ("5m", Some(300_000)),
        ("2h", Some(7_200_000)),
        ("1d", Some(86_400_000)),
        ("", None),
        ("h", None),
        ("10", None),
        ("1h30m", None),
        ("-1s", None),
        ("1 s", None),
        ("99999999999999999999s", None),
        ("9999999999999999d", None),
    ];
    for (text, expected) in table {
        assert_eq!(parse::milliseconds(text).ok(), expected, "{text}");
    }
}

#[test]
fn takes_only_classic_unique_external_labels() {
    let labels = parse::labels("env=prod,team=a=b").unwrap();
    assert_eq!((labels.get("env"), labels.get("team")), (Some("prod"), Some("a=b")));
    for wrong in ["", "env", "env=", "=x", "a=1,a=2", "__x=1", "a-b=1", "1a=1", "a=1,", "a=1, b=2"] {
        assert!(parse::labels(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn never_logs_dependencies_below_warn() {
    let level_of = |text: &str, target: &str, level| parse::log_filter(text).unwrap().would_enable(target, &level);
    for text in ["trace", "lambda_runtime=trace", "debug,aws_smithy_runtime=trace"] {
        assert!(!level_of(text, "lambda_runtime::x", Level::INFO), "{text}");
        assert!(!level_of(text, "aws_smithy_runtime", Level::INFO), "{text}");
    }
    assert!(level_of("trace", "amp_push_gateway::gateway", Level::TRACE));
    assert!(level_of("warn,amp_push_gateway=debug", "amp_push_gateway", Level::DEBUG));
    assert!(!level_of("off", "amp_push_gateway", Level::ERROR));
}

#[test]
fn hides_secrets_in_debug_output() {
    let pairs = [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s3cr3t"), ("AWS_SESSION_TOKEN", "t0k3n")];
    let settings = read_with(&pairs).unwrap();
    assert!(settings.remote_write.credentials.is_some());
    let debug = format!("{settings:?}");
    assert!(!debug.contains("s3cr3t") && !debug.contains("t0k3n"), "{debug}");
}

#[test]
fn names_a_part_of_the_credentials_that_no_header_can_carry_and_does_not_show_it() {
    let pairs =
        [("AWS_ACCESS_KEY_ID", "AKID"), ("AWS_SECRET_ACCESS_KEY", "s3cr3t\n"), ("AWS_SESSION_TOKEN", "t0k3n\nx")];
    let text = read_with(&pairs).unwrap_err().to_string();
    assert!(text.starts_with("AWS_SESSION_TOKEN: it has characters that no header can carry"), "{text}");
    assert!(!text.contains("t0k3n") && !text.contains("SECRET") && text.lines().count() == 1, "{text}");
    assert!(read_with(&pairs[..2]).unwrap().remote_write.credentials.is_some());
}

#[test]
fn says_one_true_sentence_about_a_wrong_region() {
    let table = [
        (vec![("AWS_REGION", "EU-WEST-1")], "AWS_REGION=EU-WEST-1: expected a region such as eu-west-1"),
        (
            vec![("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "x y")],
            "AWS_DEFAULT_REGION=x y: expected a region such as eu-west-1",
        ),
        (vec![("AWS_REGION", "a\nb")], "AWS_REGION=a\u{FFFD}b: expected a region such as eu-west-1"),
        (vec![("SIGV4_REGION", "\u{FFFD}")], "SIGV4_REGION=\u{FFFD}: expected UTF-8 text"),
    ];
    for (pairs, expected) in table {
        assert_eq!(read_with(&pairs).unwrap_err().to_string(), expected);
    }
    let region = |pairs| read_with(pairs).unwrap().remote_write.signing_region.unwrap();
    assert_eq!(region(&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "eu-north-1")]), "eu-north-1");
    assert_eq!(region(&[("AWS_REGION", " us-east-2\n"), ("AWS_DEFAULT_REGION", "eu-north-1")]), "us-east-2");
}

// --- the HTTP door ---------------------------------------------------------------------------------------------------

const ARN: &str = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:door";
const SERVE: Place = Place::Serve { is_loopback: false };
const LOOPBACK: Place = Place::Serve { is_loopback: true };

fn http_with(place: Place, pairs: &[(&str, &str)]) -> Result<HttpSettings, SettingsErrors> {
    let vars = vars(pairs);
    let mut reader = Reader::new(&vars);
    let settings = reader.http(place);
    reader.finish(settings)
}

#[test]
fn takes_the_attributes_of_otlp_that_become_labels() {
    let promoted = |text| {
        let settings =
            http_with(Place::Function, &[(ENV_OTLP_PROMOTE_ATTRIBUTES, text), (ENV_OTLP_SCOPE_LABELS, "on")]);
        settings
            .map(|settings| (settings.otlp_promoted, settings.otlp_scope_labels))
            .map_err(|errors| errors.to_string())
    };
    let attribute = |key| crate::otlp::Promoted::new(key).unwrap();
    assert_eq!(promoted("cloud.region, a"), Ok((vec![attribute("cloud.region"), attribute("a")], true)));
    let wrong =
        "OTLP_PROMOTE_ATTRIBUTES=a,,b: \"\" cannot be a label; expected names of attributes with commas between them";
    assert_eq!(promoted("a,,b"), Err(wrong.to_owned()));
}

#[test]
fn closes_the_door_unless_a_credential_is_set() {
    let all_empty = [ENV_HTTP_AUTH, ENV_HTTP_AUTH_SECRET, ENV_HTTP_AUTH_TOKEN, ENV_HTTP_PATH_PREFIX, ENV_HTTP_DEADLINE];
    let settings = http_with(Place::Function, &all_empty.map(|name| (name, ""))).unwrap();
    let expected = HttpSettings {
        auth: HttpAuth::Secret(None),
        path_prefix: String::new(),
        deadline: std::time::Duration::from_secs(9),
        read: false,
        admin: false,
        otlp_promoted: Vec::new(),
        otlp_scope_labels: false,
    };
    assert_eq!(settings, expected);
    let (user, password, token) = (ENV_HTTP_AUTH_USERNAME, ENV_HTTP_AUTH_PASSWORD, ENV_HTTP_AUTH_TOKEN);
    let secret = (ENV_HTTP_AUTH, "secret");
    let table = [
        (Place::Function, &[][..], true),
        (Place::Function, &[(ENV_HTTP_AUTH_SECRET, ARN)], false),
        (Place::Function, &[(ENV_HTTP_AUTH, "iam")], false),
        (Place::Function, &[(ENV_HTTP_AUTH, "none")], false),
        (SERVE, &[], true),
        (SERVE, &[(user, "u")], true),
        (SERVE, &[(password, "p")], true),
        (SERVE, &[(user, "u"), (password, "p")], false),
        (SERVE, &[(token, "t")], false),
        (LOOPBACK, &[], false),
        (LOOPBACK, &[secret], true),
        (LOOPBACK, &[secret, (token, "t")], false),
    ];
    for (place, pairs, is_closed) in table {
        assert_eq!(http_with(place, pairs).unwrap().is_closed(), is_closed, "{place:?} {pairs:?}");
    }
}

#[test]
fn opens_the_door_to_everybody_only_on_loopback_and_only_without_a_credential() {
    let auth = |place, pairs: &[(&str, &str)]| http_with(place, pairs).unwrap().auth;
    assert_eq!(auth(LOOPBACK, &[]), HttpAuth::None);
    assert_eq!(auth(LOOPBACK, &[(ENV_HTTP_AUTH, "none"), (ENV_HTTP_AUTH_TOKEN, "t")]), HttpAuth::None);
    let token = HttpAuth::Credentials(HttpCredentials::new(None, None, Some("t".to_owned())));
    assert_eq!(auth(LOOPBACK, &[(ENV_HTTP_AUTH_TOKEN, "t")]), token);
    assert_eq!(auth(SERVE, &[]), HttpAuth::Credentials(HttpCredentials::default()));
    assert_eq!(auth(Place::Function, &[(ENV_HTTP_AUTH, "iam")]), HttpAuth::Iam);
}

#[test]
fn reports_every_wrong_setting_of_the_door_and_no_credential() {
    let pairs = [
        (ENV_HTTP_AUTH, "basic", "expected secret, iam or none"),
        (ENV_HTTP_AUTH_SECRET, "door", "expected the ARN of a secret"),
        (ENV_HTTP_AUTH_USERNAME, "s3cr3t", "for `pushgw serve` only"),
        (ENV_HTTP_AUTH_PASSWORD, "s3cr3t", "for `pushgw serve` only"),
        (ENV_HTTP_AUTH_TOKEN, "s3cr3t", "for `pushgw serve` only"),
        (ENV_HTTP_PATH_PREFIX, "push", "expected a path such as /push"),
        (ENV_HTTP_DEADLINE, "9", "expected a whole number and one unit"),
        (ENV_HTTP_READ, "yes", "expected on or off"),
        (ENV_HTTP_ADMIN, "1", "expected on or off"),
    ];
    let mut all = pairs.map(|(name, value, _)| (name, value)).to_vec();
    all.push(("REMOTE_WRITE_URL", "http://127.0.0.1:9090/"));
    all.push(("AWS_REGION", "eu-west-1"));
    let errors = Settings::with_http(&vars(&all), Place::Function).unwrap_err();
    let text = errors.to_string();
    assert_eq!(errors.0.len(), pairs.len(), "{text}");
    for (variable, _, allowed) in pairs {
        let line =
            text.lines().find(|line| line.starts_with(variable) && line[variable.len()..].starts_with(['=', ':']));
        assert!(line.is_some_and(|line| line.contains(allowed)), "{variable}: {text}");
    }
    assert!(!text.contains("s3cr3t"), "{text}");
    let text =
        http_with(LOOPBACK, &[(ENV_HTTP_AUTH, "iam"), (ENV_HTTP_AUTH_TOKEN, "a\u{FFFD}")]).unwrap_err().to_string();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.contains("HTTP_AUTH=iam: `pushgw serve` gets no requests from AWS") && !text.contains("a\u{FFFD}"),
        "{text}"
    );
}

#[test]
fn reads_a_path_prefix_and_a_deadline() {
    let prefix = |text| http_with(SERVE, &[(ENV_HTTP_PATH_PREFIX, text)]).ok().map(|settings| settings.path_prefix);
    let table = [
        ("/push", Some("/push")),
        ("/push/", Some("/push")),
        ("/a/b", Some("/a/b")),
        ("/", Some("")),
        ("push", None),
        ("/a//b", None),
        ("/a b", None),
        ("/a%20b", None),
        ("/a?b", None),
        ("/a#b", None),
    ];
    for (text, expected) in table {
        assert_eq!(prefix(text).as_deref(), expected, "{text}");
    }
    let deadline =
        |text| http_with(SERVE, &[(ENV_HTTP_DEADLINE, text)]).ok().map(|settings| settings.deadline.as_millis());
    for (text, expected) in
        [("1s", Some(1_000)), ("25s", Some(25_000)), ("15m", Some(900_000)), ("999ms", None), ("16m", None)]
    {
        assert_eq!(deadline(text), expected, "{text}");
    }
    let on = http_with(SERVE, &[(ENV_HTTP_READ, "on"), (ENV_HTTP_ADMIN, "on")]).unwrap();
    assert!(on.read && on.admin);
}

#[test]
fn hides_the_credentials_of_the_door_in_debug_output() {
    let pairs = [(ENV_HTTP_AUTH_USERNAME, "us3r"), (ENV_HTTP_AUTH_PASSWORD, "s3cr3t"), (ENV_HTTP_AUTH_TOKEN, "t0k3n")];
    let debug = format!("{:?}", http_with(SERVE, &pairs).unwrap());
    assert!(!debug.contains("us3r") && !debug.contains("s3cr3t") && !debug.contains("t0k3n"), "{debug}");
}

#[test]
fn reads_the_settings_of_the_state_and_has_a_default_for_each() {
    let StateSettings { table, shards, group_ttl_ms, series_ttl_ms, max_series, summary_window_ms } =
        read_with(&[]).unwrap().state;
    assert!(table.is_none());
    assert_eq!((shards, group_ttl_ms, series_ttl_ms), (1, None, None));
    assert_eq!((max_series, summary_window_ms), (100_000, 600_000));
    let pairs = [
        ("STATE_TABLE", "push-state_1.x"),
        ("AWS_ACCESS_KEY_ID", "AKID"),
        ("AWS_SECRET_ACCESS_KEY", "s"),
        ("STATE_SHARDS", "16"),
        ("GROUP_TTL", "2h"),
        ("SERIES_TTL", "24h"),
        ("MAX_SERIES", "1000000"),
        ("SUMMARY_WINDOW", "120s"),
    ];
    let state = read_with(&pairs).unwrap().state;
    let table = state.table.unwrap();
    assert_eq!((table.name.as_str(), table.region.as_str()), ("push-state_1.x", "eu-west-1"));
    assert_eq!(table.credentials.unwrap().access_key_id(), "AKID");
    assert_eq!((state.shards, state.group_ttl_ms, state.series_ttl_ms), (16, Some(7_200_000), Some(86_400_000)));
    assert_eq!((state.max_series, state.summary_window_ms), (1_000_000, 120_000));
}

#[test]
fn takes_a_time_to_live_of_zero_for_never() {
    for never in ["0", "0s", "0ms", "00d"] {
        assert_eq!(time_to_live(never), Ok(None), "{never}");
    }
    assert_eq!(time_to_live("15m"), Ok(Some(900_000)));
    assert_eq!(time_to_live("36500d"), Ok(Some(3_153_600_000_000)));
    for wrong in ["", "15", "-1s", "1.5h", "15 m", "36501d", "9999999999999999999d", "never"] {
        assert_eq!(time_to_live(wrong), Err(Problem::NotATimeToLive), "{wrong}");
    }
}

#[test]
fn takes_the_region_of_the_table_from_lambda_wherever_the_workspace_is() {
    let amp = "https://aps-workspaces.us-east-2.amazonaws.com/workspaces/ws-1/api/v1/remote_write";
    let table = [("REMOTE_WRITE_URL", amp), ("SIGV4_REGION", "ap-south-1"), ("STATE_TABLE", "state")];
    let region = |more: &[(&str, &str)]| {
        let settings = Settings::from_vars(&vars(&[&table, more].concat()))?;
        Ok::<_, SettingsErrors>(settings.state.table.map(|table| table.region))
    };
    assert_eq!(region(&[("AWS_REGION", "eu-west-1")]), Ok(Some("eu-west-1".to_owned())));
    assert_eq!(region(&[("AWS_DEFAULT_REGION", "eu-west-3")]), Ok(Some("eu-west-3".to_owned())));
    assert!(region(&[]).unwrap_err().to_string().starts_with("AWS_REGION: no region of the table"));
    // One line for one wrong region.
    let plain = [("REMOTE_WRITE_URL", "http://localhost/"), ("STATE_TABLE", "state"), ("AWS_REGION", "EU")];
    assert_eq!(Settings::from_vars(&vars(&plain)).unwrap_err().0.len(), 1);
}
