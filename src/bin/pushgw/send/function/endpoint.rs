//! The endpoint at which a function is invoked.

use crate::exit::CommandError;
use amp_push_gateway::aws::is_region;
use amp_push_gateway::config::Vars;
use std::fmt::Write as _;
use url::Url;

/// The URL of a function's invocations, and the region that requests are signed for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Endpoint {
    pub(super) name: String,
    pub(super) url: Url,
    pub(super) region: String,
}

impl Endpoint {
    /// Returns the endpoint of the function `name`, under `endpoint`, for calls that are not signed.
    pub(super) fn unsigned(name: &str, endpoint: &Url) -> Result<Self, CommandError> {
        Ok(Self { name: name.to_owned(), url: invocations(endpoint, name)?, region: String::new() })
    }

    /// Returns the endpoint of the function `name`, under `endpoint` or else the one of `vars`.
    pub(super) fn new(name: &str, endpoint: Option<Url>, vars: &impl Vars) -> Result<Self, CommandError> {
        let get = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, vars.get(name)?)));
        let region = region_of(name).map(str::to_owned);
        let region = region.or_else(|| Some(get(["AWS_REGION", "AWS_DEFAULT_REGION"])?.1.trim().to_owned()));
        let expected = "expected AWS_REGION, a profile with a region, or the ARN of the function";
        let missing = || CommandError::usage(format!("--function-name {name}: no region to sign for; {expected}"));
        let region = region.ok_or_else(missing)?;
        if !is_region(&region) {
            return Err(CommandError::usage(format!("{region:?} is not a region; expected one such as eu-west-1")));
        }
        let endpoint = match (endpoint, get(["AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL"])) {
            (Some(endpoint), _) => endpoint,
            (None, Some((variable, value))) => {
                let unusable =
                    |error| format!("{variable}: {value:?} is not a URL ({error}); expected http://127.0.0.1:9001");
                value.parse().map_err(|error: url::ParseError| CommandError::usage(unusable(error)))?
            }
            (None, None) => {
                let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
                let url = format!("https://lambda.{region}.{domain}");
                url.parse().map_err(|error: url::ParseError| CommandError::usage(format!("{url}: {error}")))?
            }
        };
        Ok(Self { name: name.to_owned(), url: invocations(&endpoint, name)?, region })
    }
}

fn invocations(endpoint: &Url, name: &str) -> Result<Url, CommandError> {
    let unusable = |what: String| CommandError::usage(format!("{endpoint} is not an endpoint of Lambda: {what}"));
    if !matches!(endpoint.scheme(), "http" | "https") {
        return Err(unusable("expected http or https".to_owned()));
    }
    let base = endpoint.as_str().trim_end_matches('/');
    let url = format!("{base}/2015-03-31/functions/{}/invocations", escaped(name));
    url.parse().map_err(|error: url::ParseError| unusable(error.to_string()))
}

/// Returns the region of `arn:aws:lambda:<region>:<account>:function:<name>`.
fn region_of(name: &str) -> Option<&str> {
    let mut parts = name.split(':');
    let is_arn = parts.next() == Some("arn") && parts.nth(1) == Some("lambda");
    parts.next().filter(|region| is_arn && !region.is_empty())
}

/// Escapes a name for a path as AWS SDKs do.
fn escaped(name: &str) -> String {
    name.bytes().fold(String::new(), |mut path, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => path.push(char::from(byte)),
            // Writing to a string never fails.
            _ => _ = write!(path, "%{byte:02X}"),
        }
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    struct Given(HashMap<&'static str, &'static str>);

    impl Vars for Given {
        fn get(&self, name: &str) -> Option<String> {
            self.0.get(name).map(|value| (*value).to_owned())
        }
    }

    fn endpoint(
        name: &str,
        given: Option<&str>,
        vars: &[(&'static str, &'static str)],
    ) -> Result<(String, String), CommandError> {
        let given = given.map(|url| url.parse().unwrap());
        let endpoint = Endpoint::new(name, given, &Given(vars.iter().copied().collect()));
        endpoint.map(|endpoint| (endpoint.url.to_string(), endpoint.region))
    }

    #[test]
    fn the_option_wins_over_the_environment_and_both_over_aws() {
        let region = ("AWS_REGION", "eu-west-1");
        let local = ("AWS_ENDPOINT_URL_LAMBDA", "http://127.0.0.1:9001");
        let path = "/2015-03-31/functions/f/invocations";
        let table = [
            (None, vec![region], format!("https://lambda.eu-west-1.amazonaws.com{path}")),
            (None, vec![region, ("AWS_ENDPOINT_URL", "http://one/")], format!("http://one{path}")),
            (None, vec![region, local, ("AWS_ENDPOINT_URL", "http://one")], format!("http://127.0.0.1:9001{path}")),
            (Some("http://two/lambda/"), vec![region, local], format!("http://two/lambda{path}")),
        ];
        for (given, vars, url) in table {
            assert_eq!(endpoint("f", given, &vars).unwrap(), (url, "eu-west-1".to_owned()));
        }
    }

    #[test]
    fn an_arn_names_its_region_and_is_escaped() {
        let arn = "arn:aws-cn:lambda:cn-north-1:123456789012:function:f:live";
        let url = "https://lambda.cn-north-1.amazonaws.com.cn/2015-03-31/functions/\
                   arn%3Aaws-cn%3Alambda%3Acn-north-1%3A123456789012%3Afunction%3Af%3Alive/invocations";
        assert_eq!(endpoint(arn, None, &[("AWS_REGION", "x")]).unwrap(), (url.to_owned(), "cn-north-1".to_owned()));
    }

    #[test]
    fn names_what_is_missing_or_wrong() {
        assert!(endpoint("f", None, &[]).unwrap_err().to_string().contains("AWS_REGION"));
        let wrong = [("AWS_REGION", "eu-west-1"), ("AWS_ENDPOINT_URL_LAMBDA", "nowhere")];
        assert!(
            endpoint("f", None, &wrong).unwrap_err().to_string().starts_with("AWS_ENDPOINT_URL_LAMBDA: \"nowhere\"")
        );
        assert!(endpoint("f", Some("ftp://x"), &wrong).unwrap_err().to_string().contains("expected http or https"));
    }
}
