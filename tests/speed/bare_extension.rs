//! The least that the protocol needs of a Lambda extension, for `tests/speed/extension`. It registers, subscribes, asks for events and
//! answers deliveries, over connections that stay open. It reads no record and pushes nothing. It needs no cargo:
//! `rustc --edition 2024 -O tests/speed/bare_extension.rs`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::{env, io, thread};

fn main() -> io::Result<()> {
    let address = env::var("AWS_LAMBDA_RUNTIME_API").expect("AWS_LAMBDA_RUNTIME_API");
    let mut api = TcpStream::connect(&address)?;
    api.set_nodelay(true)?;
    let (mut buffer, register) = (vec![0; 65_536], r#"{"events":["INVOKE","SHUTDOWN"]}"#);
    let name = "Lambda-Extension-Name: amp-push-extension";
    let registered =
        exchange(&mut api, &request("POST /2020-01-01/extension/register", &address, name, register), &mut buffer)?;
    let head = String::from_utf8_lossy(&buffer[..registered]).to_ascii_lowercase();
    let identifier = head.lines().find(|line| line.starts_with("lambda-extension-identifier:")).expect("an identifier");
    let deliveries = TcpListener::bind("0.0.0.0:0")?;
    let port = deliveries.local_addr()?.port();
    thread::spawn(move || answer(&deliveries));
    let subscription = format!(
        r#"{{"schemaVersion":"2025-01-29","types":["platform"],"buffering":{{"maxItems":1000,"maxBytes":262144,"timeoutMs":25}},
        "destination":{{"protocol":"HTTP","URI":"http://sandbox.localdomain:{port}/"}}}}"#
    );
    exchange(&mut api, &request("PUT /2022-07-01/telemetry", &address, identifier, &subscription), &mut buffer)?;
    let next = request("GET /2020-01-01/extension/event/next", &address, identifier, "");
    loop {
        let length = exchange(&mut api, &next, &mut buffer)?;
        if find(&buffer[..length], b"SHUTDOWN").is_some() {
            return Ok(());
        }
    }
}

fn request(line: &str, address: &str, header: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{line} HTTP/1.1\r\nHost: {address}\r\n{header}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

/// Sends a request and reads the answer to its end. Returns its length.
fn exchange(api: &mut TcpStream, request: &[u8], buffer: &mut [u8]) -> io::Result<usize> {
    api.write_all(request)?;
    message(api, buffer)
}

/// Answers each delivery of one connection after the other.
fn answer(deliveries: &TcpListener) {
    let mut buffer = vec![0; 1 << 20];
    while let Ok((mut connection, _)) = deliveries.accept() {
        let _is_set = connection.set_nodelay(true).is_ok();
        while message(&mut connection, &mut buffer).is_ok_and(|length| length > 0) {
            if connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").is_err() {
                break;
            }
        }
    }
}

/// Reads one message, which has a Content-Length. Returns its length, or 0 at the end of the connection.
fn message(connection: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let (mut filled, mut whole) = (0, None);
    loop {
        let read = connection.read(&mut buffer[filled..])?;
        filled += read;
        if read == 0 {
            return Ok(0);
        }
        whole = whole.or_else(|| Some(find(&buffer[..filled], b"\r\n\r\n")? + 4 + body_length(&buffer[..filled])));
        if whole.is_some_and(|whole| filled >= whole) {
            return Ok(filled);
        }
    }
}

fn body_length(message: &[u8]) -> usize {
    let text = String::from_utf8_lossy(message).to_ascii_lowercase();
    let value = text.split("\r\ncontent-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
    value.and_then(|value| value.trim().parse().ok()).unwrap_or_default()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|part| part == wanted)
}
