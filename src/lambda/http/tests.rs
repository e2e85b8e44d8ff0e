use super::*;
use crate::http::{PathError, Request, Response, decode_path};
use crate::limits::{MAX_LOAD_BALANCER_ANSWER_BYTES, MAX_SYNC_BYTES};
use ::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::BTreeMap;
use url::form_urlencoded;

const FRONTS: [Front; 6] = [
    Front::FunctionUrl,
    Front::HttpApi2,
    Front::HttpApi1,
    Front::RestApi,
    Front::LoadBalancer { multi_value_headers: false },
    Front::LoadBalancer { multi_value_headers: true },
];

const FUNCTION_URL: &str = "abc.lambda-url.eu-west-1.on.aws";
const API: &str = "abc.execute-api.eu-west-1.amazonaws.com";

fn read(event: &Value) -> Option<Result<(Front, Request<'static>), EventError>> {
    recognise(event.to_string().leak().as_bytes())
}

fn request(event: &Value) -> Request<'static> {
    read(event).unwrap().unwrap().1
}

/// An event of payload 2.0.
fn event_2(domain: &str, stage: &str, path: &str) -> Value {
    json!({"version": "2.0", "rawPath": path, "requestContext": {"domainName": domain, "stage": stage, "http": {"method": "PUT"}}})
}

/// An event of payload 1.0.
fn event_1(domain: &str, stage: &str, path: &str) -> Value {
    json!({"version": "1.0", "httpMethod": "PUT", "path": path, "requestContext": {"domainName": domain, "stage": stage}})
}

fn rest(path: &str) -> Value {
    json!({"httpMethod": "PUT", "path": path, "requestContext": {"domainName": API, "stage": "prod"}})
}

fn load_balancer(path: &str) -> Value {
    json!({"httpMethod": "PUT", "path": path, "headers": {}, "requestContext": {"elb": {"targetGroupArn": "arn"}}})
}

#[test]
fn takes_no_other_payload_for_a_request() {
    let table = [
        json!(null),
        json!("text"),
        json!([event_2(FUNCTION_URL, "$default", "/")]),
        json!({}),
        json!({"metrics": {"a": 1}, "requestContext": {"http": {"method": "PUT"}}, "version": "2.0", "rawPath": "/"}),
        json!({"Records": [event_2(FUNCTION_URL, "$default", "/")]}),
        // EventBridge.
        json!({"version": "0", "detail-type": "x", "source": "y", "detail": event_2(FUNCTION_URL, "$default", "/")}),
        json!({"version": "2.0", "rawPath": "/", "requestContext": null}),
        json!({"version": "2.0", "rawPath": "/", "requestContext": "x"}),
        // A WebSocket API.
        json!({"requestContext": {"routeKey": "$connect", "stage": "prod", "connectionId": "x"}, "isBase64Encoded": false}),
        // An authoriser of an HTTP API and of a REST API.
        json!({"version": "2.0", "type": "REQUEST", "rawPath": "/", "requestContext": {"http": {"method": "GET"}, "stage": "x"}}),
        json!({"type": "REQUEST", "httpMethod": "GET", "path": "/", "requestContext": {"stage": "x"}}),
        json!({"httpMethod": "GET", "path": "/", "requestContext": {}}),
        json!({"raw_path": "/"}),
    ];
    for payload in table {
        assert_eq!(read(&payload), None, "{payload}");
    }
    let event = event_2(FUNCTION_URL, "$default", "/").to_string();
    for broken in ["", " ", "{", &event[..event.len() - 1], &format!("{event} x"), &format!("{event}{event}")] {
        assert_eq!(recognise(broken.as_bytes()), None, "{broken}");
    }
    assert_eq!(recognise(b"{\"requestContext\": \"\xFF\"}"), None);
}

#[test]
fn decodes_the_path_only_where_the_front_has_not() {
    let sent = "/metrics/job/a%2Fb/x/c+d%25";
    let decoded = "/metrics/job/a/b/x/c+d%";
    let table = [
        (event_2(FUNCTION_URL, "$default", sent), decoded),
        (event_2(API, "$default", sent), sent),
        (event_1(API, "$default", sent), sent),
        (rest(sent), decoded),
        (load_balancer(sent), decoded),
    ];
    for (event, expected) in table {
        assert_eq!(request(&event).path.as_deref(), Ok(expected), "{event}");
    }
    assert_eq!(request(&rest("/a%FF")).path, Err(PathError::NotUtf8));
    assert_eq!(request(&rest("/a%")).path, Err(PathError::BadPercentSequence));
    assert_eq!(request(&event_2(API, "$default", "/a\0")).path, Err(PathError::Zero));
}

