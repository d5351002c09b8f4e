//! The proxy between a client and its server: cut, held, delayed, and its turns counted.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use diesel::{Connection, MysqlConnection, PgConnection, connection::SimpleConnection};
use migrator_tests::{
    Database,
    proxy::{Direction, Fault, Proxy},
    servers,
};

/// A proxy in front of a server that takes one connection, and that connection's two ends.
fn connected() -> (Proxy, TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listen");
    let proxy = Proxy::start(listener.local_addr().expect("an address"));
    let client = TcpStream::connect(proxy.address()).expect("connect");
    let (server, _) = listener.accept().expect("the proxy connects");
    (proxy, client, server)
}

/// All that comes until the connection ends.
fn rest(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("the connection ends without an error");
    text
}

#[test]
fn a_cut_lets_the_bytes_before_it_pass_in_either_direction() {
    let (proxy, mut client, mut server) = connected();
    proxy.inject(Direction::ToServer, 4, Fault::Cut);
    client.write_all(b"anchor").expect("write");
    assert_eq!(rest(&mut server), "anch");
    assert_eq!(rest(&mut client), "");

    let (proxy, mut client, mut server) = connected();
    client.write_all(b"?").expect("write");
    server.read_exact(&mut [0]).expect("the question");
    proxy.inject_after(Direction::ToClient, 2, Fault::Cut);
    server.write_all(b"anchor").expect("write");
    assert_eq!(rest(&mut client), "an");
    assert_eq!(rest(&mut server), "");
}

#[test]
fn what_is_held_goes_on_when_it_is_released() {
    let (proxy, mut client, mut server) = connected();
    proxy.inject(Direction::ToServer, 3, Fault::Hold);
    client.write_all(b"anchor").expect("write");
    let mut three = [0; 3];
    server.read_exact(&mut three).expect("what is before the place");
    assert_eq!(&three, b"anc");
    assert_eq!(proxy.traffic(Direction::ToServer).bytes, 3);
    proxy.release(Direction::ToServer);
    server.read_exact(&mut three).expect("what is after it");
    assert_eq!(&three, b"hor");
    proxy.cut();
    assert_eq!(rest(&mut client) + &rest(&mut server), "");
}

#[test]
fn a_delay_is_at_least_as_long_as_asked_for() {
    const LATER: Duration = Duration::from_millis(50);
    let (proxy, mut client, mut server) = connected();
    proxy.inject(Direction::ToServer, 0, Fault::Delay(LATER));
    for _ in 0..2 {
        let start = Instant::now();
        client.write_all(b"!").expect("write");
        server.read_exact(&mut [0]).expect("it arrives");
        assert!(start.elapsed() >= LATER);
    }
}

#[test]
fn a_longer_line_delays_a_turn_once() {
    const LATER: Duration = Duration::from_millis(100);
    const PIECES: u32 = 200;
    let (proxy, mut client, mut server) = connected();
    proxy.inject(Direction::ToServer, 0, Fault::Latency(LATER));
    let start = Instant::now();
    for _ in 0..PIECES {
        client.write_all(b"!").expect("write");
        server.read_exact(&mut [0]).expect("it arrives");
    }
    assert!((LATER..LATER * PIECES / 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    server.write_all(b"?").expect("answer");
    client.read_exact(&mut [0]).expect("the answer");
    let start = Instant::now();
    client.write_all(b"!").expect("write");
    server.read_exact(&mut [0]).expect("it arrives");
    assert!(start.elapsed() >= LATER);
}

#[test]
fn a_dropped_proxy_closes_what_it_holds() {
    let (proxy, mut client, mut server) = connected();
    proxy.inject(Direction::ToServer, 0, Fault::Hold);
    client.write_all(b"anchor").expect("write");
    let address = proxy.address();
    drop(proxy);
    assert_eq!(rest(&mut server), "");
    drop(client);
    migrator_tests::wait::until("the end of the listener", || TcpStream::connect(address).err());
}

#[test]
fn a_turn_is_a_round_trip_of_postgres_and_mariadb() {
    let database = servers::postgres().fresh();
    let proxy = Proxy::to_port(servers::postgres().port());
    let connection = PgConnection::establish(&proxy.url(database.url())).expect("connect through the proxy");
    assert_eq!(turns(&proxy, connection), 2);

    let database = servers::mariadb().fresh();
    let proxy = Proxy::to_port(servers::mariadb().port());
    let connection = MysqlConnection::establish(&proxy.url(database.url())).expect("connect through the proxy");
    // Before each batch diesel allows several statements in one message, and after it forbids that.
    assert_eq!(turns(&proxy, connection), 2 * 3);
}

/// What two batches cost.
fn turns(proxy: &Proxy, mut connection: impl SimpleConnection) -> u64 {
    connection.batch_execute("SELECT 1").expect("ask");
    let before = proxy.traffic(Direction::ToServer);
    // Larger than what the proxy moves at once: still one turn.
    let long = format!("SELECT '{}'", "x".repeat(100_000));
    connection.batch_execute("SELECT 1").expect("ask");
    connection.batch_execute(&long).expect("ask");
    let after = proxy.traffic(Direction::ToServer);
    assert!(after.bytes - before.bytes > 100_000);
    after.turns - before.turns
}

#[test]
fn a_client_whose_answer_is_cut_off_gets_an_error_and_its_statement_is_done() {
    let database = servers::postgres().fresh();
    let proxy = Proxy::to_port(servers::postgres().port());
    let mut connection = PgConnection::establish(&proxy.url(database.url())).expect("connect through the proxy");
    proxy.inject_after(Direction::ToClient, 0, Fault::Cut);
    connection.batch_execute("CREATE TABLE harbour (name text)").expect_err("the answer does not come");
    assert_eq!(database.row_counts()["harbour"], 0);
    PgConnection::establish(&proxy.url(database.url())).expect("the next connection is forwarded");
}

#[test]
fn a_client_waits_while_its_answer_is_held() {
    let database = servers::mariadb().fresh();
    let proxy = Proxy::to_port(servers::mariadb().port());
    let mut connection = MysqlConnection::establish(&proxy.url(database.url())).expect("connect through the proxy");
    proxy.inject_after(Direction::ToClient, 0, Fault::Hold);
    let (sender, answers) = mpsc::channel();
    let asking = thread::spawn(move || sender.send(connection.batch_execute("SELECT 1").is_ok()));
    answers.recv_timeout(Duration::from_millis(200)).expect_err("an answer that is held came through");
    proxy.release(Direction::ToClient);
    assert!(answers.recv().expect("an answer"));
    asking.join().expect("no panic").expect("the test waited");
}
