//! Seeds that fail: undone, recorded, tried again when that can help, and said.

use std::ops::ControlFlow;
use std::time::Duration;

use migrator::seed::{Pass, Phase, SeedState, Skip};
use migrator::{Seed, SeedOutcome};
use migrator_tests::Database;

use super::*;

on_each_dialect!(
    transient_error_is_tried_again,
    permanent_error_fails_at_once,
    attempts_are_stored_for_the_next_process,
    exhausted_is_not_retrying,
    failed_seed_blocks_its_dependants_only,
    seed_that_is_not_critical_degrades,
    panic_is_caught,
    verify_that_lies_undoes_the_seed,
    seed_that_commits_is_told,
    seed_that_leaves_a_transaction_open_is_told,
    seed_that_breaks_a_statement_is_undone,
    pause_can_be_interrupted,
    deadline_ends_the_call,
    values_are_not_in_the_ledger,
    forced_try_returns_its_outcome,
    background_pass_says_when_to_come_back,
    seed_that_takes_too_long_is_undone,
    what_is_given_up_is_tried_once_by_each_process,
    seed_that_gives_the_lock_away_is_undone,
    lost_connection_ends_the_call,
    foreign_keys_hold_as_for_everybody,
);

fn transient_error_is_tried_again<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("flaky", flaky)]);
    will_fail(3);
    let (migrator, pauses) = paused(migrator(&set));
    let (migrator, events) = crate::watch::events(migrator);
    let report = migrator.seed(&mut database.connect(), all).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told(&report), "flaky applied 1");
    assert_eq!(log::<S>(&database), ["flaky"], "each failed attempt was undone");
    let pauses = pauses.lock().expect("notes").clone();
    assert_eq!(pauses.len(), 3);
    for (pause, most) in pauses.iter().zip([200, 400, 800]) {
        assert!(*pause <= Duration::from_millis(most), "{pauses:?}");
    }
    let events = events.take();
    assert_eq!(events.iter().filter(|event| event.starts_with("SeedRetrying")).count(), 3, "{events:#?}");
    assert_eq!(ledger::<S>(&database), ["flaky  applied 0 1"]);
}

fn permanent_error_fails_at_once<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("broken", broken)]);
    will_fail(1);
    let (migrator, pauses) = paused(migrator(&set));
    let error = migrator.seed(&mut database.connect(), all).expect_err("it fails");
    assert_eq!(error.code(), "seed_failed");
    assert_eq!(error.message(), "the seed broken failed after 1 attempt");
    assert_eq!(error.database_words(), Some("the sky fell"));
    assert!(error.to_string().contains("\nseed: the sky fell\nnext: ") && error.is_seed_failed(), "{error}");
    assert!(!error.remedy().is_empty());
    assert_eq!(told(error.seed_report().expect("a report")), "broken failed 1");
    assert!(pauses.lock().expect("notes").is_empty());
    assert!(log::<S>(&database).is_empty());
    assert_eq!(ledger::<S>(&database), ["broken  failed 1 -"]);
    // A failed start can be tried again, after the pause that the ledger has for it.
    let report = migrator.seed(&mut database.connect(), all).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told(&report), "broken applied 1");
    assert!(pauses.lock().expect("notes").iter().all(|pause| *pause <= Duration::from_millis(200)));
}

fn attempts_are_stored_for_the_next_process<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("flaky", flaky)]);
    will_fail(100);
    let twice = migrator(&set).seed_attempts(3);
    let error = twice.seed(&mut database.connect(), all).expect_err("it fails");
    assert_eq!(error.message(), "the seed flaky failed after 3 attempts");
    assert_eq!(ledger::<S>(&database), ["flaky  exhausted 3 -"]);
    // The next process tries once, and counts on.
    let error = twice.seed(&mut database.connect(), all).expect_err("it fails");
    assert_eq!(error.message(), "the seed flaky failed after 4 attempts");
    // Another version is another seed.
    let error = twice.seed(&mut database.connect(), list([all[0].version("2")])).expect_err("it fails");
    assert_eq!(error.message(), "the seed flaky failed after 3 attempts");
    will_fail(0);
    assert_eq!(seeds::<S>(&database, &set, all), "flaky applied 1");
    assert_eq!(ledger::<S>(&database), ["flaky  applied 0 1"]);
}