#[test]
fn removes_the_stage_once_and_only_from_hosts_of_api_gateway() {
    let own = "push.example.com";
    let table = [
        (API, "prod", "/prod/metrics/job/a", "/metrics/job/a"),
        (API, "prod", "/prod/prod/a", "/prod/a"),
        (API, "prod", "/prod", "/"),
        (API, "prod", "/prod/", "/"),
        (API, "prod", "/prod//a", "//a"),
        (API, "prod", "/production/a", "/production/a"),
        (API, "prod", "//prod/a", "//prod/a"),
        (API, "metrics", "/metrics/metrics/job/a", "/metrics/job/a"),
        (API, "$default", "/$default/a", "/$default/a"),
        (own, "prod", "/prod/a", "/prod/a"),
        (FUNCTION_URL, "prod", "/prod/a", "/prod/a"),
    ];
    for (domain, stage, path, expected) in table {
        for event in [event_2(domain, stage, path), event_1(domain, stage, path)] {
            assert_eq!(request(&event).path.as_deref(), Ok(expected), "{event}");
        }
    }
    assert_eq!(request(&rest("/prod/a")).path.as_deref(), Ok("/prod/a"), "a REST API leaves it out by itself");
}

#[test]
fn is_authorised_only_if_the_front_says_by_whom() {
    let with = |mut event: Value, key: &str, value: Value| {
        event["requestContext"][key] = value;
        event
    };
    let iam = json!({"iam": {"userArn": "arn:aws:iam::123456789012:user/agent"}});
    let url = event_2(FUNCTION_URL, "$default", "/");
    let api_2 = event_2(API, "$default", "/");
    let api_1 = event_1(API, "$default", "/");
    let alb = load_balancer("/");
    let user = json!({"userArn": "arn:aws:iam::123456789012:user/agent"});
    let table = [
        (url.clone(), false),
        (with(url.clone(), "authorizer", json!(null)), false),
        (with(url.clone(), "authorizer", json!({})), false),
        (with(url.clone(), "authorizer", json!({"iam": null})), false),
        (with(url.clone(), "authorizer", json!({"iam": {}})), false),
        (with(url.clone(), "authorizer", json!({"iam": {"userArn": "", "cognitoIdentity": {"amr": null}}})), false),
        (with(url.clone(), "authorizer", json!({"lambda": {"a": "b"}})), false),
        (with(url, "authorizer", iam.clone()), true),
        (with(api_2.clone(), "authorizer", iam.clone()), true),
        (with(api_2.clone(), "authorizer", json!({"jwt": {"claims": {"sub": "x"}, "scopes": null}})), true),
        (with(api_2.clone(), "authorizer", json!({"jwt": {"claims": null, "scopes": null}})), false),
        (with(api_2.clone(), "authorizer", json!({"lambda": {}})), true),
        (with(api_2, "identity", user.clone()), false),
        (with(api_1.clone(), "authorizer", json!({"claims": null, "scopes": null})), false),
        (with(api_1, "authorizer", json!({"principalId": "x"})), true),
        (with(rest("/"), "identity", json!({"userArn": null, "apiKey": "x", "sourceIp": "203.0.113.7"})), false),
        (with(rest("/"), "identity", json!({"userArn": ""})), false),
        (with(rest("/"), "identity", user.clone()), true),
        (with(rest("/"), "authorizer", json!({"principalId": "x"})), true),
        (with(rest("/"), "authorizer", json!("x".repeat(70_000))), false),
        (with(with(alb, "identity", user), "authorizer", iam), false),
    ];
    for (event, expected) in table {
        assert_eq!(request(&event).authorised_by_aws, expected, "{event}");
    }
}

