//! A start, an end, and what becomes of the migrations meanwhile.

use std::thread;

use diesel::{MysqlConnection, PgConnection};
use migrator::health::Outcome;
use migrator::{Config, Dialect, Event, Migrator, ProviderState, ServiceMode};
use migrator_tests::{Database, servers};

use super::{becomes, probes};
use crate::dialects::{Subject, applies, as_role, history, tables};
use crate::folder::{Folder, table};
use crate::provider::{Gate, provider};

on_each_dialect!(
    follows_a_start_and_an_end,
    a_failed_migration_is_not_ready_and_lives,
    another_process_is_ahead,
    how_old_a_binary_may_be_decides,
    a_history_that_is_gone_is_pending,
    a_history_that_a_hand_changed_is_not_ready,
    only_migrating_is_never_ready,
    reads_over_a_connection_and_writes_nothing,
);

fn follows_a_start_and_an_end<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider = provider::<S::Connection>(&set);
    let health = provider.health();
    assert_eq!(probes(&health), (503, 200, 503, "not_started"));
    let (reached, go) = (Gate::default(), Gate::default());
    let (mine, theirs) = (reached.clone(), go.clone());
    let config = Config::new(database.url()).on_event(move |event| {
        if let Event::State { to: ProviderState::Migrating { step: 2, statement: 1, .. }, .. } = event {
            mine.open();
            theirs.pass();
        }
    });
    thread::scope(|scope| {
        let init = scope.spawn(|| provider.init(config));
        reached.pass();
        assert_eq!(probes(&health), (503, 200, 503, "migrating"));
        assert_eq!(health.readiness().message, "migrating, 2 of 2, 02_t2, statement 1");
        let report = health.report();
        assert!(report.schema.is_none() && report.pool.is_none() && report.http_status() == 503, "{report}");
        assert_eq!(health.overview().expect_err("not yet").code(), "migrating");
        go.open();
        init.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"));
    });
    assert_eq!(probes(&health), (200, 200, 200, "ready"));
    let report = health.report();
    let schema = report.schema.clone().expect("it was read");
    assert_eq!((schema.state, schema.applied, schema.pending), ("up_to_date", 2, 0));
    assert_eq!((schema.head.as_deref(), schema.fingerprint), (Some("02"), set.fingerprint().to_string()));
    assert!(report.status == Outcome::Pass && report.latency.is_some() && report.fault.is_none(), "{report:?}");
    let pool = report.pool.expect("a pool");
    assert!(pool.size == 10 && pool.in_use == 0 && pool.idle == 1, "one connection was enough: {pool:?}");
    assert_eq!(health.overview().expect("it is read").migrations.applied(), 2);
    provider.shutdown().expect("nothing runs");
    assert_eq!(probes(&health), (200, 200, 503, "shut_down"));
    assert_eq!(health.overview().expect_err("it is over").code(), "shut_down");
}

fn a_failed_migration_is_not_ready_and_lives<S: Subject>() {
    let database = S::fresh();
    let set = Folder::of(&[("01_t1", table(1).as_str()), ("02_broken", "INSERT INTO secret_table VALUES (1)")]).set();
    let provider = provider::<S::Connection>(&set);
    provider.init(Config::new(database.url())).expect_err("it fails");
    let health = provider.health();
    assert_eq!(probes(&health), (503, 200, 503, "statement_failed"));
    let report = health.report();
    assert_eq!(report.fault.as_ref().map(|fault| fault.code), Some("statement_failed"));
    assert!(report.fault.is_some_and(|fault| fault.remedy.is_some_and(|remedy| !remedy.is_empty())));
    let told = format!("{:?} {}", health.readiness(), health.report().without_details());
    assert!(!told.contains("secret_table") && !told.contains("next:"), "{told}");
}

