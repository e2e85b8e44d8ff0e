//! URLs of AMP workspaces: `https://aps-workspaces.<region>.amazonaws.com/workspaces/<id>/api/v1/remote_write`.
//!
//! Hosts: <https://docs.aws.amazon.com/prometheus/latest/userguide/what-is-Amazon-Managed-Service-Prometheus.html>;
//! with `.api.aws` (dual stack), `aps-workspaces-fips`, and names of VPC endpoints in front.

use url::Url;

const WRITE_PATH: &str = "/api/v1/remote_write";

/// Returns the region in the name of an AMP host; `None` for other hosts.
pub fn region_of(host: &str) -> Option<&str> {
    let aws = [".amazonaws.com", ".amazonaws.com.cn", ".api.aws"].iter().any(|suffix| host.ends_with(suffix));
    let mut parts = host.split('.');
    let service = parts.find(|part| matches!(*part, "aps-workspaces" | "aps-workspaces-fips"));
    service.filter(|_| aws).and_then(|_| parts.next())
}

/// Returns what is wrong with a URL on an AMP host, with the right one if that is known. Returns `None` for a right one
/// and for other hosts.
pub fn problem_of(url: &Url) -> Option<String> {
    region_of(url.host_str()?)?;
    let workspace = workspace_of(url.path());
    let right = |id: &str| format!("https://{}/workspaces/{id}{WRITE_PATH}", url.host_str().unwrap_or_default());
    match workspace {
        None => Some(format!("AMP takes writes at {}", right("<workspace id>"))),
        Some(id) if url.path() != format!("/workspaces/{id}{WRITE_PATH}") || url.query().is_some() => {
            Some(format!("AMP takes writes at {}", right(id)))
        }
        Some(id) if url.scheme() != "https" => Some(format!("AMP takes writes only over TLS, at {}", right(id))),
        Some(_) => None,
    }
}

fn workspace_of(path: &str) -> Option<&str> {
    let mut segments = path.split('/').skip_while(|segment| *segment != "workspaces").skip(1);
    segments.next().filter(|id| !id.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_read_from_amp_hosts_only() {
        let table = [
            ("aps-workspaces.eu-central-1.amazonaws.com", Some("eu-central-1")),
            ("aps-workspaces.eu-central-1.api.aws", Some("eu-central-1")),
            ("aps-workspaces-fips.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("aps-workspaces.cn-north-1.amazonaws.com.cn", Some("cn-north-1")),
            ("vpce-0a-1b.aps-workspaces.us-east-1.vpce.amazonaws.com", Some("us-east-1")),
            ("aps-workspaces.example.com", None),
            ("aps.us-east-1.amazonaws.com", None),
            ("127.0.0.1", None),
        ];
        for (host, region) in table {
            assert_eq!(region_of(host), region, "{host}");
        }
    }

    #[test]
    fn a_wrong_path_on_an_amp_host_is_a_fault_that_names_the_right_url() {
        let host = "aps-workspaces.eu-west-1.amazonaws.com";
        let right = format!("https://{host}/workspaces/ws-1/api/v1/remote_write");
        assert_eq!(problem_of(&Url::parse(&right).unwrap()), None);
        let wrong = [
            format!("https://{host}/workspaces/ws-1/"),
            format!("https://{host}/workspaces/ws-1/api/v1/"),
            format!("https://{host}/workspaces/ws-1/api/v1/remote_write/"),
            format!("https://{host}/workspaces/ws-1/remote_write"),
            format!("http://{host}/workspaces/ws-1/api/v1/remote_write"),
        ];
        for url in wrong {
            let problem = problem_of(&Url::parse(&url).unwrap()).unwrap();
            assert!(problem.contains(&right), "{url}: {problem}");
        }
        let problem = problem_of(&Url::parse(&format!("https://{host}/api/v1/remote_write")).unwrap()).unwrap();
        assert!(problem.contains("/workspaces/<workspace id>/"), "{problem}");
        assert_eq!(problem_of(&Url::parse("http://localhost:9090/api/v1/write").unwrap()), None);
    }
}
