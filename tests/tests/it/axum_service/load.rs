//! Sixty-four connections that ask for readiness as fast as they can, while a migration runs and after it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diesel::PgConnection;
use diesel::connection::SimpleConnection;
use migrator_tests::{Database, servers, wait};

use super::client::Client;
use super::{POSTGRES, assert_ready, code, held, start};
use crate::dialects::{Postgres, Subject};

const CONNECTIONS: usize = 64;
const EACH: usize = 100;

/// What the connections saw.
struct Seen {
    statuses: Vec<u16>,
    codes: Vec<String>,
    slowest: Duration,
    took: Duration,
}

/// Bounded in time by their number: each connection asks so often, and ends.
fn hammer(address: SocketAddr) -> Seen {
    let start = Instant::now();
    let one = || {
        let mut client = Client::to(address);
        let ask = |_| {
            let start = Instant::now();
            let answer = client.get("/readyz");
            (answer.status, code(&answer), start.elapsed())
        };
        (0..EACH).map(ask).collect::<Vec<_>>()
    };
    let answers: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(one)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    let (mut statuses, mut codes) = (Vec::new(), Vec::new());
    let slowest = answers.iter().map(|(_, _, time)| *time).max().unwrap_or_default();
    for (status, code, _) in answers {
        statuses.push(status);
        codes.push(code);
    }
    statuses.dedup();
    codes.dedup();
    Seen { statuses, codes, slowest, took: start.elapsed() }
}

/// How many connections the service has to its database, and how many of them are at work.
fn connections(conn: &mut PgConnection) -> [u32; 2] {
    let counts = Postgres::texts(conn, COUNTS);
    let mut counts = counts[0].split(' ').map(|count| count.parse().expect("a number"));
    std::array::from_fn(|_| counts.next().expect("two of them"))
}

const COUNTS: &str = "SELECT concat(count(*), ' ', count(*) FILTER (WHERE state = 'active')) AS value FROM pg_stat_activity \
     WHERE datname = current_database() AND application_name <> 'the test'";

/// The most of them that were seen meanwhile.
fn most(conn: &mut PgConnection, while_it: impl FnOnce() -> Seen) -> (Seen, [u32; 2]) {
    let (over, mut most) = (AtomicBool::new(false), [0, 0]);
    let seen = thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !over.load(Ordering::SeqCst) {
                most.iter_mut().zip(connections(conn)).for_each(|(most, count)| *most = (*most).max(count));
            }
        });
        let seen = while_it();
        over.store(true, Ordering::SeqCst);
        watch.join().expect("no panic");
        seen
    });
    (seen, most)
}

#[test]
fn sixty_four_connections_cost_the_database_one() {
    let database = servers::postgres().fresh();
    let [mut holder, mut watch] = [held(&database), database.connect()];
    for conn in [&mut holder, &mut watch] {
        conn.batch_execute("SET application_name = 'the test'").expect("name it");
    }
    let (service, address) = start(&[POSTGRES], database.url());
    let migrates = || Some(code(&Client::to(address).get("/readyz"))).filter(|code| code == "migrating");
    wait::until("the migration", migrates);
    let (during, used) = most(&mut watch, || hammer(address));
    // The one that migrates, and no other.
    assert_eq!((&during.statuses[..], &during.codes[..]), (&[503][..], &["migrating".to_owned()][..]));
    assert_eq!(used, [1, 1], "the connection that migrates is the only one");
    holder.batch_execute("COMMIT").expect("let it go on");
    assert_ready(address);
    wait::until("the migrating connection to close", || (connections(&mut watch)[0] <= 1).then_some(()));
    let (after, used) = most(&mut watch, || hammer(address));
    assert_eq!((&after.statuses[..], &after.codes[..]), (&[200][..], &["ready".to_owned()][..]));
    assert!(used[0] <= 1 && used[1] <= 1, "one at a time, over the pool's only one: {used:?}");
    for (when, seen) in [("while it migrates", during), ("when it is ready", after)] {
        let (asked, took) = (CONNECTIONS * EACH, seen.took.as_secs_f64());
        println!(
            "{when}: {asked} answers in {took:.2} s, {:.0} in a second, the slowest in {:?}",
            asked as f64 / took,
            seen.slowest
        );
        assert!(seen.slowest < wait::DEADLINE / 2, "{when}: {:?}", seen.slowest);
    }
    assert!(service.terminate().0);
}