/// A rolling deploy: the newer one migrates, also half-way, and the older one goes on.
fn another_process_is_ahead<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let provider = provider::<S::Connection>(&folder.set());
    let health = provider.health();
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(health.readiness().code, "ready");
    folder
        .write("03_t3/up.sql", "-- migrator: no-transaction\nCREATE TABLE t3 (id INTEGER);\nSELECT * FROM nowhere;\n");
    Migrator::new(&folder.set()).run(&mut database.connect()).expect_err("its second statement fails");
    assert!(tables(&database).contains(&"t3".to_owned()), "the first one took");
    let verdict = health.readiness();
    assert!(verdict.is_positive(), "the older one serves: {verdict:?}");
    folder.write("03_t3/up.sql", "-- migrator: no-transaction\nCREATE TABLE t3 (id INTEGER);\nSELECT * FROM t1;\n");
    applies::<S>(&database, &folder.set());
    let verdict = becomes(&health, "ahead");
    assert_eq!((verdict.status, verdict.http_status()), (Outcome::Warn, 200));
    assert_eq!(
        health.report().schema.map(|schema| (schema.state, schema.head)),
        Some(("ahead", Some("03".to_owned())))
    );
}

/// What a binary can do without, and what a newer one breaks.
fn how_old_a_binary_may_be_decides<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    applies::<S>(&database, &folder.set());
    folder.write("03_t3/up.sql", table(3));
    let provider = provider::<S::Connection>(&folder.set());
    let health = provider.health();
    let config = Config::new(database.url()).mode(ServiceMode::WaitOnly);
    let init = provider.init(config.migrator(|migrator| migrator.serves_from("02")));
    init.unwrap_or_else(|error| panic!("{error}"));
    let verdict = health.readiness();
    assert_eq!((verdict.code, verdict.status, verdict.http_status()), ("behind", Outcome::Warn, 200));
    applies::<S>(&database, &folder.set());
    becomes(&health, "ready");
    folder.write("04_t4/up.sql", format!("-- migrator: breaks-before 04\n{}", table(4)));
    applies::<S>(&database, &folder.set());
    let verdict = becomes(&health, "outdated");
    assert_eq!((verdict.http_status(), health.liveness().http_status()), (503, 200));
}

/// Somebody restored an old backup under the service.
fn a_history_that_is_gone_is_pending<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider = provider::<S::Connection>(&set);
    let health = provider.health();
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(health.readiness().code, "ready");
    for table in ["__migrator_history", "__migrator_meta", "__diesel_schema_migrations", "t1", "t2"] {
        database.execute(&format!("DROP TABLE {table}"));
    }
    let verdict = becomes(&health, "pending");
    assert_eq!((verdict.http_status(), health.liveness().http_status()), (503, 200));
    assert!(verdict.message.contains("2 migrations"), "{verdict}");
    assert!(tables(&database).is_empty(), "to look makes no table");
    applies::<S>(&database, &set);
    becomes(&health, "ready");
}

fn a_history_that_a_hand_changed_is_not_ready<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let provider = provider::<S::Connection>(&set);
    let health = provider.health();
    provider.init(Config::new(database.url())).unwrap_or_else(|error| panic!("{error}"));
    database.execute("UPDATE __migrator_meta SET fingerprint = NULL");
    let verdict = becomes(&health, "history_tampered");
    assert_eq!(verdict.http_status(), 503);
    let fault = health.report().fault.expect("it is told");
    assert!(fault.code == "history_tampered" && fault.remedy.is_some_and(|remedy| remedy.contains("backup")));
}

fn only_migrating_is_never_ready<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(1).set());
    let provider = provider::<S::Connection>(&set);
    provider.init(Config::new(database.url()).mode(ServiceMode::MigrateOnly)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(probes(&provider.health()), (200, 200, 503, "migrate_only"));
    // And a process that only checks fails where something is pending.
    let folder = Folder::of_tables(2);
    let other = crate::provider::provider::<S::Connection>(&folder.set());
    other.init(Config::new(database.url()).mode(ServiceMode::CheckOnly)).expect_err("one is pending");
    assert_eq!(probes(&other.health()), (503, 200, 503, "pending"));
}

