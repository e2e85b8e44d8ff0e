//! `Content-Type`: <https://www.rfc-editor.org/rfc/rfc9110#section-8.3>.

/// A media type, in lower case, and its parameters.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct MediaType<'h> {
    pub(super) essence: String,
    parameters: &'h str,
}

/// How the body of a push is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PushFormat {
    Text,
    OpenMetrics,
    Protobuf,
}

impl<'h> MediaType<'h> {
    pub(super) fn parse(header: &'h str) -> Self {
        let (essence, parameters) = header.split_once(';').unwrap_or((header, ""));
        Self { essence: essence.trim().to_ascii_lowercase(), parameters }
    }

    /// Returns the value of a parameter, without quotes.
    pub(super) fn parameter(&self, name: &str) -> Option<&'h str> {
        let pairs = self.parameters.split(';').filter_map(|pair| pair.split_once('='));
        let mut values = pairs.filter(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        values.next().map(|(_, value)| value.trim().trim_matches('"'))
    }

    /// Reports whether it is delimited protobuf, `io.prometheus.client.MetricFamily`.
    pub(super) fn is_delimited_protobuf(&self) -> bool {
        self.essence == "application/vnd.google.protobuf"
            && self.parameter("proto") == Some("io.prometheus.client.MetricFamily")
            && self.parameter("encoding") == Some("delimited")
    }
}

impl PushFormat {
    /// As in Pushgateway an unknown or missing type is the text format.
    pub(super) fn of(content_type: Option<&str>) -> Self {
        let media = MediaType::parse(content_type.unwrap_or_default());
        match media.essence.as_str() {
            "application/openmetrics-text" => Self::OpenMetrics,
            _ if media.is_delimited_protobuf() => Self::Protobuf,
            _ => Self::Text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_format_of_a_push_by_its_type() {
        let table = [
            (None, PushFormat::Text),
            (Some(""), PushFormat::Text),
            (Some("text/plain; version=0.0.4; charset=utf-8"), PushFormat::Text),
            (Some("application/x-www-form-urlencoded"), PushFormat::Text),
            (Some("application/octet-stream"), PushFormat::Text),
            (Some("application/openmetrics-text; version=1.0.0; charset=utf-8"), PushFormat::OpenMetrics),
            (Some("Application/OpenMetrics-Text"), PushFormat::OpenMetrics),
            (
                Some("application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"),
                PushFormat::Protobuf,
            ),
            (
                Some(
                    "application/vnd.google.protobuf;encoding=\"delimited\" ; PROTO=\"io.prometheus.client.MetricFamily\"",
                ),
                PushFormat::Protobuf,
            ),
            (Some("application/vnd.google.protobuf; encoding=text"), PushFormat::Text),
            (Some("application/vnd.google.protobuf"), PushFormat::Text),
        ];
        for (header, expected) in table {
            assert_eq!(PushFormat::of(header), expected, "{header:?}");
        }
    }
}