fn exhausted_is_not_retrying<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("flaky", flaky).phase(Phase::Background)]);
    let (worker, mut conn) = (migrator(&set).seed_attempts(2), database.connect());
    let state = || {
        let status = worker.seed_status(&mut database.connect(), all).expect("status");
        (status[0].state, status[0].attempts, status[0].next_in.is_some())
    };
    assert_eq!(state(), (SeedState::Pending, 0, false));
    will_fail(3);
    let report = worker.seed_background(&mut conn, all, Pass::First).expect("a pass");
    assert_eq!((told(&report).as_str(), report.next_due().is_some()), ("flaky failed 1 retrying", true));
    assert_eq!(state(), (SeedState::Retrying, 1, true));
    let report = worker.seed_background(&mut conn, all, Pass::Force).expect("a pass");
    assert_eq!((told(&report).as_str(), report.next_due()), ("flaky failed 2", None));
    assert_eq!(state(), (SeedState::Exhausted, 2, false));
    let report = worker.seed_background(&mut conn, all, Pass::Due).expect("a pass");
    assert_eq!((told(&report).as_str(), report.next_due()), ("flaky failed 2", None), "nobody tried");
    assert_eq!(told(&worker.retry_seeds(&mut conn, all).expect("a try")), "flaky failed 3");
    assert_eq!(told(&worker.retry_seeds(&mut conn, all).expect("a try")), "flaky applied 1");
    assert_eq!(state(), (SeedState::Applied, 0, false));
}

fn failed_seed_blocks_its_dependants_only<S: Subject>() {
    let (database, set) = migrated::<S>();
    let first = Seed::new("broken", broken);
    let next = Seed::new("second", second).depends_on(list([first]));
    let last = Seed::new("last", second).depends_on(list([next]));
    let all = list([first, next, last, Seed::new("third", third)]);
    will_fail(1);
    let error = seeded::<S>(&database, &set, all).expect_err("it fails");
    let report = error.seed_report().expect("a report");
    assert_eq!(told(report), "broken failed 1, second skipped, last skipped, third applied 1");
    assert_eq!(report.outcome("last"), Some(&SeedOutcome::Skipped(Skip::DependsOn("second".into()))));
    assert_eq!(log::<S>(&database), ["third"]);
    assert_eq!(seeds::<S>(&database, &set, all), "broken applied 1, second applied 1, last applied 1, third unchanged");
}

fn seed_that_is_not_critical_degrades<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("broken", broken).critical(false), Seed::new("third", third)]);
    will_fail(1);
    let report = seeded::<S>(&database, &set, all).expect("it degrades");
    assert_eq!(told(&report), "broken failed 1, third applied 1");
    assert!(!report.is_successful());
    assert_eq!(
        report.failed().map(|seed| (seed.name.as_str(), seed.critical)).collect::<Vec<_>>(),
        [("broken", false)]
    );
}

fn panics<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "panics")?;
    panic!("no coffee left")
}

fn panic_is_caught<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("panics", panics).critical(false), Seed::new("third", third)]);
    let mut conn = database.connect();
    let report = migrator(&set).seed(&mut conn, all).expect("it degrades");
    assert_eq!(told(&report), "panics failed 1, third applied 1");
    assert!(report.to_string().contains("it panicked: no coffee left"), "{report}");
    assert_eq!(log::<S>(&database), ["third"]);
    assert_eq!(ledger::<S>(&database)[0], "panics  failed 1 -");
    // Nothing is held, and the connection is as good as before.
    let report = migrator(&set).seed(&mut conn, all).expect("it degrades");
    assert_eq!(told(&report), "panics failed 2, third unchanged");
}

fn verify_that_lies_undoes_the_seed<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("roles", roles).verify(|_| Ok(false))]);
    let error = seeded::<S>(&database, &set, all).expect_err("it fails");
    assert!(error.to_string().contains("its verify says that what it promises does not hold"), "{error}");
    assert!(log::<S>(&database).is_empty());
    assert!(database.texts("SELECT name AS value FROM role").is_empty());
    assert_eq!(ledger::<S>(&database), ["roles  failed 1 -"]);
}

fn commits<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "commits")?;
    conn.batch_execute("COMMIT")?;
    Ok(1)
}

fn seed_that_commits_is_told<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("commits", commits)]);
    let mut conn = database.connect();
    let error = migrator(&set).seed(&mut conn, all).expect_err("it fails");
    assert!(error.to_string().contains("it ended the transaction that it runs in"), "{error}");
    assert_eq!(ledger::<S>(&database), ["commits  failed 1 -"]);
    let report = migrator(&set).seed(&mut conn, list([Seed::new("third", third)])).expect("the connection is usable");
    assert_eq!(told(&report), "third applied 1");
}

fn leaves_open<C: diesel::Connection>(conn: &mut C) -> SeedResult {
    use diesel::connection::TransactionManager;
    C::TransactionManager::begin_transaction(conn)?;
    note(conn, "open")
}

