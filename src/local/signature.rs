//! Verifies the `SigV4` signature of a request. The code follows the documentation, and shares nothing with the signer of
//! the gateway. So a mistake in the signer cannot be hidden here.
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>. Pure: the time is an
//! argument.

mod canonical;

use crate::model::Timestamp;
use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, Request};
use sha2::{Digest, Sha256};
use std::fmt;
use time::macros::format_description;
use time::{OffsetDateTime, PrimitiveDateTime, UtcDateTime};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The most that the time of a signature may differ from the clock of the service.
const MAX_SKEW_MS: i64 = 5 * 60 * 1_000;

#[derive(Clone)]
pub struct AccessKey {
    pub id: String,
    pub secret: String,
    /// Requests with temporary credentials must send it.
    pub session_token: Option<String>,
}

/// The keys that may sign, for one service in one region.
#[derive(Clone, Debug)]
pub struct Verifier {
    /// The service's name for signing; AMP's is `aps`.
    pub service: String,
    pub region: String,
    pub keys: Vec<AccessKey>,
}

/// Why a signature is not accepted. The texts follow those of AWS.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SignatureError {
    /// There is no `Authorization` header.
    Missing,
    /// The text names the header and its form.
    Malformed(&'static str),
    UnknownKey,
    /// The session token does not belong to the key.
    Token,
    /// Signed for another service; holds the one that was expected.
    Service(String),
    /// Signed for another region; holds the one that was expected.
    Region(String),
    Clock {
        signed: String,
        now: String,
    },
    /// A header that must be signed is not.
    NotSigned(String),
    /// The secret, the body or a signed header is not the one that was signed.
    Mismatch,
}

/// The `Authorization` header.
struct Authorization<'a> {
    key_id: &'a str,
    date: &'a str,
    region: &'a str,
    service: &'a str,
    signed_headers: Vec<&'a str>,
    signature: Vec<u8>,
}

impl fmt::Debug for AccessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Verifier {
    /// Accepts a request that one of the keys signed at most five minutes from `now`.
    pub fn verify(&self, request: &Request<Bytes>, now: Timestamp) -> Result<(), SignatureError> {
        let headers = request.headers();
        let header = text(headers, "authorization")?.ok_or(SignatureError::Missing)?;
        let authorization = Authorization::parse(header).ok_or(SignatureError::Malformed(
            "Authorization is not of the form \"AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…\".",
        ))?;
        let key = self.keys.iter().find(|key| key.id == authorization.key_id).ok_or(SignatureError::UnknownKey)?;
        if authorization.service != self.service {
            return Err(SignatureError::Service(self.service.clone()));
        }
        if authorization.region != self.region {
            return Err(SignatureError::Region(self.region.clone()));
        }
        check_signed_headers(&authorization.signed_headers, headers)?;
        check_token(key, headers)?;
        let time = text(headers, "x-amz-date")?.ok_or(SignatureError::NotSigned("x-amz-date".to_owned()))?;
        check_time(time, authorization.date, now)?;
        let body_hash = body_hash(request)?;
        let canonical = canonical::request(request, &authorization.signed_headers, &body_hash);
        let scope = format!("{}/{}/{}/aws4_request", authorization.date, authorization.region, authorization.service);
        let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let signing_key = signing_key(&key.secret, &authorization)?;
        // Compares in constant time.
        mac(&signing_key, to_sign.as_bytes())?
            .verify_slice(&authorization.signature)
            .map_err(|_| SignatureError::Mismatch)
    }
}

/// kSecret -> kDate -> kRegion -> kService -> kSigning.
fn signing_key(secret: &str, authorization: &Authorization<'_>) -> Result<Vec<u8>, SignatureError> {
    let steps = [authorization.date, authorization.region, authorization.service, "aws4_request"];
    let derive = |key: Vec<u8>, step: &str| Ok(mac(&key, step.as_bytes())?.finalize().into_bytes().to_vec());
    steps.into_iter().try_fold(format!("AWS4{secret}").into_bytes(), derive)
}

/// HMAC takes a key of any length, so the constructor of this MAC never fails.
fn mac(key: &[u8], message: &[u8]) -> Result<Hmac<Sha256>, SignatureError> {
    let mut mac = Hmac::new_from_slice(key).map_err(|_| SignatureError::Mismatch)?;
    mac.update(message);
    Ok(mac)
}

