//! Sends raw bytes to a running server.

use super::watched::STALL_TIMEOUT;
use super::*;
use std::net::SocketAddr;
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

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// Starts a server that runs until the end of the test.
async fn start() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, std::future::pending(), 10, length_of));
    address
}

/// Returns the start of the answer, or what came up to the end of the connection.
async fn answer_to(stream: &mut TcpStream, request: &[u8]) -> String {
    let answered = async {
        // The server may have closed the connection.
        let _written = stream.write_all(request).await.is_ok();
        let mut answer = vec![0; 1_000];
        let length = stream.read(&mut answer).await.unwrap_or_default();
        String::from_utf8_lossy(&answer[..length.min(12)]).into_owned()
    };
    tokio::time::timeout(Duration::from_secs(5), answered).await.unwrap_or_else(|_| "no answer in 5 s".to_owned())
}

/// Lets time go by for the server, and its tasks run.
async fn wait(time: Duration) {
    // First the server reads what was sent.
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const OK: &str = "HTTP/1.1 200";

#[tokio::test]
async fn a_client_finds_a_place_beside_many_idle_connections() {
    let address = start().await;
    for request in [GET, b""] {
        let mut streams = Vec::new();
        for number in 0..2 * MAX_CONNECTIONS + 3 {
            let mut stream = TcpStream::connect(address).await.unwrap();
            if !request.is_empty() {
                assert_eq!(answer_to(&mut stream, request).await, OK, "connection {number}");
            }
            streams.push(stream);
        }
        // Also beside those that never sent a request.
        let mut last = TcpStream::connect(address).await.unwrap();
        assert_eq!(answer_to(&mut last, GET).await, OK);
    }
}

#[tokio::test]
async fn the_connection_that_was_idle_for_the_longest_time_makes_room() {
    let address = start().await;
    let (mut used, mut unused) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    assert_eq!(answer_to(&mut unused, GET).await, OK);
    let mut others = Vec::new();
    for _ in 0..MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(answer_to(&mut used, GET).await, OK);
        assert_eq!(answer_to(&mut stream, GET).await, OK);
        others.push(stream);
    }
    assert_eq!(answer_to(&mut unused, GET).await, "", "it is closed");
    assert_eq!(answer_to(&mut others[0], GET).await, "", "this one, too");
    for stream in &mut others[1..] {
        assert_eq!(answer_to(stream, GET).await, OK);
    }
}

#[tokio::test]
async fn requests_that_have_begun_keep_their_places_and_get_their_answers() {
    let address = start().await;
    let mut begun = Vec::new();
    for number in 0..MAX_CONNECTIONS {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let part = if number % 2 == 0 {
            &GET[..20]
        } else {
            b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n1"
        };
        stream.write_all(part).await.unwrap();
        begun.push(stream);
    }
    let mut next = TcpStream::connect(address).await.unwrap();
    next.write_all(GET).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    for (number, stream) in begun.iter_mut().enumerate() {
        let rest = if number % 2 == 0 { &GET[20..] } else { b"2" };
        assert_eq!(answer_to(stream, rest).await, OK, "connection {number}");
    }
    assert_eq!(answer_to(&mut next, b"").await, OK);
}

#[tokio::test]
async fn a_connection_without_a_request_stays_open_for_hours() {
    let address = start().await;
    let (mut fresh, mut used) =
        (TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap());
    assert_eq!(answer_to(&mut used, GET).await, OK);
    wait(Duration::from_hours(5)).await;
    assert_eq!(answer_to(&mut fresh, GET).await, OK);
    assert_eq!(answer_to(&mut used, GET).await, OK);
}

#[tokio::test]
async fn a_head_that_has_begun_must_end_within_its_time() {
    let address = start().await;
    let mut streams = [TcpStream::connect(address).await.unwrap(), TcpStream::connect(address).await.unwrap()];
    assert_eq!(answer_to(&mut streams[0], GET).await, OK);
    for stream in &mut streams {
        stream.write_all(&GET[..20]).await.unwrap();
        wait(STALL_TIMEOUT.saturating_sub(Duration::from_secs(2))).await;
        stream.write_all(&GET[20..22]).await.unwrap();
        wait(Duration::from_secs(3)).await;
        assert_eq!(answer_to(stream, &GET[22..]).await, "", "the connection is closed");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_left_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let large = |_| async { Response::new(Bytes::from(vec![b'x'; 64 << 20])) };
    tokio::spawn(serve(listener, std::future::pending(), 10, large));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(GET).await.unwrap();
    wait(STALL_TIMEOUT + Duration::from_secs(1)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    assert!(read.is_ok() && answer.len() < 64 << 20, "the connection is open, or the answer whole");
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

#[tokio::test]
async fn a_head_that_cannot_be_read_is_answered_with_a_sentence() {
    let long = "a".repeat(70_000);
    let many = "h: 1\r\n".repeat(101);
    let get = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let table = [
        ("nonsense\r\n\r\n".to_owned(), "400", "cannot be read"),
        ("GET / HTTP/3.0\r\n\r\n".to_owned(), "400", "RFC 9112"),
        ("GET / HTTP/1.1\r\nno header\r\n\r\n".to_owned(), "400", "cannot be read"),
        (format!("GET /{long} HTTP/1.1\r\nhost: localhost\r\n\r\n"), "414", "65,534 bytes"),
        (format!("GET / HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"), "431", "100 headers"),
        (format!("{get}nonsense\r\n\r\n"), "400", "cannot be read"),
    ];
    for (request, status, sentence) in table {
        let answer = exchange(request.as_bytes()).await;
        let last = &answer[answer.rfind("HTTP/1.1 4").unwrap()..];
        let (head, body) = last.split_once("\r\n\r\n").unwrap();
        assert_eq!(head.get(9..12), Some(status), "{answer}");
        assert!(body.contains(sentence) && body.ends_with('\n') && body.lines().count() == 1, "{answer}");
        for header in ["nosniff", "no-store", "text/plain; charset=utf-8", &format!("content-length: {}", body.len())] {
            assert!(head.contains(header), "{header}: {answer}");
        }
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