#[test]
fn says_which_part_of_an_event_cannot_be_read() {
    let set = |mut event: Value, key: &str, value: Value| {
        event[key] = value;
        event
    };
    let url = || event_2(FUNCTION_URL, "$default", "/");
    let not_a = |key, expected| EventProblem::NotA { key, expected };
    let many: BTreeMap<_, _> = (0..3_000).map(|number| (format!("x{number}"), "")).collect();
    let pairs = "an object of at most 2,000 strings";
    let table = [
        (set(url(), "rawPath", json!(null)), EventProblem::Missing("rawPath")),
        (set(url(), "rawPath", json!(1)), not_a("rawPath", "a string")),
        (set(url(), "rawQueryString", json!([])), not_a("rawQueryString", "a string")),
        (set(rest("/"), "httpMethod", json!(1)), not_a("httpMethod", "a string")),
        (set(load_balancer("/"), "httpMethod", json!(null)), EventProblem::Missing("httpMethod")),
        (set(url(), "headers", json!("x")), not_a("headers", pairs)),
        (set(url(), "headers", json!({"a": 1})), not_a("headers", pairs)),
        (set(url(), "headers", json!(many)), not_a("headers", pairs)),
        (set(rest("/"), "multiValueHeaders", json!({"a": vec![""; 3_000]})), not_a("multiValueHeaders", pairs)),
        (set(rest("/"), "multiValueHeaders", json!({"a".repeat(2_000): ["", ""]})), not_a("multiValueHeaders", pairs)),
        (set(rest("/"), "queryStringParameters", json!(1)), not_a("queryStringParameters", pairs)),
        (set(url(), "body", json!({})), not_a("body", "a string")),
        (
            set(set(url(), "body", json!("YQ==")), "isBase64Encoded", json!("yes")),
            not_a("isBase64Encoded", "a boolean"),
        ),
        (set(set(url(), "body", json!("a")), "isBase64Encoded", json!(true)), EventProblem::NotBase64),
    ];
    for (event, problem) in table {
        let error = read(&event).unwrap().unwrap_err();
        assert_eq!(error.problem, problem, "{event}");
        assert!(error.to_string().len() < 150, "{error}");
    }
}

#[test]
fn takes_null_and_absent_parts_as_the_same() {
    for event in [event_2(FUNCTION_URL, "$default", "/"), event_1(API, "$default", "/"), rest("/"), load_balancer("/")]
    {
        let mut nulls = event.clone();
        for key in [
            "body",
            "multiValueHeaders",
            "queryStringParameters",
            "multiValueQueryStringParameters",
            "rawQueryString",
            "isBase64Encoded",
            "cookies",
        ] {
            nulls[key] = Value::Null;
        }
        for key in ["authorizer", "identity", "elb", "http"] {
            if nulls["requestContext"].get(key).is_none() {
                nulls["requestContext"][key] = Value::Null;
            }
        }
        assert_eq!(request(&nulls), request(&event), "{nulls}");
    }
}

#[test]
fn keeps_the_bytes_of_a_body_that_is_no_unicode() {
    let event = event_2(FUNCTION_URL, "$default", "/").to_string();
    let event = event.replacen('{', "{\"body\": \"a\\ud800\\u0000\", ", 1);
    let (_, request) = recognise(event.as_bytes()).unwrap().unwrap();
    assert_eq!(request.body.as_ref(), b"a\xED\xA0\x80\0");
}

// --- answers ---------------------------------------------------------------------------------------------------------

fn response(media_type: &str, body: impl Into<bytes::Bytes>) -> Response {
    Response { status: 200, headers: vec![("content-type", media_type.to_owned())], body: body.into() }
}

fn answer(front: Front, response: &Response) -> Value {
    serde_json::from_str(&front.answer(response).unwrap()).unwrap()
}

#[test]
fn answers_bytes_in_base64_and_text_as_it_is() {
    let gzip = |mut response: Response| {
        response.headers.push(("content-encoding", "gzip".to_owned()));
        response
    };
    let table = [
        (response("text/plain; charset=utf-8", "a\n"), "a\n", false),
        (response("application/json", "{}"), "{}", false),
        (response("text/plain", ""), "", false),
        (response("application/x-protobuf", ""), "", false),
        (gzip(response("text/plain", "")), "", false),
        (response("application/x-protobuf", "\n\x04"), "CgQ=", true),
        (response("text/plain", &b"\xFF"[..]), "/w==", true),
        (gzip(response("text/plain", "ab")), "YWI=", true),
        (Response { status: 204, headers: Vec::new(), body: "".into() }, "", false),
    ];
    for (response, body, is_base64) in table {
        for front in FRONTS {
            let answer = answer(front, &response);
            assert_eq!(
                (&answer["body"], &answer["isBase64Encoded"]),
                (&json!(body), &json!(is_base64)),
                "{response:?}"
            );
        }
    }
}

