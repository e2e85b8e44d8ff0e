//! Tests with requests that AWS' own signer signed, unchanged and changed.

use super::*;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http::{HeaderValue, Method};
use std::time::{Duration, SystemTime};

const NOW: Timestamp = Timestamp(1_700_000_000_000);
const PATH: &str = "/workspaces/ws-1/api/v1/remote_write";

fn verifier() -> Verifier {
    let key = |id: &str, session_token: Option<&str>| AccessKey {
        id: id.to_owned(),
        secret: "secret".to_owned(),
        session_token: session_token.map(str::to_owned),
    };
    let keys = vec![key("AKID", None), key("ASIA", Some("token"))];
    Verifier { service: "aps".to_owned(), region: "eu-west-1".to_owned(), keys }
}

fn signed(credentials: (&str, &str, Option<&str>), service: &str, region: &str, at: Timestamp) -> Request<Bytes> {
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
    let body = Bytes::from_static(b"snappy");
    let url = format!("http://127.0.0.1:9/{}", PATH.trim_start_matches('/'));
    let plain = [("content-encoding", "snappy"), ("user-agent", "test  1")];
    let signable = SignableRequest::new("POST", &url, plain.into_iter(), SignableBody::Bytes(&body)).unwrap();
    let (instructions, _) = sign(signable, &params.into()).unwrap().into_parts();
    let mut request = http::Request::post(&url).header("host", "127.0.0.1:9").body(body).unwrap();
    for (name, value) in plain {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    instructions.apply_to_request_http1x(&mut request);
    request
}

fn good() -> Request<Bytes> {
    signed(("AKID", "secret", None), "aps", "eu-west-1", NOW)
}

fn verify_at(sent: &Request<Bytes>, now: Timestamp) -> Result<(), SignatureError> {
    verifier().verify(sent, now)
}

fn verify(sent: &Request<Bytes>) -> Result<(), SignatureError> {
    verify_at(sent, NOW)
}

#[test]
fn accepts_a_good_signature() {
    assert_eq!(verify(&good()), Ok(()));
}

#[test]
fn accepts_only_the_session_token_of_the_key_and_only_signed() {
    let sent = |id, token| signed((id, "secret", token), "aps", "eu-west-1", NOW);
    assert_eq!(verify(&sent("ASIA", Some("token"))), Ok(()));
    assert_eq!(verify(&sent("ASIA", Some("other"))), Err(SignatureError::Token));
    assert_eq!(verify(&sent("ASIA", None)), Err(SignatureError::Token));
    assert_eq!(verify(&sent("AKID", Some("token"))), Err(SignatureError::Token));
    let mut added_later = sent("ASIA", None);
    added_later.headers_mut().insert("x-amz-security-token", HeaderValue::from_static("token"));
    assert_eq!(verify(&added_later), Err(SignatureError::NotSigned("x-amz-security-token".to_owned())));
}

#[test]
fn rejects_credentials_of_another_scope() {
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
fn rejects_a_request_that_was_changed_after_signing() {
    let mut body = good();
    *body.body_mut() = Bytes::from_static(b"snappier");
    let mut method = good();
    *method.method_mut() = Method::PUT;
    let mut header = good();
    header.headers_mut().insert("content-encoding", HeaderValue::from_static("gzip"));
    let mut path = good();
    *path.uri_mut() = "/other".parse().unwrap();
    for (what, sent) in [("body", body), ("method", method), ("header", header), ("path", path)] {
        assert_eq!(verify(&sent), Err(SignatureError::Mismatch), "{what}");
    }
}

#[test]
fn accepts_a_clock_that_differs_by_five_minutes() {
    for skew in [-300_000, 0, 300_000] {
        assert_eq!(verify_at(&good(), Timestamp(NOW.0 + skew)), Ok(()), "{skew}");
    }
    for (skew, word) in [(-301_000, "not yet current"), (301_000, "expired")] {
        let error = verify_at(&good(), Timestamp(NOW.0 + skew)).unwrap_err();
        assert!(error.to_string().contains(word), "{skew}: {error}");
    }
}

#[test]
fn names_a_header_that_is_missing_or_malformed() {
    let mut sent = good();
    sent.headers_mut().remove("authorization");
    assert_eq!(verify(&sent), Err(SignatureError::Missing));
    for header in ["", "Basic abc", "AWS4-HMAC-SHA256 Credential=AKID/20231114/eu-west-1/aps/aws4_request"] {
        sent.headers_mut().insert("authorization", HeaderValue::from_static(header));
        assert!(matches!(verify(&sent), Err(SignatureError::Malformed(_))), "{header}");
    }
    let mut sent = good();
    sent.headers_mut().remove("x-amz-date");
    assert_eq!(verify(&sent), Err(SignatureError::NotSigned("x-amz-date".to_owned())));
}
