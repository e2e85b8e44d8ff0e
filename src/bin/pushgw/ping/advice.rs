//! Explains an answer: what is wrong, and what to do. Pure.

use amp_push_gateway::amp::region_of;
use amp_push_gateway::aws::{Answer, TransportError};
use amp_push_gateway::remote_write::error_text;
use url::Url;

/// Characters of an error text.
const MAX_TEXT_CHARS: usize = 300;

const CREDENTIALS: &str = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_SESSION_TOKEN for temporary ones), \
                           or AWS_PROFILE; `aws sts get-caller-identity` shows whose they are";
const PERMISSION: &str = "the credentials are known, but lack the permission aps:RemoteWrite on this workspace: attach the \
                          managed policy AmazonPrometheusRemoteWriteAccess";

pub(super) struct Asked<'a> {
    pub(super) url: &'a Url,
    pub(super) region: Option<&'a str>,
}

/// One line: what happened, what it means, what to do.
pub(super) fn advise(asked: &Asked<'_>, answer: &Result<Answer, TransportError>) -> String {
    match answer {
        Ok(answer) => {
            let text = one_line(&error_text::of(answer));
            let said = if text.is_empty() { String::new() } else { format!(" ({text})") };
            format!("{} answered {}{said}: {}", asked.url, answer.status, of_status(asked, answer))
        }
        Err(TransportError::Credentials(cause)) => {
            format!("no credentials to sign with ({}): {CREDENTIALS}", one_line(cause))
        }
        Err(TransportError::Timeout) => format!(
            "{} did not answer in time: check the network between here and there (proxy, security group, VPC endpoint)",
            asked.url
        ),
        Err(TransportError::Connect(cause) | TransportError::Network(cause)) => {
            format!("{} could not be reached ({}): {}", asked.url, one_line(cause), of_network(asked, cause))
        }
    }
}

fn of_status(asked: &Asked<'_>, answer: &Answer) -> String {
    let advice = match answer.status {
        403 => return of_403(asked, &error_text::of(answer).to_ascii_lowercase()),
        401 => "it wants other credentials than AWS signatures",
        404 | 405 if is_amp(asked) => {
            "there is no such workspace in this region: compare the URL with prometheusEndpoint of \
             `aws amp describe-workspace`, to which api/v1/remote_write is added"
        }
        404 | 405 => {
            "the path of the URL is wrong, or the receiver takes no remote write: AMP has it at \
                /workspaces/<workspace id>/api/v1/remote_write; Prometheus at /api/v1/write, when started with \
                --web.enable-remote-write-receiver"
        }
        300..=399 => "it redirects, and the gateway follows no redirects: give the URL that it redirects to",
        400 | 415 | 422 => "it was reached, but does not take an empty write of remote write 1.0",
        429 => "it was reached, and has too many requests at the moment: try again",
        500..=599 => "it was reached, but failed: try again later",
        _ => "an answer that remote write 1.0 does not know",
    };
    advice.to_owned()
}

/// Tells causes of a 403 apart by the error text of AWS, in lower case.
fn of_403(asked: &Asked<'_>, text: &str) -> String {
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    let region = asked.region.unwrap_or("no region");
    let advice = if has(&["not authorized", "access denied", "accessdenied", "aps:remotewrite"]) {
        PERMISSION
    } else if has(&["signature expired", "not yet current", "request timestamp"]) {
        "the clock of this machine is more than five minutes off: set it, and try again"
    } else if has(&["correct service", "valid region", "scoped to"]) {
        &format!("the signature is for {region}, which is not the workspace's region: set SIGV4_REGION")
    } else if has(&["missing authentication"]) {
        "the write was not signed: set REMOTE_WRITE_AUTH=sigv4"
    } else if has(&["security token", "invalidclienttokenid", "expired token", "unrecognizedclient"]) {
        &format!("the credentials are not known or have expired: {CREDENTIALS}")
    } else if has(&["signature"]) {
        &format!(
            "the signature does not fit: the secret key belongs to another access key, or a proxy changes the request; {CREDENTIALS}"
        )
    } else {
        &format!("the signature was refused or the permission is missing: check credentials and region; {PERMISSION}")
    };
    match asked.url.host_str().and_then(region_of) {
        Some(of_host) if asked.region.is_some_and(|signed| signed != of_host) => {
            format!("{advice}; and the host is in {of_host}, but the signature is for {region}")
        }
        _ => advice.to_owned(),
    }
}