#[test]
fn tells_an_answer_that_is_too_large_for_its_front() {
    for front in FRONTS {
        let max = front.max_answer_bytes();
        let is_balancer = matches!(front, Front::LoadBalancer { .. });
        assert_eq!(max, if is_balancer { MAX_LOAD_BALANCER_ANSWER_BYTES } else { MAX_SYNC_BYTES });
        let empty = front.answer(&response("text/plain", "")).unwrap().len();
        let longest = response("text/plain", "x".repeat(max - empty));
        assert_eq!(front.answer(&longest).unwrap().len(), max);
        for (media_type, bytes) in
            [("text/plain", max - empty + 1), ("text/plain", max * 3), ("image/png", max / 4 * 3)]
        {
            let too_large = front.answer(&response(media_type, "x".repeat(bytes)));
            assert_eq!(too_large, Err(AnswerTooLarge { max_bytes: max }), "{front:?} {media_type} {bytes}");
        }
        let escaped = front.answer(&response("text/plain", "\n".repeat(max / 2)));
        assert_eq!(escaped, Err(AnswerTooLarge { max_bytes: max }));
    }
}

#[test]
fn describes_every_status_to_a_load_balancer() {
    for status in [200, 202, 204, 400, 401, 403, 404, 405, 413, 415, 422, 503] {
        let response = Response { status, headers: Vec::new(), body: "".into() };
        let answer = answer(FRONTS[4], &response);
        let phrase = StatusCode::from_u16(status).unwrap().canonical_reason().unwrap();
        assert_eq!(answer["statusDescription"], format!("{status} {phrase}"));
        for front in &FRONTS[..4] {
            assert_eq!(super::tests::answer(*front, &response).get("statusDescription"), None);
        }
    }
}

// --- any request through any front -----------------------------------------------------------------------------------

/// Makes the event of a request as `front` does.
fn event(front: Front, request: &Sent) -> Value {
    let Sent { method, path, query, headers, body, authorised } = request;
    let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
    let decoded_path = decode_path(path.as_str().into()).unwrap().into_owned();
    let joined = |pairs: &[(String, String)]| {
        let mut map = BTreeMap::new();
        for (name, value) in pairs {
            map.insert(name.clone(), value.clone());
        }
        json!(map)
    };
    let listed = |pairs: &[(String, String)]| {
        let mut map: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (name, value) in pairs {
            map.entry(name.clone()).or_default().push(value.clone());
        }
        json!(map)
    };
    let raw_query: Vec<_> = query
        .iter()
        .map(|(name, value)| {
            let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
            (encode(name), encode(value))
        })
        .collect();
    let (body, is_base64) = match std::str::from_utf8(body) {
        Ok("") => (Value::Null, false),
        Ok(text) => (json!(text), false),
        Err(_) => (json!(STANDARD.encode(body)), true),
    };
    let authorizer = if *authorised { json!({"iam": {"userArn": "arn"}}) } else { Value::Null };
    let context = json!({"stage": "prod", "authorizer": authorizer});
    let with = |key: &str, value: Value| {
        let mut context = context.clone();
        context[key] = value;
        context
    };
    let mut event = match front {
        Front::FunctionUrl | Front::HttpApi2 => {
            let mut context = with("http", json!({"method": method, "path": "/not/this"}));
            let is_url = front == Front::FunctionUrl;
            context["domainName"] = json!(if is_url { FUNCTION_URL } else { API });
            let path = if is_url { path.clone() } else { format!("/prod{decoded_path}") };
            json!({"version": "2.0", "rawPath": path, "rawQueryString": encoded, "headers": joined(headers), "requestContext": context})
        }
        Front::HttpApi1 | Front::RestApi => {
            let path = if front == Front::RestApi { path.clone() } else { format!("/prod{decoded_path}") };
            let mut event = json!({
                "httpMethod": method, "path": path, "requestContext": with("domainName", json!(API)),
                "headers": joined(headers), "multiValueHeaders": listed(headers),
                "queryStringParameters": joined(query), "multiValueQueryStringParameters": listed(query),
            });
            if front == Front::HttpApi1 {
                event["version"] = json!("1.0");
            }
            event
        }
        Front::LoadBalancer { multi_value_headers } => {
            let mut event = json!({
                "httpMethod": method, "path": path, "requestContext": {"elb": {"targetGroupArn": "arn"}},
            });
            let (headers_key, query_key) = if multi_value_headers {
                ("multiValueHeaders", "multiValueQueryStringParameters")
            } else {
                ("headers", "queryStringParameters")
            };
            event[headers_key] = if multi_value_headers { listed(headers) } else { joined(headers) };
            event[query_key] = if multi_value_headers { listed(&raw_query) } else { joined(&raw_query) };
            event
        }
        Front::VpcLattice => unreachable!("it is not supported"),
    };
    event["body"] = body;
    event["isBase64Encoded"] = json!(is_base64);
    event
}

