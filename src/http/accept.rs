//! `Accept` and `Accept-Encoding`: <https://www.rfc-editor.org/rfc/rfc9110#section-12.5>.

use super::media_type::MediaType;

/// Reports whether a scraper rather wants protobuf than text.
pub(super) fn wants_protobuf(accept: Option<&str>) -> bool {
    let (mut text, mut protobuf) = (0.0_f32, 0.0_f32);
    for media in accept.unwrap_or_default().split(',').map(MediaType::parse) {
        let quality = quality(media.parameter("q"));
        match media.essence.as_str() {
            "text/plain" | "text/*" | "*/*" => text = text.max(quality),
            _ if media.is_delimited_protobuf() => protobuf = protobuf.max(quality),
            _ => {}
        }
    }
    protobuf > text
}

/// Reports whether the client takes gzip.
pub(super) fn takes_gzip(accept_encoding: Option<&str>) -> bool {
    let mut codings = accept_encoding.unwrap_or_default().split(',').map(MediaType::parse);
    codings.any(|coding| coding.essence == "gzip" && quality(coding.parameter("q")) > 0.0)
}

fn quality(text: Option<&str>) -> f32 {
    text.map_or(1.0, |text| text.parse().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_protobuf_only_to_those_who_rather_want_it() {
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
        let table = [
            (None, false),
            (Some("*/*".to_owned()), false),
            (Some("text/html, */*;q=0.1".to_owned()), false),
            (Some(protobuf.to_owned()), true),
            (Some(format!("{protobuf};q=0.7,text/plain;version=0.0.4;q=0.4,*/*;q=0.1")), true),
            (Some(format!("text/plain;version=0.0.4;q=0.6,{protobuf};q=0.5,*/*;q=0.1")), false),
            (Some("application/vnd.google.protobuf".to_owned()), false),
        ];
        for (accept, expected) in table {
            assert_eq!(wants_protobuf(accept.as_deref()), expected, "{accept:?}");
        }
    }

    #[test]
    fn compresses_only_for_those_who_take_gzip() {
        let table = [
            (None, false),
            (Some("gzip"), true),
            (Some("br, GZIP;q=0.5"), true),
            (Some("gzip;q=0"), false),
            (Some("identity"), false),
        ];
        for (header, expected) in table {
            assert_eq!(takes_gzip(header), expected, "{header:?}");
        }
    }
}
