//! `tests/fronts` has one folder for each front. It holds an event as AWS documents it, the request in it, and an answer. If you want a change to alter these files, run `UPDATE_GOLDEN=1 cargo test --test fronts`, and read the difference.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy knows only the tests themselves")]

use amp_push_gateway::http::{Request, Response};
use amp_push_gateway::lambda::http::{EventError, Front, recognise};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

fn written(request: &Request<'_>) -> String {
    let Request { method, path, query, headers, body, authorised_by_aws } = request;
    let mut text = format!("{method} {path:?}\n?{query}\n");
    for (name, value) in headers {
        writeln!(text, "{name}: {value}").unwrap();
    }
    writeln!(text, "\n{}\n\nauthorised by AWS: {authorised_by_aws}", body.escape_ascii()).unwrap();
    text
}

fn response(status: u16, body: String) -> Response {
    let headers = vec![
        ("content-type", "text/plain; charset=utf-8".to_owned()),
        ("vary", "accept".to_owned()),
        ("vary", "accept-encoding".to_owned()),
    ];
    Response { status, headers, body: body.into() }
}

fn run(event: &str) -> (Front, String, Response) {
    match recognise(event.as_bytes()).unwrap() {
        Ok((front, request)) => (front, written(&request), response(202, "stored: \"λ\"\n".to_owned())),
        Err(error @ EventError { front, .. }) => (front, format!("{error}\n"), response(400, format!("{error}\n"))),
    }
}

#[test]
fn every_front_is_read_and_answered_as_it_was() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fronts");
    let mut cases: Vec<_> = fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 9, "only {} cases in {}", cases.len(), root.display());
    for case in cases {
        let (front, request, response) = run(&fs::read_to_string(case.join("event.json")).unwrap());
        let answer: serde_json::Value = serde_json::from_str(&front.answer(&response).unwrap()).unwrap();
        let files = [("request.txt", format!("{front:?}\n\n{request}")), ("answer.json", format!("{answer:#}\n"))];
        for (name, actual) in files {
            let file = case.join(name);
            if update {
                fs::write(&file, &actual).unwrap();
            }
            assert_eq!(fs::read_to_string(&file).unwrap_or_default(), actual, "{}", file.display());
        }
    }
}
