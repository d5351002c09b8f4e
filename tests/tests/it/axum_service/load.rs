//! Sixty-four connections that ask for readiness as fast as they can, while a migration runs and after it.

use std::collections::BTreeSet;
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

/// What the service costs its database: the most that was seen of it.
#[derive(Debug, Default)]
struct Cost {
    connections: usize,
    at_work: usize,
    /// When each query began that was seen, as the last one of its connection.
    queries: BTreeSet<String>,
}

impl Cost {
    fn look(&mut self, conn: &mut PgConnection) {
        let seen = Postgres::texts(conn, CONNECTIONS_OF_THE_SERVICE);
        self.connections = self.connections.max(seen.len());
        self.at_work = self.at_work.max(seen.iter().filter(|line| line.starts_with("active")).count());
        self.queries.extend(seen.iter().filter_map(|line| Some(line.split_once(' ')?.1.to_owned())));
    }

    /// That of what is done meanwhile.
    fn of(conn: &mut PgConnection, work: impl FnOnce() -> Seen) -> (Seen, Self) {
        let (over, mut cost) = (AtomicBool::new(false), Self::default());
        let seen = thread::scope(|scope| {
            let watch = scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    cost.look(conn);
                }
            });
            let seen = work();
            over.store(true, Ordering::SeqCst);
            watch.join().expect("no panic");
            seen
        });
        (seen, cost)
    }
}

const CONNECTIONS_OF_THE_SERVICE: &str = "SELECT concat(state, ' ', query_start) AS value FROM pg_stat_activity \
     WHERE datname = current_database() AND application_name <> 'the test'";

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
    let (during, cost) = Cost::of(&mut watch, || hammer(address));
    // The one that migrates, and no other.
    assert_eq!((&during.statuses[..], &during.codes[..]), (&[503][..], &["migrating".to_owned()][..]));
    assert_eq!((cost.connections, cost.at_work), (1, 1), "the connection that migrates is the only one: {cost:?}");
    holder.batch_execute("COMMIT").expect("let it go on");
    assert_ready(address);
    wait::until("the migrating connection to close", || {
        let mut now = Cost::default();
        now.look(&mut watch);
        (now.connections <= 1).then_some(())
    });
    let (after, cost) = Cost::of(&mut watch, || hammer(address));
    // On a machine that is too busy to ask the database within the bound it says so, and that is right.
    let expected = |code: &String| ["ready", "database_timeout"].contains(&code.as_str());
    assert!(
        after.statuses.contains(&200) && after.codes.iter().all(expected),
        "{:?} {:?}",
        after.statuses,
        after.codes
    );
    assert!(cost.connections <= 1 && cost.at_work <= 1, "one at a time, over the pool's only one: {cost:?}");
    // A probe a second, of which the pool's own question is one more query.
    let probes = usize::try_from(after.took.as_secs()).expect("it is short") + 2;
    assert!(
        cost.queries.len() <= 2 * probes,
        "{} queries, for {} answers: {cost:?}",
        cost.queries.len(),
        CONNECTIONS * EACH
    );
    println!("the database was asked {} queries meanwhile", cost.queries.len());
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