/// A role that may only SELECT, and no provider.
fn reads_over_a_connection_and_writes_nothing<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let empty = Migrator::new(&folder.set()).health(&mut database.connect());
    assert_eq!((empty.readiness.code, empty.http_status()), ("pending", 503));
    assert!(tables(&database).is_empty());
    applies::<S>(&database, &folder.set());
    let (before, mut reader) = (history(&database), S::reader(&database));
    let report = Migrator::new(&folder.set()).health(&mut reader);
    assert!(report.readiness.code == "ready" && report.state.is_none() && report.pool.is_none(), "{report:?}");
    folder.write("03_t3/up.sql", table(3));
    let report = Migrator::new(&folder.set()).health(&mut reader);
    let schema = report.schema.expect("it was read");
    assert_eq!((report.readiness.code, schema.applied, schema.pending), ("pending", 2, 1));
    folder.write("01_t1/up.sql", "SELECT 1");
    let report = Migrator::new(&folder.set()).health(&mut reader);
    assert_eq!((report.readiness.code, report.fault.map(|fault| fault.code)), ("changed", Some("changed")));
    assert_eq!(history(&database), before);
}

#[test]
fn a_role_of_postgres_that_may_only_select_serves() {
    let database = servers::postgres().fresh();
    let create = |role: &str| {
        format!(
            "CREATE ROLE {role} LOGIN PASSWORD 'letter'; GRANT USAGE ON SCHEMA public TO {role}; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"
        )
    };
    serves_a_reader::<PgConnection>(&database, create, |role| {
        format!("REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {role}")
    });
}

#[test]
fn a_role_of_mariadb_that_may_only_select_serves() {
    let database = servers::mariadb().fresh();
    let name = database.name().to_owned();
    // Rights on a database are those of the moment at which a connection chose it.
    let user = |role: &str| format!("'{role}'@'127.0.0.1'");
    let create = |role: &str| {
        let user = user(role);
        format!(
            "CREATE USER {user} IDENTIFIED BY 'letter'; GRANT CREATE ON {name}.* TO {user}; GRANT SELECT ON {name}.__migrator_history TO {user}; GRANT SELECT ON {name}.__migrator_meta TO {user}; GRANT SELECT ON {name}.__diesel_schema_migrations TO {user}"
        )
    };
    let revoke = |role: &str| {
        format!(
            "REVOKE SELECT ON {name}.__migrator_history FROM {0}; REVOKE SELECT ON {name}.__migrator_meta FROM {0}",
            user(role)
        )
    };
    serves_a_reader::<MysqlConnection>(&database, create, revoke);
}

fn serves_a_reader<C>(
    database: &servers::FreshDatabase<impl servers::Kind<Connection = C>>,
    create: impl Fn(&str) -> String,
    revoke: impl Fn(&str) -> String,
) where
    C: diesel::connection::LoadConnection<Backend: Dialect> + diesel::r2d2::R2D2Connection + Send + 'static,
{
    let (set, role) = (Folder::of_tables(2).set(), format!("served_{}", database.name()));
    Migrator::new(&set).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    database.execute(&create(&role));
    let (provider, before) = (provider::<C>(&set), history(database));
    let url = as_role(database.url(), &role, "letter");
    provider.init(Config::new(&url).mode(ServiceMode::CheckOnly)).unwrap_or_else(|error| panic!("{error}"));
    let health = provider.health();
    assert_eq!(probes(&health), (200, 200, 200, "ready"));
    assert_eq!(health.overview().expect("it is read").migrations.applied(), 2);
    // What it may not even read it knows nothing about: that is not healthy.
    database.execute(&revoke(&role));
    let verdict =
        migrator_tests::wait::until("the loss", || Some(health.readiness()).filter(|verdict| !verdict.is_positive()));
    assert_eq!(verdict.http_status(), 503, "{verdict:?}");
    let told = format!("{verdict:?} {}", health.report().without_details());
    assert!(!told.contains(&role) && !told.contains("letter") && !told.contains(database.name()), "{told}");
    assert_eq!(history(database), before);
}
