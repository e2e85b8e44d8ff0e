//! Sends raw bytes to a running server.

use super::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, oneshot};

async fn length_of(request: Request<Body>) -> Response<Bytes> {
    Response::new(match request.into_body() {
        Body::Whole(body) => Bytes::from(format!("{} bytes", body.len())),
        Body::TooLarge => Bytes::from_static(b"too large"),
    })
}

async fn exchange(request: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, async { drop(stopped.await) }, 10, length_of));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    drop(stop);
    tokio::time::timeout(Duration::from_secs(4), server).await.unwrap().unwrap();
    answer
}

#[tokio::test]
async fn passes_on_a_body_up_to_the_limit() {
    let answer =
        exchange(b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 10\r\n\r\n0123456789")
            .await;
    assert!(answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("10 bytes"), "{answer}");
}

#[tokio::test]
async fn passes_on_too_large_for_a_body_over_the_limit() {
    let chunked = b"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n\
        6\r\n012345\r\n6\r\n012345\r\n0\r\n\r\n";
    let answer = exchange(chunked).await;
    assert!(answer.ends_with("too large"), "{answer}");
}

#[tokio::test]
async fn both_lengths_are_400_in_the_first_and_in_a_later_request() {
    let both = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let get = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let chunked = "POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n4\r\n0123\r\n0\r\n\r\n";
    for before in ["", get, chunked] {
        let answer = exchange(format!("{before}{both}{get}").as_bytes()).await;
        let statuses: Vec<_> = answer.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
        // Nothing behind it is answered.
        let expected: &[&str] = if before.is_empty() { &["400"] } else { &["200", "400"] };
        assert_eq!(statuses, expected, "{answer}");
        assert!(answer.contains("found both") && answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_client_finds_a_place_beside_many_idle_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, std::future::pending(), 10, length_of));
    let mut streams = Vec::new();
    for _ in 0..2 * MAX_CONNECTIONS + 3 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = [0; 12];
        let answered = tokio::time::timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await;
        assert!(answered.is_ok_and(|read| read.is_ok()) && answer == *b"HTTP/1.1 200", "connection {}", streams.len());
        streams.push(stream);
    }
    server.abort();
}

#[tokio::test]
async fn waits_for_a_request_that_has_begun_before_it_stops() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let begun = Arc::new(Notify::new());
    let slow = {
        let begun = Arc::clone(&begun);
        move |_| {
            let begun = Arc::clone(&begun);
            async move {
                begun.notify_one();
                tokio::time::sleep(Duration::from_millis(200)).await;
                Response::new(Bytes::from_static(b"done"))
            }
        }
    };
    let server = tokio::spawn(serve(listener, async { drop(stopped.await) }, 10, slow));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    begun.notified().await;
    drop(stop);
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("done"), "{answer}");
    server.await.unwrap();
}

#[tokio::test]
async fn wants_the_header_host_once_in_http_1_1() {
    let table = [
        ("1.1", "", "400"),
        ("1.1", "host: localhost\r\nhost: localhost\r\n", "400"),
        ("1.1", "host: localhost\r\n", "200"),
        ("1.0", "", "200"),
        ("1.0", "host: localhost\r\nhost: evil.example\r\n", "400"),
    ];
    for (version, host, expected) in table {
        let request = format!("GET / HTTP/{version}\r\n{host}connection: close\r\n\r\n");
        let answer = exchange(request.as_bytes()).await;
        assert_eq!(answer.get(9..12), Some(expected), "{request:?}: {answer}");
    }
}

#[test]
fn answers_programs_of_this_machine_and_no_web_page() {
    let table: [(&[(&str, &str)], bool); 19] = [
        (&[], true),
        (&[("host", "localhost:9001")], true),
        (&[("host", "LOCALHOST.")], true),
        (&[("host", "127.8.9.1:80")], true),
        (&[("host", "[::1]:9001")], true),
        (&[("host", "app.localhost")], true),
        (&[("host", "localhost"), ("sec-fetch-site", "none")], true),
        (&[("host", "evil.example:9001")], false),
        (&[("host", "localhost.evil.example")], false),
        (&[("host", "127.0.0.1.evil.example")], false),
        (&[("host", "")], false),
        (&[("host", "evil@localhost")], false),
        (&[("host", "localhost:80@evil.example")], false),
        (&[("host", "localhost:9001"), ("origin", "http://localhost:9001")], true),
        (&[("host", "localhost:9001"), ("origin", "https://localhost:9001")], false),
        (&[("host", "evil.example"), ("origin", "http://evil.example")], false),
        (&[("host", "localhost"), ("origin", "http://localhost:9001")], false),
        (&[("host", "localhost"), ("origin", "null")], false),
        (&[("host", "localhost"), ("sec-fetch-site", "cross-site")], false),
    ];
    for (headers, is_answered) in table {
        let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        assert_eq!(of_a_web_page(&headers).is_none(), is_answered, "{headers:?}");
    }
}
