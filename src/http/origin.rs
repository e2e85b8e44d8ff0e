//! Recognises requests that a web page of another site makes in a browser.

use super::Request;

/// Returns why the request is refused, if it changes something and comes from another site.
pub(super) fn of_another_site(request: &Request<'_>) -> Option<&'static str> {
    if matches!(request.method.as_ref(), "GET" | "HEAD" | "OPTIONS") {
        return None;
    }
    if request.header("sec-fetch-site").is_some_and(|site| site.eq_ignore_ascii_case("cross-site")) {
        return Some("the request comes from a page of another site (Sec-Fetch-Site)");
    }
    let origin = request.header("origin")?;
    let host = origin.split_once("://").map(|(_, host)| host);
    let is_own = host.is_some_and(|host| request.header("host").is_some_and(|own| own.eq_ignore_ascii_case(host)));
    (!is_own).then_some("the request comes from a page of another site (Origin)")
}