#[derive(Clone, Debug)]
struct Sent {
    method: String,
    /// Encoded.
    path: String,
    /// Decoded, with distinct names in order.
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    authorised: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let segment = prop_oneof!["[a-z+@]{0,6}", "(%2F|%25|%CE%BB|%20|%3F){1,3}"];
    let path = proptest::collection::vec(segment, 1..6).prop_map(|segments| format!("/{}", segments.join("/")));
    let query = proptest::collection::btree_map("[a-z]{1,5}|\\PC{1,3}", "\\PC{0,8}", 0..4);
    let headers = proptest::collection::btree_map("[A-Za-z][A-Za-z0-9-]{0,12}", "[ -~]{0,20}", 1..6);
    let body = prop_oneof![proptest::collection::vec(any::<u8>(), 0..64), "\\PC{0,40}".prop_map(String::into_bytes)];
    ("GET|PUT|POST|DELETE", path, query, headers, body, any::<bool>()).prop_map(
        |(method, path, query, headers, body, authorised)| {
            let (query, headers) = (query.into_iter().collect(), headers.into_iter().collect());
            Sent { method, path, query, headers, body, authorised }
        },
    )
}

proptest! {
    /// Whatever a client sends, each front passes it on whole.
    #[test]
    fn reads_the_request_that_the_front_was_sent(sent in sent()) {
        for front in FRONTS {
            let event = event(front, &sent).to_string();
            let (found, request) = recognise(event.as_bytes()).unwrap().unwrap();
            prop_assert_eq!(found, front);
            prop_assert_eq!(&request.method, &sent.method);
            prop_assert_eq!(request.path.clone(), decode_path(sent.path.as_str().into()));
            let mut query: Vec<_> = form_urlencoded::parse(request.query.as_bytes()).into_owned().collect();
            let mut expected = sent.query.clone();
            expected.sort();
            query.sort();
            prop_assert_eq!(query, expected);
            let mut headers: Vec<_> =
                sent.headers.iter().map(|(name, value)| (name.to_ascii_lowercase().into(), value.as_str().into())).collect();
            let mut found_headers: Vec<(Cow<'_, str>, Cow<'_, str>)> = request.headers.clone();
            headers.sort();
            found_headers.sort();
            prop_assert_eq!(found_headers, headers);
            prop_assert_eq!(request.body.as_ref(), sent.body.as_slice());
            prop_assert_eq!(request.authorised_by_aws, sent.authorised && !matches!(front, Front::LoadBalancer { .. }));
        }
    }

    /// An answer arrives as it was given, or its front is told that it is too large.
    #[test]
    fn answers_keep_status_headers_and_body(status in 200..600_u16, is_text in any::<bool>(), body in proptest::collection::vec(any::<u8>(), 0..64), value in "[ -~]{0,10}") {
        let media_type = if is_text { "text/plain" } else { "application/x-protobuf" };
        let mut response = response(media_type, body.clone());
        response.status = status;
        response.headers.push(("x-a", value.clone()));
        for front in FRONTS {
            let answer = answer(front, &response);
            prop_assert_eq!(&answer["statusCode"], status);
            let text = answer["body"].as_str().unwrap();
            let found = if answer["isBase64Encoded"] == true { STANDARD.decode(text).unwrap() } else { text.as_bytes().to_vec() };
            prop_assert_eq!(&found, &body);
            let header = if answer.get("headers").is_some() { &answer["headers"]["x-a"] } else { &answer["multiValueHeaders"]["x-a"][0] };
            prop_assert_eq!(header, &value);
        }
    }
}