fn seed_that_leaves_a_transaction_open_is_told<S: Subject>() {
    let (database, set) = migrated::<S>();
    let mut conn = database.connect();
    let error = migrator(&set).seed(&mut conn, list([Seed::new("open", leaves_open)])).expect_err("it fails");
    assert!(error.to_string().contains("it began a transaction and did not end it"), "{error}");
    assert!(log::<S>(&database).is_empty());
    assert_eq!(
        told(&migrator(&set).seed(&mut conn, list([Seed::new("third", third)])).expect("usable")),
        "third applied 1"
    );
}

fn swallows<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    note(conn, "before")?;
    conn.batch_execute("INSERT INTO no_such_table VALUES (1)")?;
    Ok(1)
}

fn seed_that_breaks_a_statement_is_undone<S: Subject>() {
    let (database, set) = migrated::<S>();
    let error = seeded::<S>(&database, &set, list([Seed::new("swallows", swallows)])).expect_err("it fails");
    assert!(error.database_words().is_some_and(|words| words.contains(S::NO_SUCH_TABLE)), "{error}");
    assert!(log::<S>(&database).is_empty());
}

fn pause_can_be_interrupted<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("flaky", flaky)]);
    will_fail(5);
    let stopped = migrator(&set).pause(|_| ControlFlow::Break(()));
    let error = stopped.seed(&mut database.connect(), all).expect_err("interrupted");
    assert_eq!(error.code(), "interrupted");
    assert_eq!(ledger::<S>(&database), ["flaky  retrying 1 -"]);
    will_fail(0);
}

fn deadline_ends_the_call<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("flaky", flaky)]);
    will_fail(u32::MAX);
    let bounded = migrator(&set).seed_attempts(u32::MAX).seed_deadline(Duration::from_secs(200));
    let (bounded, pauses) = paused(bounded);
    let error = bounded.seed(&mut database.connect(), all).expect_err("the deadline");
    will_fail(0);
    assert_eq!(error.code(), "seed_failed");
    let pauses = pauses.lock().expect("notes").clone();
    let waited: Duration = pauses.iter().sum();
    assert!(waited <= Duration::from_secs(200) && waited > Duration::from_secs(100), "{waited:?}");
    assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(30)), "{pauses:?}");
}

fn duplicate<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    conn.batch_execute("INSERT INTO role (name) VALUES ('the secret'); INSERT INTO role (name) VALUES ('the secret')")?;
    Ok(2)
}

fn values_are_not_in_the_ledger<S: Subject>() {
    let (database, set) = migrated::<S>();
    seeded::<S>(&database, &set, list([Seed::new("duplicate", duplicate)])).expect_err("it fails");
    let stored = database.texts("SELECT error AS value FROM __migrator_seeds");
    assert!(!stored[0].is_empty() && !stored[0].contains("secret"), "{stored:?}");
}

fn forced_try_returns_its_outcome<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("broken", broken), Seed::new("third", third)]);
    let (migrator, mut conn) = (migrator(&set), database.connect());
    will_fail(2);
    assert_eq!(told(&migrator.retry_seeds(&mut conn, all).expect("a try")), "broken failed 1, third applied 1");
    assert_eq!(told(&migrator.retry_seeds(&mut conn, all).expect("a try")), "broken failed 2, third unchanged");
    assert_eq!(told(&migrator.retry_seeds(&mut conn, all).expect("a try")), "broken applied 1, third unchanged");
}

fn background_pass_says_when_to_come_back<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all =
        list([Seed::new("flaky", flaky).phase(Phase::Background), Seed::new("third", third).phase(Phase::Background)]);
    let (worker, mut conn) = (migrator(&set), database.connect());
    will_fail(1);
    let report = worker.seed_background(&mut conn, all, Pass::First).expect("a pass");
    assert_eq!(told(&report), "flaky failed 1 retrying, third applied 1");
    assert!(report.next_due().expect("it is tried again") <= Duration::from_millis(200));
    let report = migrator_tests::wait::until("the next try", || {
        let report = worker.seed_background(&mut conn, all, Pass::Due).expect("a pass");
        report.next_due().is_none().then_some(report)
    });
    assert_eq!(told(&report), "flaky applied 1, third unchanged");
}

/// Longer than any deadline of these tests, and bounded, so that a test that fails ends.
fn slow<S: Subject>(conn: &mut S::Connection) -> SeedResult {
    note(conn, "slow")?;
    let sql = match S::NAME {
        "postgres" => "SELECT pg_sleep(20)",
        "mysql" => "DO SLEEP(20)",
        _ => {
            "INSERT INTO log WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 600000) SELECT 'n' FROM n WHERE i = 600000"
        }
    };
    conn.batch_execute(sql)?;
    Ok(1)
}

