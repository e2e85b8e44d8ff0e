//! URLs of AMP workspaces: `https://aps-workspaces.<region>.amazonaws.com/workspaces/<id>/api/v1/remote_write`.
//!
//! Hosts: <https://docs.aws.amazon.com/prometheus/latest/userguide/what-is-Amazon-Managed-Service-Prometheus.html>. Others
//! are `.api.aws` (dual stack), `aps-workspaces-fips`, and names of VPC endpoints in front.

use url::Url;

const WRITE_PATH: &str = "/api/v1/remote_write";
const QUERY_PATH: &str = "/api/v1/query";

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

/// Returns the URL of the query API of the workspace that `write_url` writes to; `None` for a URL that is not of AMP.
pub fn query_url_of_workspace(write_url: &Url) -> Option<Url> {
    region_of(write_url.host_str()?)?;
    let workspace = workspace_of(write_url.path())?;
    let mut url = write_url.clone();
    url.set_path(&format!("/workspaces/{workspace}{QUERY_PATH}"));
    url.set_query(None);
    Some(url)
}

/// Returns the URL of the query API if `url` is that, or the URL of a server or workspace as Grafana's data sources name it.
pub fn query_url(mut url: Url) -> Url {
    let path = url.path().trim_end_matches('/');
    let base = path.strip_suffix(QUERY_PATH).or_else(|| path.strip_suffix("/api/v1")).unwrap_or(path);
    url.set_path(&format!("{base}{QUERY_PATH}"));
    url
}

/// Returns what is wrong with the URL of a query API on an AMP host, with the right one. Returns `None` for a right one and for
/// other hosts.
pub fn query_problem_of(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    region_of(host)?;
    let right = query_url_of_workspace(url).filter(|right| url.scheme() == "https" && right == url);
    let id = workspace_of(url.path()).unwrap_or("<workspace id>");
    right.is_none().then(|| format!("AMP takes queries at https://{host}/workspaces/{id}{QUERY_PATH}"))
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

    #[test]
    fn the_query_api_is_beside_the_writes_of_a_workspace() {
        let host = "https://aps-workspaces.eu-west-1.amazonaws.com";
        let query_url = |url: &str| query_url_of_workspace(&Url::parse(url).unwrap()).map(String::from);
        let write_url = format!("{host}/workspaces/ws-1/api/v1/remote_write");
        assert_eq!(query_url(&write_url), Some(format!("{host}/workspaces/ws-1/api/v1/query")));
        assert_eq!(query_url("http://localhost:9090/workspaces/ws-1/api/v1/remote_write"), None);
        assert_eq!(query_url(host), None);
    }

    #[test]
    fn a_server_a_workspace_and_their_query_api_name_the_same() {
        let amp = "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1";
        let table = [
            ("http://localhost:9090".to_owned(), "http://localhost:9090/api/v1/query"),
            ("http://localhost:9090/".to_owned(), "http://localhost:9090/api/v1/query"),
            ("http://localhost:9090/api/v1/query".to_owned(), "http://localhost:9090/api/v1/query"),
            ("http://h/prefix/api/v1/?tenant=1".to_owned(), "http://h/prefix/api/v1/query?tenant=1"),
            (amp.to_owned(), "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/query"),
            (format!("{amp}/"), "https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/query"),
        ];
        for (url, expected) in table {
            let url = query_url(Url::parse(&url).unwrap());
            assert_eq!((url.as_str(), query_problem_of(&url)), (expected, None));
        }
    }

    #[test]
    fn a_wrong_path_of_queries_on_an_amp_host_names_the_right_url() {
        let host = "aps-workspaces.eu-west-1.amazonaws.com";
        let right = format!("https://{host}/workspaces/ws-1/api/v1/query");
        let wrong = [
            format!("https://{host}/workspaces/ws-1/api/v1/remote_write"),
            format!("http://{host}/workspaces/ws-1"),
            format!("{right}?x=1"),
        ];
        for url in wrong {
            let problem = query_problem_of(&query_url(Url::parse(&url).unwrap())).unwrap();
            assert!(problem.contains(&right), "{url}: {problem}");
        }
        let problem = query_problem_of(&query_url(Url::parse(&format!("https://{host}/")).unwrap())).unwrap();
        assert!(problem.contains("/workspaces/<workspace id>/"), "{problem}");
    }
}
