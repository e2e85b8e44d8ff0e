//! Answers one request. The door checks in this order: health, credential, route, method, size and encoding, body.

#[cfg(feature = "cli")]
use super::page::Beside;
use super::route::{Resource, Route, RouteError, route};
use super::{
    Denied, Doorkeeper, Request, Response, body, events, exposed, groups, origin, otlp, page, pushgateway, remote_read,
    remote_write, status,
};
use crate::aws::{HttpTransport, Signed, Transport};
use crate::config::{HttpSettings, Settings};
use crate::dead_letter::DeadLetterQueue;
use crate::gateway::{Gateway, RemoteReader, Summary, reader_from_settings};
use crate::instrumentation::log_text;
use crate::limits::{MAX_DETAIL_CHARS, MAX_EXCERPT_CHARS, MAX_LOGGED_ID_CHARS, MAX_UNPACKED_BYTES};
use crate::model::{DEFECT, Timestamp};
use http::uri::InvalidUri;
use std::sync::Arc;
use tokio::time::Instant;

/// Answers the requests of one process.
#[derive(Debug)]
pub struct Door<T, D> {
    pub(super) gateway: Arc<Gateway<T, D>>,
    /// For remote read, if it is set up.
    pub(super) reader: Option<RemoteReader<T>>,
    doorkeeper: Doorkeeper<HttpTransport>,
    pub(super) settings: HttpSettings,
    /// When the process started.
    pub(super) started: Timestamp,
    /// The surroundings of a gateway on one machine, for the page.
    #[cfg(feature = "cli")]
    pub(super) beside: Option<Arc<dyn Beside>>,
}

/// The call that brought a request.
#[derive(Clone, Copy, Debug)]
pub struct Call<'c> {
    pub request_id: &'c str,
    /// The start of the invocation, or when the head of the request arrived.
    pub started: Timestamp,
    /// When the front must have the answer.
    pub deadline: Instant,
}

/// Says if the body of a request is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Length {
    Taken,
    TooLarge,
}

/// An answer, and the numbers of the request for the metric line.
#[derive(Debug)]
pub struct Answered {
    pub response: Response,
    /// The pattern of the path; `None` for health, which has no metric line.
    pub route: Option<&'static str>,
    pub summary: Summary,
}

impl<D: DeadLetterQueue> Door<Signed<HttpTransport>, D> {
    /// Builds a door. Logs a warning if no client can use it.
    pub fn from_settings(
        gateway: Arc<Gateway<Signed<HttpTransport>, D>>,
        settings: &Settings,
        door: HttpSettings,
        http: &HttpTransport,
        started: Timestamp,
    ) -> Result<Self, InvalidUri> {
        if door.is_closed() {
            tracing::warn!(
                "no credential is set for the HTTP door: it is closed, and every request but health is answered 401"
            );
        }
        let reader = settings.read.as_ref().filter(|_| door.read);
        let reader = reader.map(|settings| reader_from_settings(settings, http)).transpose()?;
        let doorkeeper = Doorkeeper::new(&door.auth, http.clone());
        Ok(Self {
            gateway,
            reader,
            doorkeeper,
            settings: door,
            started,
            #[cfg(feature = "cli")]
            beside: None,
        })
    }
}

#[cfg(feature = "cli")]
impl<T, D> Door<T, D> {
    /// Shows more on the page.
    #[must_use]
    pub fn with_beside(self, beside: Arc<dyn Beside>) -> Self {
        Self { beside: Some(beside), ..self }
    }
}

impl<T: Transport, D: DeadLetterQueue> Door<T, D> {
    /// Returns the use cases that the door calls.
    pub fn gateway(&self) -> &Gateway<T, D> {
        &self.gateway
    }

    /// Answers a request before its deadline.
    pub async fn answer(&self, request: &Request<'_>, call: Call<'_>) -> Answered {
        self.answer_body(request, Length::Taken, call).await
    }

    /// Answers a request whose body is longer than its front takes, and is not here.
    pub async fn too_large(&self, request: &Request<'_>, call: Call<'_>) -> Answered {
        self.answer_body(request, Length::TooLarge, call).await
    }

