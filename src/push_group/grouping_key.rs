//! Parses the path of a push into the grouping key: <https://github.com/prometheus/pushgateway#url>.
//!
//! The rules are those of Pushgateway, with one exception. Base64 of bytes that are not UTF-8 is an error here. Pushgateway
//! takes it, and then fails every scrape.

use crate::limits::{MAX_EXCERPT_CHARS, MAX_LABEL_VALUE_BYTES, MAX_LABELS};
use crate::model::{Label, LabelName, LabelSet, NameError};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// A label whose name ends so has its value in base64.
const BASE64_SUFFIX: &str = "@base64";

const JOB: &str = "job";

/// As Go's `RawURLEncoding`, which ignores the bits after the last byte.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// The labels that name a group, by name. A value may be empty: then it is part of the key, and series of the group have no such label.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct GroupingKey(BTreeMap<LabelName<'static>, String>);

/// Why a path has no grouping key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyError {
    EmptyJob,
    /// The last label has no value.
    NoValue {
        name: String,
    },
    Name {
        name: String,
        error: NameError,
    },
    /// Two names of the path become this one.
    Collision {
        name: String,
    },
    Base64 {
        name: String,
        value: String,
    },
    /// The value is base64 of something that is not UTF-8.
    NotText {
        name: String,
    },
    TooLong {
        name: String,
        bytes: usize,
    },
    TooMany(usize),
}

impl GroupingKey {
    /// Parses the part after `/metrics/` of a decoded path: `job/<job>{/<label>/<value>}`, or nothing.
    pub fn parse(path: &str) -> Result<Self, KeyError> {
        let mut parts = path.splitn(3, '/');
        let Some(job_name) = parts.next().filter(|name| !name.is_empty()) else { return Ok(Self::default()) };
        let job = value(job_name, parts.next().unwrap_or_default())?;
        if job.is_empty() {
            return Err(KeyError::EmptyJob);
        }
        let mut by_raw_name = BTreeMap::new();
        // A slash after the job is no label.
        let mut components =
            parts.next().filter(|labels| !labels.is_empty()).into_iter().flat_map(|all| all.split('/'));
        while let Some(name) = components.next() {
            let raw_name = name.strip_suffix(BASE64_SUFFIX).unwrap_or(name);
            let Some(raw_value) = components.next() else { return Err(KeyError::NoValue { name: excerpt(raw_name) }) };
            by_raw_name.insert(raw_name, value(name, raw_value)?);
        }
        by_raw_name.insert(JOB, job);
        if by_raw_name.len() >= MAX_LABELS {
            return Err(KeyError::TooMany(by_raw_name.len()));
        }
        let mut labels = BTreeMap::new();
        for (raw_name, value) in by_raw_name {
            let name = LabelName::translate(Cow::Borrowed(raw_name))
                .map_err(|error| KeyError::Name { name: excerpt(raw_name), error })?;
            if let Some(name) = labels.insert(name.clone().into_owned(), value).map(|_| name) {
                return Err(KeyError::Collision { name: excerpt(name.as_str()) });
            }
        }
        Ok(Self(labels))
    }

    /// Returns the labels by name, those with an empty value included.
    pub fn iter(&self) -> impl Iterator<Item = (&LabelName<'static>, &str)> {
        self.0.iter().map(|(name, value)| (name, value.as_str()))
    }

    /// Returns the key with these labels.
    pub(super) fn from_labels(labels: BTreeMap<LabelName<'static>, String>) -> Self {
        Self(labels)
    }

    /// Returns the labels that every series of the group has: those with a value, and those of `external` that it has no value for.
    pub fn common_labels<'l>(&'l self, external: &'l LabelSet<'_>) -> LabelSet<'l> {
        let of_key = self.iter().filter(|(_, value)| !value.is_empty());
        let has = |name: &LabelName<'_>| self.iter().any(|(own, value)| own == name && !value.is_empty());
        let of_settings = external.as_slice().iter().filter(|label| !has(&label.name));
        let of_settings = of_settings.map(|Label { name, value }| (name.borrowed(), value.as_ref()));
        let all = of_key.map(|(name, value)| (name.borrowed(), value)).chain(of_settings);
        // No name is in both.
        LabelSet::new(all.map(|(name, value)| Label { name, value: Cow::Borrowed(value) }).collect())
            .unwrap_or_default()
    }

    /// Returns the SHA-256 of the labels, which names the group in the table. Each text comes after its length, so that no two keys
    /// are the same bytes.
    pub fn digest(&self) -> [u8; 32] {
        let mut sha = Sha256::new();
        for (name, value) in self.iter() {
            for text in [name.as_str(), value] {
                sha.update((text.len() as u64).to_le_bytes());
                sha.update(text.as_bytes());
            }
        }
        sha.finalize().into()
    }

    /// Returns the number that decides between groups whose pushes have one time. It is the same in each process.
    pub fn rank(&self) -> u64 {
        self.digest().iter().take(8).fold(0, |rank, byte| rank << 8 | u64::from(*byte))
    }

    /// Returns the shard of the group, of so many.
    pub fn shard(&self, shards: u32) -> u32 {
        let [a, b, c, d, ..] = self.digest();
        u32::from_be_bytes([a, b, c, d]) % shards.max(1)
    }

    /// Reports whether the key decides about labels of this name.
    pub fn has(&self, name: &LabelName<'_>) -> bool {
        self.0.keys().any(|own| own == name)
    }
}

