//! What is signed by AWS' own signer is accepted; anything that was changed after is not.

use super::*;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::HeaderValue;
use std::time::{Duration, SystemTime};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const PATH: &str = "/workspaces/ws-1/api/v1/remote_write";

struct Sent {
    method: Method,
    headers: HeaderMap,
    body: Vec<u8>,
}

fn verifier() -> Verifier {
    let key = |id: &str, session_token: Option<&str>| AccessKey {
        id: id.to_owned(),
        secret: "secret".to_owned(),
        session_token: session_token.map(str::to_owned),
    };
    let keys = vec![key("AKID", None), key("ASIA", Some("token"))];
    Verifier { service: "aps".to_owned(), region: "eu-west-1".to_owned(), keys }
}

fn signed(credentials: (&str, &str, Option<&str>), service: &str, region: &str, at: Timestamp) -> Sent {
    let (id, secret, token) = credentials;
    let identity = Credentials::new(id, secret, token.map(str::to_owned), None, "test").into();
    let time = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at.0).unwrap());
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .name(service)
        .region(region)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let body = b"snappy".to_vec();
    let url = format!("http://127.0.0.1:9/{}", PATH.trim_start_matches('/'));
    let plain = [("content-encoding", "snappy"), ("user-agent", "test  1")];
    let signable = SignableRequest::new("POST", &url, plain.into_iter(), SignableBody::Bytes(&body)).unwrap();
    let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
    let mut request = http::Request::post(&url).header("host", "127.0.0.1:9").body(()).unwrap();
    for (name, value) in plain {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    instructions.apply_to_request_http1x(&mut request);
    Sent { method: Method::POST, headers: request.headers().clone(), body }
}

fn good() -> Sent {
    signed(("AKID", "secret", None), "aps", "eu-west-1", NOW)
}

fn verify_at(sent: &Sent, now: Timestamp) -> Result<(), SignatureError> {
    let Sent { method, headers, body } = sent;
    verifier().verify(&Received { method, path: PATH, query: None, headers, body }, now)
}

fn verify(sent: &Sent) -> Result<(), SignatureError> {
    verify_at(sent, NOW)
}

#[test]
fn a_good_signature_is_accepted() {
    assert_eq!(verify(&good()), Ok(()));
}

#[test]
fn a_session_token_must_be_the_keys_own_and_signed() {
    let sent = |id, token| signed((id, "secret", token), "aps", "eu-west-1", NOW);
    assert_eq!(verify(&sent("ASIA", Some("token"))), Ok(()));
    assert_eq!(verify(&sent("ASIA", Some("other"))), Err(SignatureError::Token));
    assert_eq!(verify(&sent("ASIA", None)), Err(SignatureError::Token));
    assert_eq!(verify(&sent("AKID", Some("token"))), Err(SignatureError::Token));
    let mut added_later = sent("ASIA", None);
    added_later.headers.insert("x-amz-security-token", HeaderValue::from_static("token"));
    assert_eq!(verify(&added_later), Err(SignatureError::NotSigned("x-amz-security-token".to_owned())));
}

#[test]
fn credentials_of_another_scope_are_refused() {
    let table = [
        (("NOBODY", "secret", None), "aps", "eu-west-1", SignatureError::UnknownKey),
        (("AKID", "wrong", None), "aps", "eu-west-1", SignatureError::Mismatch),
        (("AKID", "secret", None), "lambda", "eu-west-1", SignatureError::Service("aps".to_owned())),
        (("AKID", "secret", None), "aps", "us-east-1", SignatureError::Region("eu-west-1".to_owned())),
    ];
    for (credentials, service, region, expected) in table {
        assert_eq!(verify(&signed(credentials, service, region, NOW)), Err(expected));
    }
}

#[test]
fn anything_changed_after_signing_is_a_mismatch() {
    let mut body = good();
    body.body.push(0);
    let mut method = good();
    method.method = Method::PUT;
    let mut header = good();
    header.headers.insert("content-encoding", HeaderValue::from_static("gzip"));
    for (what, sent) in [("body", body), ("method", method), ("header", header)] {
        assert_eq!(verify(&sent), Err(SignatureError::Mismatch), "{what}");
    }
    let sent = good();
    let moved =
        Received { method: &sent.method, path: "/other", query: None, headers: &sent.headers, body: &sent.body };
    assert_eq!(verifier().verify(&moved, NOW), Err(SignatureError::Mismatch));
}

#[test]
fn a_clock_may_be_five_minutes_off() {
    for skew in [-300_000, 0, 300_000] {
        assert_eq!(verify_at(&good(), Timestamp(NOW.0 + skew)), Ok(()), "{skew}");
    }
    for (skew, word) in [(-301_000, "not yet current"), (301_000, "expired")] {
        let error = verify_at(&good(), Timestamp(NOW.0 + skew)).unwrap_err();
        assert!(error.to_string().contains(word), "{skew}: {error}");
    }
}

#[test]
fn headers_that_are_missing_or_of_another_form_are_named() {
    let mut sent = good();
    sent.headers.remove("authorization");
    assert_eq!(verify(&sent), Err(SignatureError::Missing));
    for header in ["", "Basic abc", "AWS4-HMAC-SHA256 Credential=AKID/20231114/eu-west-1/aps/aws4_request"] {
        sent.headers.insert("authorization", HeaderValue::from_static(header));
        assert!(matches!(verify(&sent), Err(SignatureError::Malformed(_))), "{header}");
    }
    let mut sent = good();
    sent.headers.remove("x-amz-date");
    assert_eq!(verify(&sent), Err(SignatureError::NotSigned("x-amz-date".to_owned())));
}
