//! The service as a process, called as an orchestrator calls it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The process, until the test ends.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and that is all right.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn an_orchestrator_is_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_probes-hyper"));
    let command = command.env("DATABASE_URL", folder.path().join("service.db")).env("LISTEN", "127.0.0.1:0");
    let mut service = Service(command.stdout(Stdio::piped()).spawn().expect("it starts"));
    let mut lines = BufReader::new(service.0.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let line = lines.next().expect("it says where it listens");
    let address = line.strip_prefix("listening on ").expect("an address");
    let end = Instant::now() + Duration::from_secs(60);
    while !get(address, "/internal/readyz").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < end, "{}", get(address, "/internal/readyz"));
    }
    assert!(get(address, "/internal/livez").starts_with("HTTP/1.1 200"));
    assert!(get(address, "/internal/startupz").starts_with("HTTP/1.1 200"));
    let health = get(address, "/internal/health").to_lowercase();
    assert!(
        health.contains("content-type: application/health+json") && health.contains("\"status\":\"pass\""),
        "{health}"
    );
    assert!(health.contains("cache-control: no-store"), "{health}");
    assert!(get(address, "/internal/elsewhere").starts_with("HTTP/1.1 404"));
}