/// Decodes the value of a label if its name says that it is in base64.
fn value(name: &str, raw: &str) -> Result<String, KeyError> {
    let value = match name.strip_suffix(BASE64_SUFFIX) {
        None => raw.to_owned(),
        Some(name) => {
            let name = || excerpt(name);
            let bytes = BASE64
                .decode(raw.trim_end_matches('='))
                .map_err(|_| KeyError::Base64 { name: name(), value: excerpt(raw) })?;
            String::from_utf8(bytes).map_err(|_| KeyError::NotText { name: name() })?
        }
    };
    let bytes = value.len();
    if bytes > MAX_LABEL_VALUE_BYTES { Err(KeyError::TooLong { name: excerpt(name), bytes }) } else { Ok(value) }
}

fn excerpt(text: &str) -> String {
    text.chars().take(MAX_EXCERPT_CHARS).collect()
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyJob => f.write_str("the path has no job: expected /metrics/job/<job>{/<label>/<value>}"),
            Self::NoValue { name } => {
                write!(f, "the label {name:?} of the path has no value: expected /<label>/<value> after the job")
            }
            Self::Name { name, error } => write!(f, "the label {name:?} of the path: {error}"),
            Self::Collision { name } => write!(f, "two labels of the path become one name, {name:?}"),
            Self::Base64 { name, value } => {
                write!(f, "the label {name:?} of the path: {value:?} is not URL-safe base64")
            }
            Self::NotText { name } => write!(f, "the label {name:?} of the path: the base64 holds no UTF-8 text"),
            Self::TooLong { name, bytes } => write!(
                f,
                "the label {name:?} of the path has a value of {bytes} bytes, at most {MAX_LABEL_VALUE_BYTES} are allowed"
            ),
            Self::TooMany(labels) => {
                write!(f, "the path has {labels} labels, with __name__ at most {MAX_LABELS} are allowed")
            }
        }
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(path: &str) -> Result<Vec<(String, String)>, KeyError> {
        let pairs = |key: GroupingKey| key.iter().map(|(n, v)| (n.as_str().to_owned(), v.to_owned())).collect();
        GroupingKey::parse(path).map(pairs)
    }

    #[test]
    fn reads_labels_as_the_reference_does() {
        let table: [(&str, &[(&str, &str)]); 14] = [
            ("", &[]),
            ("job/x", &[("job", "x")]),
            ("job/x/", &[("job", "x")]),
            ("job/x/a/", &[("a", ""), ("job", "x")]),
            ("job/x/instance/i 1/a/b+c", &[("a", "b+c"), ("instance", "i 1"), ("job", "x")]),
            ("job@base64/YS9iIGM=/e@base64/=/p@base64/L3Zhci90bXA", &[("e", ""), ("job", "a/b c"), ("p", "/var/tmp")]),
            ("job/x/a/1/a/2", &[("a", "2"), ("job", "x")]),
            ("job/x/job/y", &[("job", "x")]),
            ("job/x/a@base64/Yg==/a/c", &[("a", "c"), ("job", "x")]),
            ("job/x/a.b/c", &[("a_b", "c"), ("job", "x")]),
            ("job/x/é/c", &[("U___e9_", "c"), ("job", "x")]),
            ("job/x/U__a_2e_b/c", &[("U__a_2e_b", "c"), ("job", "x")]),
            ("job/x/a@base64/Yk", &[("a", "b"), ("job", "x")]),
            ("job/@/a/@base64", &[("a", "@base64"), ("job", "@")]),
        ];
        for (path, expected) in table {
            let expected: Vec<_> = expected.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            assert_eq!(key(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn names_what_is_wrong_with_a_path() {
        let table = [
            ("job/", "the path has no job"),
            ("job", "the path has no job"),
            ("job@base64/=", "the path has no job"),
            ("job//a/b", "the path has no job"),
            ("job/x/a", "\"a\" of the path has no value"),
            ("job/x/a/b/", "\"\" of the path has no value"),
            ("job/x//", "the name is empty"),
            ("job/x//y", "the name is empty"),
            ("job/x/@base64/Yg", "the name is empty"),
            ("job/x/__a/b", "reserved"),
            ("job/x/a@base64/b*", "\"b*\" is not URL-safe base64"),
            ("job/x/a@base64/b", "\"b\" is not URL-safe base64"),
            ("job@base64/_w", "holds no UTF-8 text"),
            ("job/x/a.b/1/a_b/2", "two labels of the path become one name, \"a_b\""),
        ];
        for (path, expected) in table {
            let error = key(path).unwrap_err().to_string();
            assert!(error.contains(expected), "{path}: {error}");
        }
        assert!(matches!(key(&format!("job/{}", "x".repeat(2_049))), Err(KeyError::TooLong { bytes: 2_049, .. })));
        assert!(key(&format!("job/{}", "x".repeat(2_048))).is_ok());
        let labels: String = (0..149).flat_map(|i| ["/l".to_owned(), i.to_string(), "/v".to_owned()]).collect();
        assert_eq!(key(&format!("job/x{labels}")), Err(KeyError::TooMany(150)));
    }

    proptest! {
        /// Any path has a key or an error, and values in base64 come back as they were.
        #[test]
        fn property_test_a_value_in_base64_is_the_value(job in "[^/]{1,12}", value in ".{0,20}", path in "job(/[a-z@./=]{0,8}){0,6}") {
            let _any = key(&path);
            let coded = |text: &str| base64::prelude::BASE64_URL_SAFE.encode(text);
            let path = format!("job@base64/{}/v@base64/{}", coded(&job), if value.is_empty() { "=".to_owned() } else { coded(&value) });
            prop_assert_eq!(key(&path), Ok(vec![("job".to_owned(), job), ("v".to_owned(), value)]));
        }
    }
}
