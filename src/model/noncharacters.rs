//! The two characters that JSON allows and SQS does not take: <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>.

const NONCHARACTERS: [char; 2] = ['\u{fffe}', '\u{ffff}'];

/// Returns the same JSON with U+FFFE and U+FFFF as escapes. They stand only in its strings.
pub fn escape_noncharacters(json: String) -> String {
    if json.contains(NONCHARACTERS) {
        return json.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff");
    }
    json
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn property_test_json_says_the_same_with_escapes(text in "[a\\\\\"\u{fffd}-\u{10000}]{0,9}") {
            let json = serde_json::Value::from(text.as_str());
            let escaped = escape_noncharacters(json.to_string());
            prop_assert!(!escaped.contains(NONCHARACTERS));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), json);
        }
    }
}