fn of_network(asked: &Asked<'_>, cause: &str) -> String {
    let cause = cause.to_ascii_lowercase();
    let has = |parts: &[&str]| parts.iter().any(|part| cause.contains(part));
    if has(&["dns", "lookup", "resolve", "name or service"]) {
        let hint = if is_amp(asked) { "; is the region in it right?" } else { "" };
        return format!("there is no host of that name, or no DNS here{hint}");
    }
    if has(&["refused"]) {
        return "nothing listens at that address and port".to_owned();
    }
    if has(&["certificate", "tls", "handshake", "corrupt message"]) {
        return "TLS failed: is it http rather than https, or is a proxy in between?".to_owned();
    }
    "check the URL and the network between here and there".to_owned()
}

fn is_amp(asked: &Asked<'_>) -> bool {
    asked.url.host_str().and_then(region_of).is_some()
}

/// One line of at most [`MAX_TEXT_CHARS`] characters.
fn one_line(text: &str) -> String {
    let mut line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = line.char_indices().nth(MAX_TEXT_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const AMP: &str = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write";
    const LOCAL: &str = "http://127.0.0.1:9090/api/v1/write";

    fn answered(url: &str, status: u16, body: &str) -> String {
        advised(url, &Ok(Answer { status, body: body.to_owned().into(), ..Answer::default() }))
    }

    fn advised(url: &str, answer: &Result<Answer, TransportError>) -> String {
        let url = url.parse().unwrap();
        advise(&Asked { url: &url, region: Some("eu-west-1") }, answer)
    }

    #[test]
    fn a_403_is_told_by_what_aws_says_with_it() {
        let table = [
            (
                "User: arn:aws:iam::1:user/x is not authorized to perform: aps:RemoteWrite",
                "AmazonPrometheusRemoteWriteAccess",
            ),
            ("Signature expired: 20260101T000000Z is now earlier than …", "clock"),
            ("Credential should be scoped to a valid region.", "SIGV4_REGION"),
            ("Missing Authentication Token", "REMOTE_WRITE_AUTH=sigv4"),
            ("The security token included in the request is invalid.", "AWS_SESSION_TOKEN"),
            ("The request signature we calculated does not match the signature you provided.", "secret key"),
            ("", "aps:RemoteWrite"),
        ];
        for (body, advice) in table {
            let said = answered(AMP, 403, body);
            assert!(said.contains("403") && said.contains(advice) && !said.contains('\n'), "{body}: {said}");
        }
    }

    #[test]
    fn each_other_status_has_its_advice() {
        let table = [
            (AMP, 404, "describe-workspace"),
            (LOCAL, 404, "/api/v1/write"),
            (LOCAL, 301, "redirects"),
            (LOCAL, 400, "400"),
            (LOCAL, 401, "other credentials"),
            (LOCAL, 429, "try again"),
            (LOCAL, 503, "try again later"),
            (LOCAL, 418, "418"),
        ];
        for (url, status, advice) in table {
            let said = answered(url, status, "told\nso");
            assert!(said.contains(advice) && said.contains("(told so)"), "{said}");
        }
    }

    #[test]
    fn without_an_answer_the_cause_decides() {
        let network = |cause: &str| TransportError::Network(cause.to_owned());
        let table = [
            (AMP, network("error sending request: dns error: failed to lookup address"), "region"),
            (LOCAL, network("connection refused (os error 111)"), "127.0.0.1:9090"),
            (LOCAL, network("invalid peer certificate"), "TLS"),
            (LOCAL, network("connection reset"), "network"),
            (LOCAL, TransportError::Timeout, "did not answer in time"),
            (AMP, TransportError::Credentials("none found".to_owned()), "AWS_PROFILE"),
        ];
        for (url, error, advice) in table {
            let said = advised(url, &Err(error));
            assert!(said.contains(advice), "{said}");
        }
    }

    #[test]
    fn two_regions_are_named() {
        let url = AMP.parse().unwrap();
        let answer = Ok(Answer { status: 403, ..Answer::default() });
        let said = advise(&Asked { url: &url, region: Some("us-east-1") }, &answer);
        assert!(said.contains("eu-west-1") && said.contains("us-east-1"), "{said}");
    }

    #[test]
    fn an_error_text_is_one_bounded_line() {
        assert_eq!(one_line("a\n\n b "), "a b");
        assert_eq!(one_line(&"é".repeat(400)).chars().count(), MAX_TEXT_CHARS + 1);
    }
}