    async fn answer_body(&self, request: &Request<'_>, length: Length, call: Call<'_>) -> Answered {
        let deadline = call.deadline.min(Instant::now() + self.settings.deadline);
        let call = Call { deadline, ..call };
        let found = route(request, &self.settings.path_prefix).and_then(|route| self.offered(route));
        let resource = found.as_ref().ok().map(|route| route.resource);
        let mut answered = match resource {
            Some(Resource::Health) => health(request),
            Some(resource) if request.method == "OPTIONS" => {
                Response::empty(200).with("allow", resource.allow()).into()
            }
            _ => self.judged(request, found, length, call).await,
        };
        answered.route = match resource {
            Some(Resource::Health) => None,
            Some(resource) => Some(resource.pattern()),
            None => Some("other"),
        };
        answered.summary.answer_http(answered.response.status);
        log(&answered, call);
        if request.method == "HEAD" {
            answered.response.body.clear();
        }
        answered
    }

    /// Returns the route if the settings offer it.
    fn offered<'r>(&self, route: Route<'r>) -> Result<Route<'r>, RouteError> {
        if route.resource == Resource::Wipe && !self.settings.admin { Err(RouteError::NotFound) } else { Ok(route) }
    }

    async fn judged(
        &self,
        request: &Request<'_>,
        found: Result<Route<'_>, RouteError>,
        length: Length,
        call: Call<'_>,
    ) -> Answered {
        if let Err(denied) = self.doorkeeper.admit(request, call.deadline).await {
            return denied.into();
        }
        let route = match found {
            Ok(route) => route,
            Err(error) => {
                let status = if error == RouteError::NotFound { 404 } else { 400 };
                return Response::text(status, error.to_string()).into();
            }
        };
        let resource = route.resource;
        if resource == Resource::RemoteRead && self.reader.is_none() {
            return remote_read::not_set_up().into();
        }
        if !resource.allows(&request.method) {
            let sentence =
                format!("the method {} is not allowed here; expected {}", excerpt(&request.method), resource.allow());
            return Response::text(405, sentence).with("allow", resource.allow()).into();
        }
        if let Some(sentence) = origin::of_another_site(request) {
            return Response::text(403, sentence).into();
        }
        // Nobody reads the body of another method.
        if length == Length::TooLarge && matches!(request.method.as_ref(), "PUT" | "POST") {
            return too_large(resource, request).into();
        }
        match (resource, request.method.as_ref()) {
            (Resource::Metrics, "GET" | "HEAD") => exposed::scrape(&self.gateway, request, call).await,
            (Resource::Metrics, _) => pushgateway::push(self, request, "", route.ttl, call).await,
            (Resource::Group(key), _) => pushgateway::push(self, request, key, route.ttl, call).await,
            (Resource::RemoteWrite, _) => remote_write::take(self, request, call).await,
            (Resource::Otlp, _) => otlp::take(self, request, call).await,
            (Resource::Events, _) => events::take(self, request, call).await,
            (Resource::RemoteRead, _) => remote_read::read(self, request, call).await,
            (Resource::Page, _) => page::show(self, request, call).await,
            (Resource::Groups, _) => groups::list(self, request, call).await,
            (Resource::Status, _) => Response::json(200, status::status(self)).into(),
            (Resource::Wipe, _) => groups::wipe(self, call).await,
            (Resource::Health, _) => health(request),
        }
    }
}

/// RFC 7617, 2.
const CHALLENGE: &str = "Basic realm=\"amp-push-gateway\", charset=\"UTF-8\"";

fn health(request: &Request<'_>) -> Answered {
    let response = match request.method.as_ref() {
        "GET" | "HEAD" => Response::text(200, "OK"),
        "OPTIONS" => Response::empty(200).with("allow", Resource::Health.allow()),
        _ => Response::text(405, "only GET and HEAD are allowed here").with("allow", Resource::Health.allow()),
    };
    response.into()
}

