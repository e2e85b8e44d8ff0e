//! The canonical form of a request, which both sides hash.

use bytes::Bytes;
use http::Request;

/// Returns method, path, query, headers, their names, and the hash of the body, one line each.
pub(super) fn request(request: &Request<Bytes>, signed_headers: &[&str], body_hash: &str) -> String {
    let mut canonical =
        format!("{}\n{}\n{}\n", request.method(), path(request.uri().path()), query(request.uri().query()));
    for name in signed_headers {
        let values = request.headers().get_all(*name).iter();
        let values: Vec<_> = values.map(|value| squeeze(&String::from_utf8_lossy(value.as_bytes()))).collect();
        canonical.push_str(name);
        canonical.push(':');
        canonical.push_str(&values.join(","));
        canonical.push('\n');
    }
    canonical.push('\n');
    canonical.push_str(&signed_headers.join(";"));
    canonical.push('\n');
    canonical.push_str(body_hash);
    canonical
}

/// Every service but S3 encodes the path once more: the `%20` of the wire is `%2520` here. Does not resolve dots and
/// double slashes, which no path of this server has.
fn path(wire: &str) -> String {
    let mut canonical = String::with_capacity(wire.len());
    for byte in wire.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            canonical.push(char::from(byte));
        } else {
            canonical.push('%');
            canonical.push_str(&hex::encode_upper([byte]));
        }
    }
    canonical
}

fn query(wire: Option<&str>) -> String {
    let mut pairs: Vec<_> = wire
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

/// Removes outer spaces and makes one of each inner run of them.
fn squeeze(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_paths_queries_and_values_canonical() {
        assert_eq!(path("/workspaces/ws-1/api/v1/remote_write"), "/workspaces/ws-1/api/v1/remote_write");
        assert_eq!(path("/a%20b"), "/a%2520b");
        assert_eq!(query(Some("b=2&a=1&c")), "a=1&b=2&c=");
        assert_eq!(query(None), "");
        assert_eq!(squeeze("  a   b "), "a b");
    }
}
