//! Sends messages to a Lambda function, by its Invoke API.

mod endpoint;

use super::direct_invocation;
use super::outcome::Outcome;
use crate::environment::Overrides;
use crate::exit::CommandError;
use crate::view;
use amp_push_gateway::aws::{
    Answer, BodyPolicy, CredentialsSource, HttpTransport, Signed, Signer, Transport as _, TransportError,
};
use amp_push_gateway::lambda::FunctionError;
use endpoint::Endpoint;
use http::Request;
use http::header::{CONTENT_TYPE, USER_AGENT};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// Added to the time that the function may take. If it takes longer, Lambda itself answers within this time.
const GRACE: Duration = Duration::from_secs(5);

/// More than the 6 MB that Lambda passes on.
const MAX_ANSWER_BYTES: usize = 64 << 20;

const FUNCTION_ERROR: &str = "x-amz-function-error";
/// Lambda's name for a call that it refused.
const ERROR_TYPE: &str = "x-amzn-errortype";
const PRODUCT: &str = concat!("amp-push-gateway/", env!("CARGO_PKG_VERSION"), " pushgw");

#[derive(Debug)]
pub(crate) struct Function {
    endpoint: Endpoint,
    /// Lambda takes the events and stores them later.
    pub(super) asynchronous: bool,
    transport: Signed<HttpTransport>,
    timeout: Duration,
}

/// Lambda's answer to a call that never reached the function.
#[derive(Deserialize)]
struct ServiceError {
    #[serde(alias = "Message")]
    message: String,
}

impl Function {
    pub(super) fn new(name: &str, endpoint: Option<Url>, timeout: Duration) -> Result<Self, CommandError> {
        let endpoint = Endpoint::new(name, endpoint, &Overrides::default())?;
        let credentials = CredentialsSource::of_environment(&endpoint.region);
        let signer = Signer { service: "lambda", region: endpoint.region.clone(), credentials };
        Self::of(endpoint, Some(signer), timeout)
    }

    /// Calls are not signed.
    pub(crate) fn unsigned(name: &str, endpoint: &Url, timeout: Duration) -> Result<Self, CommandError> {
        Self::of(Endpoint::unsigned(name, endpoint)?, None, timeout)
    }

    fn of(endpoint: Endpoint, signer: Option<Signer>, timeout: Duration) -> Result<Self, CommandError> {
        let http = HttpTransport::new().map_err(CommandError::failed)?;
        Ok(Self { endpoint, asynchronous: false, transport: Signed::new(http, signer), timeout: timeout + GRACE })
    }

    pub(crate) fn name(&self) -> String {
        format!("{} at {}", self.endpoint.name, self.endpoint.url.origin().ascii_serialization())
    }

    /// Returns the outcomes of the `count` messages in `payload`.
    pub(super) async fn send(&self, payload: String, count: usize) -> Vec<Outcome> {
        let invocation_type = if self.asynchronous { "Event" } else { "RequestResponse" };
        let request = Request::post(self.endpoint.url.as_str())
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, PRODUCT)
            .header("x-amz-invocation-type", invocation_type)
            .body(payload.into());
        let unsent = |error: String, may_pass| vec![Outcome::unsent(error, may_pass); count];
        let request = match request {
            Ok(request) => request,
            Err(error) => return unsent(error.to_string(), false),
        };
        let whole = |_| BodyPolicy::Required { max_bytes: MAX_ANSWER_BYTES };
        match self.transport.send(request, whole, self.timeout).await {
            Ok(answer) => outcomes(&answer, count),
            Err(error) => unsent(error.to_string(), !matches!(error, TransportError::Credentials(_))),
        }
    }
}

fn outcomes(answer: &Answer, count: usize) -> Vec<Outcome> {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    match answer.status {
        202 => vec![Outcome::Sent; count],
        200..300 if answer.headers.contains_key(FUNCTION_ERROR) => {
            let error = serde_json::from_str(&body)
                .unwrap_or_else(|_| FunctionError { error_type: "Unhandled".to_owned(), error_message: body });
            let error = FunctionError { error_message: cut(&error.error_message), ..error };
            direct_invocation::outcomes(&Err(error), count)
        }
        200..300 => direct_invocation::outcomes(&Ok(body), count),
        status => {
            let text = serde_json::from_str::<ServiceError>(&body).map_or(body, |error| error.message);
            let kind = answer.headers.get(ERROR_TYPE).and_then(|kind| kind.to_str().ok()?.split(':').next());
            let kind = kind.map_or(String::new(), |kind| format!(" {kind}"));
            let may_pass = status == 429 || status >= 500;
            vec![Outcome::unsent(format!("Lambda answered {status}{kind}: {}", cut(&text)), may_pass); count]
        }
    }
}

/// Shortens an error text; a report in it stays whole.
fn cut(text: &str) -> String {
    if text.starts_with('{') { text.to_owned() } else { view::beginning(text) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn header(name: &'static str, value: &'static str) -> (HeaderName, HeaderValue) {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    }

    fn answer(status: u16, is_function_error: bool, body: &str) -> Answer {
        let headers = is_function_error.then(|| header(FUNCTION_ERROR, "Unhandled")).into_iter().collect();
        Answer { status, headers, body: body.to_owned().into() }
    }

    fn outcome(status: u16, is_function_error: bool, body: &str) -> Outcome {
        outcomes(&answer(status, is_function_error, body), 1).remove(0)
    }

    #[test]
    fn each_answer_of_lambda_has_its_outcome() {
        let rejected =
            |reason: &str, detail: &str| Outcome::Rejected { reason: reason.to_owned(), detail: detail.to_owned() };
        let table = [
            (202, false, "", Outcome::Sent),
            (200, false, r#"{"accepted":1,"rejected_count":0,"rejected":[]}"#, Outcome::Stored),
            (
                200,
                true,
                r#"{"errorType":"invalid_value","errorMessage":"metrics.ph: x"}"#,
                rejected("invalid_value", "metrics.ph: x"),
            ),
            (200, true, "gone", Outcome::unsent("the function failed with Unhandled: gone", true)),
            (
                429,
                false,
                r#"{"message":"Rate Exceeded."}"#,
                Outcome::unsent("Lambda answered 429: Rate Exceeded.", true),
            ),
            (502, false, "<html>", Outcome::unsent("Lambda answered 502: <html>", true)),
            (
                403,
                false,
                r#"{"Message":"no permission"}"#,
                Outcome::unsent("Lambda answered 403: no permission", false),
            ),
        ];
        for (status, is_function_error, body, expected) in table {
            assert_eq!(outcome(status, is_function_error, body), expected, "{status} {body}");
        }
        let headers = [header(ERROR_TYPE, "ResourceNotFoundException:http://lambda")].into_iter().collect();
        let named = Answer { headers, ..answer(404, false, "{}") };
        let expected = Outcome::unsent("Lambda answered 404 ResourceNotFoundException: {}", false);
        assert_eq!(outcomes(&named, 1), [expected]);
    }

    #[test]
    fn a_report_in_an_error_is_read_whole() {
        let detail = "x".repeat(1_000);
        let report = serde_json::json!({
            "rejected_count": 1,
            "rejected": [{"index": 1, "reason": "invalid_value", "detail": detail}],
        });
        let body = serde_json::json!({"errorType": "dead_letter_failed", "errorMessage": report.to_string()});
        let expected = [Outcome::Stored, Outcome::Rejected { reason: "invalid_value".to_owned(), detail }];
        assert_eq!(outcomes(&answer(200, true, &body.to_string()), 2), expected);
    }
}