/// Answers a body that is longer than its front takes.
fn too_large(resource: Resource<'_>, request: &Request<'_>) -> Response {
    let sentence = format!("the body is longer than {MAX_UNPACKED_BYTES} bytes");
    let encodings = match resource {
        Resource::Otlp => return otlp::too_large(request, &sentence),
        Resource::RemoteWrite => return remote_write::too_large(request, sentence),
        Resource::RemoteRead => return remote_read::too_large(request, sentence),
        Resource::Metrics | Resource::Group(_) => pushgateway::ENCODINGS,
        _ => events::ENCODINGS,
    };
    match body::check_encoding(request.list("content-encoding").as_deref(), encodings) {
        Ok(_) => Response::text(413, sentence),
        Err(error) => Response::of_body_error(&error),
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(MAX_EXCERPT_CHARS).collect()
}

/// Logs a request that was not taken as a whole.
fn log(answered: &Answered, call: Call<'_>) {
    let (Some(route), Some(sentence)) = (answered.route, answered.response.sentence()) else { return };
    let request_id = log_text(call.request_id, MAX_LOGGED_ID_CHARS);
    let answer = log_text(sentence, MAX_DETAIL_CHARS);
    let (request_id, answer, status) = (request_id.as_ref(), answer.as_ref(), answered.response.status);
    tracing::warn!(request_id, route, status, answer, "request not taken");
}

impl From<Denied> for Answered {
    /// The answer does not say which part of a credential is wrong.
    fn from(denied: Denied) -> Self {
        let response = match denied {
            Denied::Unauthorized => {
                Response::text(401, "the request has no credential of the gateway").with("www-authenticate", CHALLENGE)
            }
            Denied::Forbidden => Response::text(403, "AWS has not authorised the request; it must be signed"),
            Denied::Unavailable => Response::unavailable("the gateway cannot fetch its credentials now", None),
        };
        response.into()
    }
}

impl From<Response> for Answered {
    /// An answer without samples.
    fn from(response: Response) -> Self {
        Self { response, route: None, summary: Summary { messages: 1, ..Summary::default() } }
    }
}

impl Answered {
    /// The answer to a request that met a defect.
    pub fn defect() -> Self {
        Self { route: Some("other"), ..Response::unavailable(DEFECT, None).into() }
    }

    /// The answer to a request whose event cannot be read.
    pub fn unreadable(sentence: impl Into<String>) -> Self {
        Self { route: Some("other"), ..Response::text(400, sentence).into() }
    }

    /// Replaces an answer that is longer than its front takes.
    #[must_use]
    pub fn too_long(self, sentence: impl Into<String>) -> Self {
        let response = match self.route {
            Some(route) if route == Resource::RemoteRead.pattern() => remote_read::too_long(&sentence.into()),
            Some(route) if route == Resource::Metrics.pattern() => exposed::too_large(&sentence.into()),
            _ => Response::unavailable(sentence, None),
        };
        Self { response, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    #[test]
    fn a_body_that_is_too_long_is_answered_413_in_each_encoding_of_its_route_and_415_in_others() {
        let status = |resource, encoding: &'static str| {
            let headers = [("content-encoding", encoding), ("content-type", "application/x-protobuf")];
            let request = Request {
                method: Cow::Borrowed("POST"),
                path: Ok(Cow::Borrowed("/")),
                query: Cow::Borrowed(""),
                headers: headers.map(|(name, value)| (Cow::Borrowed(name), Cow::Borrowed(value))).to_vec(),
                body: Cow::Borrowed(b""),
                authorised_by_aws: false,
            };
            too_large(resource, &request).status
        };
        // vmagent repeats for ever what is answered 413.
        let table = [
            (Resource::Metrics, [413, 413, 415]),
            (Resource::Group("job/x"), [413, 413, 415]),
            (Resource::Events, [413, 415, 415]),
            (Resource::RemoteRead, [415, 413, 415]),
            (Resource::RemoteWrite, [415, 400, 415]),
        ];
        for (resource, expected) in table {
            assert_eq!(["gzip", "snappy", "br"].map(|encoding| status(resource, encoding)), expected, "{resource:?}");
        }
    }
}
