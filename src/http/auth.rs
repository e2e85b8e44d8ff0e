//! Compares the credential of a request with those of the door. Pure.

use crate::config::HttpCredentials;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;
use subtle::ConstantTimeEq as _;

/// Clients pad, or do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Returns whether the header `Authorization` holds one of `credentials`. The time that this takes depends only on the
/// length of the credentials.
pub(super) fn is_allowed(authorization: &str, credentials: &HttpCredentials) -> bool {
    let Some((scheme, value)) = authorization.trim().split_once(' ') else { return false };
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return credentials.token().is_some_and(|token| bool::from(token.as_bytes().ct_eq(value.as_bytes())));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let (Some((username, password)), Ok(sent)) = (credentials.basic(), BASE64.decode(value)) else { return false };
    // The user has no colon, the password may have some (RFC 7617, 2).
    let Some(colon) = sent.iter().position(|byte| *byte == b':') else { return false };
    let (sent_username, sent_password) = (&sent[..colon], &sent[colon + 1..]);
    bool::from(username.as_bytes().ct_eq(sent_username) & password.as_bytes().ct_eq(sent_password))
}

/// Reads a secret: JSON with `username` and `password`, `token`, or all three. Anything else holds no credential.
pub(super) fn credentials_in(secret: &str) -> HttpCredentials {
    let secret: Value = serde_json::from_str(secret).unwrap_or_default();
    let [username, password, token] =
        ["username", "password", "token"].map(|key| secret.get(key).and_then(Value::as_str).map(str::to_owned));
    HttpCredentials::new(username, password, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basic(text: &str) -> String {
        format!("Basic {}", BASE64.encode(text))
    }

    #[test]
    fn takes_only_a_whole_credential_of_the_door() {
        let both = credentials_in(r#"{"username": "push", "password": "a:b λ", "token": "t0k3n"}"#);
        let only_token = credentials_in(r#"{"username": "push", "password": "", "token": "t0k3n"}"#);
        let no_token = credentials_in(r#"{"username": "push", "password": "a:b λ", "token": ""}"#);
        let table = [
            (basic("push:a:b λ"), true, false, true),
            (basic("push:a:b λ").replace("Basic", "bAsIc"), true, false, true),
            (basic("push:a:b λ").trim_end_matches('=').to_owned(), true, false, true),
            (format!(" {}  ", basic("push:a:b λ").replace(' ', "   ")), true, false, true),
            (basic("push:a:b"), false, false, false),
            (basic("pus:a:b λ"), false, false, false),
            (basic("push:"), false, false, false),
            (basic(":a:b λ"), false, false, false),
            (basic("push"), false, false, false),
            (basic(""), false, false, false),
            ("Bearer t0k3n".to_owned(), true, true, false),
            ("BEARER t0k3n".to_owned(), true, true, false),
            ("Bearer t0k3".to_owned(), false, false, false),
            ("Bearer t0k3nx".to_owned(), false, false, false),
            ("Bearer ".to_owned(), false, false, false),
            ("Bearer".to_owned(), false, false, false),
            ("Basic t0k3n".to_owned(), false, false, false),
            ("Basic *".to_owned(), false, false, false),
            ("Digest t0k3n".to_owned(), false, false, false),
            ("t0k3n".to_owned(), false, false, false),
            (String::new(), false, false, false),
        ];
        for (header, by_both, by_token, by_basic) in table {
            let found = [&both, &only_token, &no_token].map(|credentials| is_allowed(&header, credentials));
            assert_eq!(found, [by_both, by_token, by_basic], "{header:?}");
        }
    }

    #[test]
    fn finds_no_credential_in_an_incomplete_secret() {
        let secrets = [
            "",
            "t0k3n",
            "\"t0k3n\"",
            "[]",
            "{}",
            r#"{"username": "u"}"#,
            r#"{"password": "p"}"#,
            r#"{"username": "", "password": "p"}"#,
            r#"{"username": "u", "password": null, "token": 5}"#,
            r#"{"Token": "t"}"#,
        ];
        for secret in secrets {
            let credentials = credentials_in(secret);
            assert!(!credentials.is_usable(), "{secret}");
            for header in ["Bearer ", "Bearer", "Basic Og==", "Basic "] {
                assert!(!is_allowed(header, &credentials), "{secret} {header}");
            }
        }
    }
}