/// The sender must sign `host`, the date and every other `x-amz-` header.
fn check_signed_headers(signed: &[&str], headers: &HeaderMap) -> Result<(), SignatureError> {
    let amazon = headers.keys().map(http::HeaderName::as_str).filter(|name| name.starts_with("x-amz-"));
    let missing = ["host", "x-amz-date"].into_iter().chain(amazon).find(|name| !signed.contains(name));
    if let Some(name) = missing {
        return Err(SignatureError::NotSigned(name.to_owned()));
    }
    if !signed.is_sorted() {
        return Err(SignatureError::Malformed("SignedHeaders are not in alphabetical order."));
    }
    match signed.iter().find(|name| !headers.contains_key(**name)) {
        Some(name) => Err(SignatureError::NotSigned((*name).to_owned())),
        None => Ok(()),
    }
}

fn check_token(key: &AccessKey, headers: &HeaderMap) -> Result<(), SignatureError> {
    let token = text(headers, "x-amz-security-token")?;
    if token == key.session_token.as_deref() { Ok(()) } else { Err(SignatureError::Token) }
}

fn check_time(time: &str, date: &str, now: Timestamp) -> Result<(), SignatureError> {
    let malformed = SignatureError::Malformed("X-Amz-Date is not a time like 20260102T030405Z.");
    let format = format_description!("[year][month][day]T[hour][minute][second]Z");
    let signed = PrimitiveDateTime::parse(time, &format).map_err(|_| malformed)?.assume_utc();
    if !time.starts_with(date) {
        return Err(SignatureError::Malformed(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP.",
        ));
    }
    let skew = now.since(Timestamp(signed.unix_timestamp().saturating_mul(1_000)));
    if skew.abs() <= MAX_SKEW_MS {
        return Ok(());
    }
    let now =
        OffsetDateTime::from_unix_timestamp(now.0.div_euclid(1_000)).map_or(UtcDateTime::MAX, OffsetDateTime::to_utc);
    let now = now.format(&format).unwrap_or_default();
    Err(SignatureError::Clock { signed: time.to_owned(), now })
}

/// Returns the hash of the body. If a header has one too, both must be equal.
fn body_hash(request: &Request<Bytes>) -> Result<String, SignatureError> {
    let actual = hex::encode(Sha256::digest(request.body()));
    match text(request.headers(), "x-amz-content-sha256")? {
        Some(named) if named != actual => Err(SignatureError::Mismatch),
        _ => Ok(actual),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, SignatureError> {
    let value = headers.get(name).map(http::HeaderValue::to_str).transpose();
    value.map_err(|_| SignatureError::Malformed("A header of the signature is not ASCII."))
}

impl<'a> Authorization<'a> {
    fn parse(header: &'a str) -> Option<Self> {
        let rest = header.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let (mut credential, mut signed_headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            match part.trim_ascii().split_once('=')? {
                ("Credential", value) => credential = Some(value),
                ("SignedHeaders", value) => signed_headers = Some(value),
                ("Signature", value) => signature = Some(value),
                _ => return None,
            }
        }
        let scope: Vec<_> = credential?.split('/').collect();
        let [key_id, date, region, service, "aws4_request"] = scope[..] else { return None };
        Some(Self {
            key_id,
            date,
            region,
            service,
            signed_headers: signed_headers?.split(';').collect(),
            signature: hex::decode(signature?).ok()?,
        })
    }
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("Missing Authentication Token"),
            Self::Malformed(what) => f.write_str(what),
            Self::UnknownKey | Self::Token => f.write_str("The security token included in the request is invalid."),
            Self::Service(service) => write!(f, "Credential should be scoped to correct service: '{service}'."),
            Self::Region(region) => {
                write!(f, "Credential should be scoped to a valid region, not other than '{region}'.")
            }
            Self::Clock { signed, now } if signed < now => {
                write!(f, "Signature expired: {signed} is more than 5 minutes earlier than {now}.")
            }
            Self::Clock { signed, now } => {
                write!(f, "Signature not yet current: {signed} is more than 5 minutes later than {now}.")
            }
            Self::NotSigned(header) => {
                write!(f, "'{header}' must be a 'SignedHeader' in the AWS Authorization, and be sent.")
            }
            Self::Mismatch => f.write_str(
                "The request signature we calculated does not match the signature you provided. Check your AWS \
                 Secret Access Key and signing method. Consult the service documentation for details.",
            ),
        }
    }
}

impl std::error::Error for SignatureError {}

#[cfg(test)]
mod tests;
