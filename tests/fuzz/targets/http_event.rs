//! Reads any bytes as the payload of an invocation by a front. The headers of a request are bounded, and its path has no zero byte.
//! Every answer is JSON of the shape that its front takes.
//!
//! The answer to a request has its body.

#![no_main]

use amp_push_gateway::http::{Request, Response};
use amp_push_gateway::lambda::http::{EventError, Front, recognise};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|payload: &[u8]| match recognise(payload) {
    None => {}
    Some(Ok((front, request))) => {
        check_request(&request);
        check_answer(front, Bytes::copy_from_slice(&request.body));
    }
    Some(Err(error)) => {
        let text = error.to_string();
        assert!(!text.is_empty() && text.len() <= 200, "{text}");
        let EventError { front, .. } = error;
        check_answer(front, text.into());
    }
});

fn check_request(request: &Request<'_>) {
    let Request { path, headers, body, .. } = request;
    if let Ok(path) = path {
        assert!(!path.contains('\0'), "{path:?}");
    }
    assert!(headers.len() <= 2_000, "{} headers", headers.len());
    for (name, _) in headers {
        assert!(!name.bytes().any(|byte| byte.is_ascii_uppercase()), "{name:?}");
    }
    let shown = format!("{request:?}");
    assert!(body.len() < 40 || !shown.as_bytes().windows(body.len()).any(|part| part == body.as_ref()), "{shown}");
}

fn check_answer(front: Front, body: Bytes) {
    let headers = vec![("content-type", "text/plain; charset=utf-8".to_owned())];
    let answer = front.answer(&Response { status: 202, headers, body }).expect("a small answer");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    assert_eq!(answer["statusCode"], 202);
    assert!(answer["body"].is_string() && answer["isBase64Encoded"].is_boolean(), "{answer}");
    let is_balancer = matches!(front, Front::LoadBalancer { .. } | Front::VpcLattice);
    assert_eq!(answer.get("statusDescription").is_some(), is_balancer, "{answer}");
    assert_ne!(answer.get("headers").is_some(), answer.get("multiValueHeaders").is_some(), "{answer}");
}
