//! Migrations of an empty PostgreSQL that share one transaction: no more than its locks allow, and an interrupt behind their COMMIT.

use std::thread;

use diesel::connection::SimpleConnection;
use diesel::pg::Pg;
use migrator::{Interrupt, Migrator};
use migrator_tests::Database;
use migrator_tests::servers::{self, FreshDatabase, Options};
use migrator_tests::wait;
use rustix::process::{Pid, Signal, kill_process};

use crate::cold;
use crate::dialects::{Postgres, Subject, applies, history, names, tables};
use crate::folder::{Folder, table};

/// In how many transactions the records were written.
const TRANSACTIONS: &str = "SELECT count(DISTINCT xmin::text)::text AS value FROM __migrator_history";

/// They are every database's: who takes them all has the statements of others fail.
#[test]
fn they_leave_locks_to_others() {
    let small = Options::default().set("max_locks_per_transaction", "10").set("max_connections", "20");
    let server = servers::Postgres::start(small);
    let make = |migrations: usize, each: usize| {
        let script = |first: usize| {
            let create = |number| format!("CREATE TABLE t{number} (id SERIAL PRIMARY KEY);");
            (format!("{first:04}_t"), (first..first + each).map(create).collect::<String>())
        };
        Folder::of(&(0..migrations).map(|number| script(number * each)).collect::<Vec<_>>()).set()
    };
    let database = server.fresh();
    assert_eq!(applies::<Postgres>(&database, &make(50, 10)).applied().len(), 50);
    assert_eq!(tables(&database).len(), 500);
    assert!(!server.log().contains("out of shared memory"), "{}", server.log());
    let database = server.fresh();
    assert_eq!(applies::<Postgres>(&database, &make(8, 1)).applied().len(), 8);
    assert_eq!(database.texts(TRANSACTIONS), ["1"], "a few do share");
}

/// The COMMIT waits for a standby, the session is stopped there and told to cancel, and the standby is no longer waited for: what is
/// cancelled is what stands behind the COMMIT.
fn cancelled_behind_the_commit<R: Send>(
    server: &servers::Postgres,
    database: &FreshDatabase<Pg>,
    interrupt: &Interrupt,
    run: impl FnOnce() -> R + Send,
) -> R {
    thread::scope(|scope| {
        let run = scope.spawn(run);
        let waits = "SELECT pid::text AS value FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        let waiting = wait::until("the COMMIT", || database.texts(waits).pop());
        let session = waiting.parse().ok().and_then(Pid::from_raw).expect("a process");
        kill_process(session, Signal::STOP).expect("stop the session");
        let mut other = database.connect();
        other.batch_execute("ALTER SYSTEM SET synchronous_standby_names = ''").expect("set");
        other.batch_execute("SELECT pg_reload_conf()").expect("reload");
        // It waits behind them, until nobody is waited for.
        other.batch_execute("SET synchronous_commit = on; CREATE TABLE behind ()").expect("commit");
        interrupt.stop();
        other.batch_execute(&format!("SELECT pg_cancel_backend({waiting})")).expect("cancel");
        kill_process(session, Signal::CONT).expect("let the session go on");
        let ended = run.join().expect("no panic");
        assert!(server.log().contains("canceling statement due to user request"), "{}", server.log());
        ended
    })
}

#[test]
fn an_interrupt_behind_their_commit_undoes_nothing() {
    let server = servers::Postgres::start(Options::default().set("synchronous_standby_names", "nobody"));
    // With a history, so that the first COMMIT that waits is theirs.
    let (database, folder) = (server.fresh(), Folder::of(&[("00_nothing", "SELECT 1;")]));
    applies::<Postgres>(&database, &folder.set());
    (1..=6).for_each(|number| folder.write(&format!("0{number}_t{number}/up.sql"), table(number)));
    folder.write("07_alone/up.sql", "-- migrator: no-transaction\nCREATE INDEX CONCURRENTLY by_id ON t1 (id);");
    let (set, interrupt) = (folder.set(), Interrupt::new());
    let migrator = Migrator::new(&set).interrupt(&interrupt).session("SET synchronous_commit = on", ());
    let error = cancelled_behind_the_commit(&server, &database, &interrupt, || {
        migrator.run(&mut database.connect()).expect_err("interrupted")
    });
    assert_eq!(error.code(), "interrupted", "{error}");
    let took = ["01_t1", "02_t2", "03_t3", "04_t4", "05_t5", "06_t6"];
    assert_eq!(names(error.report().expect("what took")), took, "{error}");
    assert_eq!(history(&database), [0, 1, 2, 3, 4, 5, 6].map(|number| format!("applied 0{number}")));
    assert_eq!(database.texts(&format!("{TRANSACTIONS} WHERE version <> '00'")), ["1"], "they shared one");
    assert_eq!(names(&applies::<Postgres>(&database, &set)), ["07_alone"]);
}

/// Where the tables are made in it too, and the session is set up for what changes nothing of it.
#[test]
fn an_interrupt_behind_the_first_commit_undoes_nothing() {
    let server = servers::Postgres::start(Options::default().set("synchronous_standby_names", "nobody"));
    let (database, set, interrupt) = (server.fresh(), Folder::of_tables(6).set(), Interrupt::new());
    let mut conn = database.connect();
    conn.batch_execute(&format!("{}; SET synchronous_commit = on", cold::SET)).expect("set");
    let before = Postgres::texts(&mut conn, cold::SETTINGS);
    let migrator = Migrator::new(&set).interrupt(&interrupt);
    let report = cancelled_behind_the_commit(&server, &database, &interrupt, || migrator.run(&mut conn));
    assert_eq!(report.unwrap_or_else(|error| panic!("{error}")).applied().len(), 6);
    assert_eq!(history(&database), [1, 2, 3, 4, 5, 6].map(|number| format!("applied 0{number}")));
    assert_eq!(database.texts(TRANSACTIONS), ["1"], "they shared one");
    assert_eq!(Postgres::texts(&mut conn, cold::SETTINGS), before);
    assert!(applies::<Postgres>(&database, &set).applied().is_empty());
}
