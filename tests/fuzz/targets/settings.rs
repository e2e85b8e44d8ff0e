//! Lines of `NAME=value` as the environment: every error names its variable, and no secret is shown.

#![no_main]

use amp_push_gateway::config::{
    ENV_AWS_PROMETHEUS_ENDPOINT, ENV_DEAD_LETTER_QUEUE_URL, ENV_REMOTE_WRITE_URL, Settings,
};
use amp_push_gateway_fuzz::is_label_name;
use libfuzzer_sys::{Corpus, fuzz_target};
use std::collections::BTreeMap;
use url::Url;

const URLS: [&str; 3] = [ENV_REMOTE_WRITE_URL, ENV_AWS_PROMETHEUS_ENDPOINT, ENV_DEAD_LETTER_QUEUE_URL];

/// As a password, it must not be shown.
const SECRET: &str = "s3cr3t";

/// The secret access key of every run.
const KEY: &str = "a-key-that-nobody-sees";

fuzz_target!(|input: &[u8]| -> Corpus {
    let Ok(text) = std::str::from_utf8(input) else { return Corpus::Reject };
    let mut vars: BTreeMap<String, String> =
        text.split('\n').filter_map(|line| line.split_once('=')).map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
    vars.insert("AWS_ACCESS_KEY_ID".to_owned(), "AKIDEXAMPLE".to_owned());
    vars.insert("AWS_SECRET_ACCESS_KEY".to_owned(), KEY.to_owned());
    let shown = match Settings::from_vars(&vars) {
        Ok(settings) => {
            check(&settings);
            format!("{settings:?}")
        }
        Err(errors) => {
            assert!(!errors.0.is_empty(), "rejected without a reason");
            for error in &errors.0 {
                assert!(error.to_string().starts_with(error.variable), "{error}");
                assert!(error.value.is_none() || vars.contains_key(error.variable), "{error}");
                assert!(!error.problem.to_string().is_empty(), "{error}");
            }
            errors.to_string()
        }
    };
    assert!(text.contains(KEY) || !shown.contains(KEY), "the secret access key is shown");
    let is_hidden = vars.iter().any(|(name, value)| URLS.contains(&name.as_str()) && hides_a_password(value));
    // If the same word is elsewhere too, it is no secret.
    if is_hidden && text.matches(SECRET).count() == 1 {
        assert!(!shown.contains(SECRET), "a password is shown: {shown}");
    }
    Corpus::Keep
});

fn check(settings: &Settings) {
    let url = &settings.remote_write.url;
    assert!(matches!(url.scheme(), "http" | "https") && url.has_host(), "{url}");
    assert!(url.username().is_empty() && url.password().is_none(), "{url}");
    assert!(settings.remote_write.signing_region.as_ref().is_none_or(|region| !region.is_empty()), "an empty region");
    let rules = &settings.rules;
    assert!(rules.max_sample_age_ms >= 0 && rules.max_sample_lead_ms >= 0, "{rules:?}");
    let labels = rules.external_labels.as_slice();
    assert!(labels.windows(2).all(|pair| pair[0].name.as_str() < pair[1].name.as_str()), "{labels:?}");
    for label in labels {
        assert!(is_label_name(label.name.as_str()) && !label.value.is_empty(), "{label:?}");
    }
}

/// Returns whether [`SECRET`] is the password in a URL, or in something that was meant for a URL.
fn hides_a_password(value: &str) -> bool {
    let is_meant =
        |rest: &str| rest.split_once(SECRET).is_some_and(|(user, host)| user.contains(':') && host.contains('@'));
    match Url::parse(value) {
        Ok(url) => url.password().is_some_and(|password| password.contains(SECRET)),
        Err(_) => value.split_once("://").is_some_and(|(_, rest)| is_meant(rest)),
    }
}