fn seed_that_takes_too_long_is_undone<S: Subject>() {
    let (database, set) = migrated::<S>();
    let deadline = if S::NAME == "sqlite" { Duration::from_millis(1) } else { Duration::from_millis(500) };
    let all = list([Seed::new("slow", slow::<S>).deadline(deadline), Seed::new("third", third)]);
    let error = seeded::<S>(&database, &set, all).expect_err("it takes too long");
    let report = error.seed_report().expect("a report");
    assert_eq!(told(report), "slow failed 1, third applied 1", "{error}");
    assert!(report.seeds()[0].duration < Duration::from_secs(15), "{report}");
    assert_eq!(log::<S>(&database), ["third"]);
}

fn what_is_given_up_is_tried_once_by_each_process<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([
        Seed::new("broken", broken).phase(Phase::Background),
        Seed::new("third", third).phase(Phase::Background),
    ]);
    let mut conn = database.connect();
    will_fail(u32::MAX);
    for process in 1..=3 {
        let worker = migrator(&set);
        let mut pass = Pass::First;
        // Each waits until the time that the ledger has for the seed, tries once, and then has nothing to come back for.
        let report = migrator_tests::wait::until("the only try", || {
            let report = worker.seed_background(&mut conn, all, pass).expect("a pass");
            pass = Pass::Due;
            report.next_due().is_none().then_some(report)
        });
        assert!(told(&report).starts_with(&format!("broken failed {process}, third ")), "{report}");
        for _ in 0..3 {
            let report = worker.seed_background(&mut conn, all, Pass::Due).expect("a pass");
            assert_eq!(told(&report), format!("broken failed {process}, third unchanged"));
        }
    }
    will_fail(0);
}

fn gives_away<S: Subject>(conn: &mut S::Connection) -> SeedResult {
    note(conn, "gives")?;
    match S::NAME {
        "postgres" => conn.batch_execute("SELECT pg_advisory_unlock_all()")?,
        "mysql" => conn.batch_execute("DO RELEASE_ALL_LOCKS()")?,
        // There the lock is the transaction.
        _ => conn.batch_execute("ROLLBACK")?,
    }
    Ok(1)
}

fn seed_that_gives_the_lock_away_is_undone<S: Subject>() {
    let (database, set) = migrated::<S>();
    let mut conn = database.connect();
    let error = migrator(&set).seed(&mut conn, list([Seed::new("gives", gives_away::<S>)])).expect_err("it fails");
    assert_eq!(error.code(), if S::NAME == "sqlite" { "seed_failed" } else { "lock_lost" }, "{error}");
    assert!(log::<S>(&database).is_empty());
    assert_eq!(
        told(&migrator(&set).seed(&mut conn, list([Seed::new("third", third)])).expect("usable")),
        "third applied 1"
    );
}

fn cut<S: Subject>(conn: &mut S::Connection) -> SeedResult {
    note(conn, "cut")?;
    if is_to_fail() {
        match S::NAME {
            "postgres" => conn.batch_execute("SELECT pg_terminate_backend(pg_backend_pid())")?,
            "mysql" => conn.batch_execute("KILL CONNECTION_ID()")?,
            _ => {}
        }
        conn.batch_execute("SELECT 1")?;
    }
    Ok(1)
}

fn lost_connection_ends_the_call<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("cut", cut::<S>)]);
    if S::NAME == "sqlite" {
        // There is no connection to lose.
        return;
    }
    will_fail(1);
    let error = migrator(&set).seed(&mut database.connect(), all).expect_err("the connection is gone");
    assert_eq!(error.code(), "connection_lost", "{error}");
    assert!(error.to_string().contains("during the seed cut"), "{error}");
    assert!(log::<S>(&database).is_empty());
    assert_eq!(seeds::<S>(&database, &set, all), "cut applied 1");
}

fn orphan<C: SimpleConnection>(conn: &mut C) -> SeedResult {
    conn.batch_execute("INSERT INTO member (name, role) VALUES ('x', 'no such role')")?;
    Ok(1)
}

/// On SQLite they are off while migrations run.
fn foreign_keys_hold_as_for_everybody<S: Subject>() {
    let (database, set) = migrated::<S>();
    database.execute(
        "CREATE TABLE member (name VARCHAR(40) NOT NULL, role VARCHAR(40) NOT NULL, FOREIGN KEY (role) REFERENCES role (name))",
    );
    let error = seeded::<S>(&database, &set, list([Seed::new("orphan", orphan)])).expect_err("it fails");
    assert!(error.to_string().to_lowercase().contains("foreign key"), "{error}");
    assert!(database.texts("SELECT name AS value FROM member").is_empty());
}
