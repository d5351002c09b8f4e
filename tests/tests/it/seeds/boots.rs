//! The first start, every other start, and what makes a seed run again.

use std::time::Duration;

use migrator::seed::{Mode, Pass, Phase, Skip};
use migrator::{Environment, Migrator, Policy, Seed, SeedOutcome};
use migrator_tests::Database;

use super::*;
use crate::watch;

on_each_dialect!(
    first_start_applies_and_the_next_is_one_query,
    reader_finds_nothing_to_do,
    version_runs_it_again_and_once_does_not,
    ensure_asks_verify,
    always_runs_each_time,
    manual_runs_by_name,
    order_is_that_of_dependencies,
    environments_must_fit_process_and_database,
    refuses_while_migrations_are_pending,
    runs_where_a_policy_lets_the_run_go_on,
    refuses_an_unsound_list,
    background_seeds_wait_for_the_worker,
    report_prints_and_serialises,
    without_a_transaction_verify_is_asked_first,
    ledger_of_a_newer_version_is_read,
    two_sets_have_ledgers_of_their_own,
);

fn first_start_applies_and_the_next_is_one_query<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("roles", roles), Seed::new("second", second), Seed::new("none", nothing)]);
    assert_eq!(seeds::<S>(&database, &set, all), "roles applied 2, second applied 1, none unchanged");
    assert_eq!(log::<S>(&database), ["roles", "second"]);
    assert_eq!(ledger::<S>(&database), ["none  unchanged 0 0", "roles  applied 0 2", "second  applied 0 1"]);

    let before = (ledger_as_it_is::<S>(&database), database.row_counts());
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    let (migrator, events) = watch::events(migrator(&set));
    let report = migrator.seed(&mut conn, all).expect("seed");
    let queries = queries.take();
    assert_eq!(told(&report), "roles unchanged, second unchanged, none unchanged");
    assert!(report.is_successful());
    assert_eq!(queries.len(), 1, "{queries:#?}");
    assert!(queries[0].starts_with("SELECT "), "{queries:?}");
    assert_eq!(events.take(), Vec::<String>::new());
    assert_eq!((ledger_as_it_is::<S>(&database), database.row_counts()), before);
}

fn reader_finds_nothing_to_do<S: Subject>() {
    let (database, set) = migrated::<S>();
    let ensured = Seed::new("ensured", roles).mode(Mode::Ensure).verify(has_roles::<S>());
    let all = list([ensured, Seed::new("second", second)]);
    assert_eq!(seeds::<S>(&database, &set, all), "ensured applied 2, second applied 1");
    let mut conn = S::reader(&database);
    let report = migrator(&set).seed(&mut conn, all).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(told(&report), "ensured unchanged, second unchanged");
    let status = migrator(&set).seed_status(&mut conn, all).unwrap_or_else(|error| panic!("{error}"));
    assert!(status.iter().all(|seed| seed.state == migrator::seed::SeedState::Applied), "{status:?}");

    let more = list([all[0], all[1], Seed::new("third", third)]);
    let error = migrator(&set).seed(&mut conn, more).expect_err("a reader cannot seed");
    assert!(matches!(error.code(), "read_only" | "permission_denied" | "seed_failed"), "{error:?}");
    assert_eq!(log::<S>(&database), ["roles", "second"]);
}

fn version_runs_it_again_and_once_does_not<S: Subject>() {
    let (database, set) = migrated::<S>();
    let both = |version| {
        list([
            Seed::new("second", second).version(version),
            Seed::new("third", third).version(version).mode(Mode::Once),
        ])
    };
    assert_eq!(seeds::<S>(&database, &set, both("1")), "second applied 1, third applied 1");
    assert_eq!(seeds::<S>(&database, &set, both("1")), "second unchanged, third unchanged");
    assert_eq!(seeds::<S>(&database, &set, both("2")), "second applied 1, third unchanged");
    assert_eq!(log::<S>(&database), ["second", "second", "third"]);
    assert_eq!(ledger::<S>(&database), ["second 2 applied 0 1", "third 1 applied 0 1"]);
}

fn ensure_asks_verify<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("roles", roles).mode(Mode::Ensure).verify(has_roles::<S>())]);
    // What was there before is not made again, and it is remembered that it holds.
    database.execute("INSERT INTO role (name) VALUES ('owner')");
    assert_eq!(seeds::<S>(&database, &set, all), "roles unchanged");
    assert_eq!((log::<S>(&database).len(), ledger::<S>(&database)), (0, vec!["roles  unchanged 0 0".to_owned()]));
    let before = ledger_as_it_is::<S>(&database);
    assert_eq!(seeds::<S>(&database, &set, all), "roles unchanged");
    assert_eq!(ledger_as_it_is::<S>(&database), before, "nothing is written when nothing changes");
    database.execute("DELETE FROM role");
    assert_eq!(seeds::<S>(&database, &set, all), "roles applied 2");
    assert_eq!(seeds::<S>(&database, &set, all), "roles unchanged");
    assert_eq!(log::<S>(&database), ["roles"]);
}

fn always_runs_each_time<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("second", second).mode(Mode::Always), Seed::new("none", nothing).mode(Mode::Always)]);
    for _ in 0..3 {
        assert_eq!(seeds::<S>(&database, &set, all), "second applied 1, none unchanged");
    }
    assert_eq!(log::<S>(&database), ["second"; 3]);
}

fn manual_runs_by_name<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("second", second).mode(Mode::Manual), Seed::new("third", third)]);
    let report = seeded::<S>(&database, &set, all).expect("seed");
    assert_eq!(told(&report), "second skipped, third applied 1");
    assert_eq!(report.outcome("second"), Some(&SeedOutcome::Skipped(Skip::Manual)));
    assert!(!report.is_successful(), "skipped is never success");
    let mut conn = database.connect();
    let report = migrator(&set).seed_only(&mut conn, all, &["second"]).expect("seed");
    assert_eq!(told(&report), "second applied 1");
    let error = migrator(&set).seed_only(&mut conn, all, &["fourth"]).expect_err("there is none");
    assert!(error.message().contains("fourth") && error.remedy().contains("second, third"), "{error}");
    assert_eq!(log::<S>(&database), ["second", "third"]);
}

fn order_is_that_of_dependencies<S: Subject>() {
    let (database, set) = migrated::<S>();
    let first = Seed::new("roles", roles);
    let all = list([Seed::new("third", third).depends_on(list([first])), Seed::new("second", second), first]);
    assert_eq!(seeds::<S>(&database, &set, all), "second applied 1, roles applied 2, third applied 1");
}

fn environments_must_fit_process_and_database<S: Subject>() {
    let all = list([Seed::new("second", second).environments(&[Environment::Development, Environment::Test])]);
    // The database is marked by the first run that is told what it is.
    let cases = [
        (Some(Environment::Production), Some(Environment::Development), "production"),
        (Some(Environment::Development), Some(Environment::Staging), "staging"),
        (Some(Environment::Production), None, "production"),
        (None, None, "nobody says"),
    ];
    for (marked, told_to_be, why) in cases {
        let (set, database) = (Folder::of(&[("01_tables", TABLES)]).set(), S::fresh());
        let with = |environment: Option<Environment>| match environment {
            Some(environment) => migrator(&set).environment(environment),
            None => migrator(&set),
        };
        let mut conn = database.connect();
        with(marked).run(&mut conn).expect("run");
        let report = with(told_to_be).seed(&mut conn, all).expect("seed");
        let SeedOutcome::Skipped(skip) = &report.seeds()[0].outcome else { panic!("{report}") };
        assert!(skip.to_string().contains(why), "{skip}");
        assert!(log::<S>(&database).is_empty());
        let status = with(told_to_be).seed_status(&mut conn, all).expect("status");
        assert_eq!(status[0].state, migrator::seed::SeedState::Skipped);
    }
    for (marked, told_to_be) in [
        (Some(Environment::Test), None),
        (None, Some(Environment::Test)),
        (Some(Environment::Test), Some(Environment::Development)),
    ] {
        let (set, database) = (Folder::of(&[("01_tables", TABLES)]).set(), S::fresh());
        let with = |environment: Option<Environment>| match environment {
            Some(environment) => migrator(&set).environment(environment),
            None => migrator(&set),
        };
        let mut conn = database.connect();
        with(marked).run(&mut conn).expect("run");
        assert_eq!(told(&with(told_to_be).seed(&mut conn, all).expect("seed")), "second applied 1");
    }
}

fn refuses_while_migrations_are_pending<S: Subject>() {
    let folder = Folder::of(&[("01_tables", TABLES)]);
    let (database, all) = (S::fresh(), list([Seed::new("second", second)]));
    let pending = |set: &MigrationSet| {
        let error = seeded::<S>(&database, set, all).expect_err("refused");
        assert_eq!(error.code(), "migrations_pending", "{error}");
        assert!(error.remedy().contains("run the migrations first"), "{error}");
    };
    pending(&folder.set());
    assert!(database.tables().is_empty());
    applies::<S>(&database, &folder.set());
    folder.write("02_more/up.sql", "INSERT INTO log VALUES ('more')");
    pending(&folder.set());
    folder.write("02_more/up.sql", "INSERT INTO no_such_table VALUES ('more')");
    Migrator::new(&folder.set()).run(&mut database.connect()).expect_err("the migration fails");
    pending(&folder.set());
    assert!(log::<S>(&database).is_empty());
    // An older binary on a newer database serves, and seeds.
    folder.write("02_more/up.sql", "INSERT INTO log VALUES ('more')");
    applies::<S>(&database, &folder.set());
    folder.remove("02_more");
    assert_eq!(seeds::<S>(&database, &folder.set(), all), "second applied 1");
}

fn runs_where_a_policy_lets_the_run_go_on<S: Subject>() {
    let database = S::fresh();
    let folder = Folder::of(&[("01_tables", TABLES)]);
    applies::<S>(&database, &folder.set());
    folder.write("01_tables/up.sql", format!("-- edited\n{TABLES}"));
    let seeds = [Seed::new("roles", roles)];
    let refused = Migrator::new(&folder.set()).seed(&mut database.connect(), &seeds).expect_err("it was edited");
    assert_eq!(refused.code(), "migrations_pending");
    let allowing = Migrator::new(&folder.set()).changed(Policy::Warn);
    allowing.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let report = allowing.seed(&mut database.connect(), &seeds).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(report.outcome("roles"), Some(&SeedOutcome::Applied { rows: 2 }));
}

fn refuses_an_unsound_list<S: Subject>() {
    let (database, set) = migrated::<S>();
    let (a, b) = (Seed::new("a", second), Seed::new("b", third));
    let later = Seed::new("later", third).phase(Phase::Background);
    let unsound = [
        (list([a, a]), "two seeds have the name `a`"),
        (list([a.depends_on(list([b]))]), "the seed `a` depends on one that is not in the list: b"),
        (
            list([b.depends_on(list([a.depends_on(list([b]))])), a.depends_on(list([b]))]),
            "these seeds wait for each other: b, a",
        ),
        (
            list([later, a.depends_on(list([later]))]),
            "the seed `a` is blocking and depends on a background seed: later",
        ),
        (list([a.mode(Mode::Ensure)]), "the seed `a` has the mode ensure and no verify"),
        (list([Seed::new("", second)]), "a seed's name has 1 to 200 bytes"),
    ];
    for (seeds, message) in unsound {
        let error = seeded::<S>(&database, &set, seeds).expect_err("refused");
        assert_eq!(error.code(), "seeds");
        assert!(error.message().contains(message), "{error}");
    }
    assert!(log::<S>(&database).is_empty());
}

fn background_seeds_wait_for_the_worker<S: Subject>() {
    let (database, set) = migrated::<S>();
    let first = Seed::new("roles", roles);
    let later = Seed::new("second", second).phase(Phase::Background).depends_on(list([first]));
    let all = list([first, later, Seed::new("third", third).phase(Phase::Background).depends_on(list([later]))]);
    let mut conn = database.connect();
    let worker = migrator(&set);
    let report = worker.seed_background(&mut conn, all, Pass::First).expect("a pass");
    assert_eq!(report.outcome("second"), Some(&SeedOutcome::Skipped(Skip::DependsOn("roles".into()))), "{report}");
    assert_eq!(seeds::<S>(&database, &set, all), "roles applied 2, second skipped, third skipped");
    let report = worker.seed_background(&mut conn, all, Pass::First).expect("a pass");
    assert_eq!((told(&report).as_str(), report.next_due()), ("second applied 1, third applied 1", None));
    assert_eq!(seeds::<S>(&database, &set, all), "roles unchanged, second unchanged, third unchanged");
    assert_eq!(log::<S>(&database), ["roles", "second", "third"]);
}

fn report_prints_and_serialises<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all =
        list([Seed::new("roles", roles), Seed::new("none", nothing), Seed::new("third", third).mode(Mode::Manual)]);
    let report = seeded::<S>(&database, &set, all).expect("seed");
    let text = report.to_string();
    assert!(text.starts_with("seeds: 1 applied, 1 unchanged, 1 skipped, in "), "{text}");
    assert!(
        text.ends_with(" ms\n  roles  applied, 2 rows\n  third  skipped: it runs only when it is asked for by name"),
        "{text}"
    );
    let json = serde_json::to_value(&report).expect("JSON");
    assert_eq!((&json["seeds"][0]["outcome"], &json["seeds"][0]["rows"]), (&"applied".into(), &2.into()));
    assert_eq!(
        (&json["seeds"][2]["outcome"], &json["seeds"][2]["attempts"]),
        (&"skipped".into(), &serde_json::Value::Null)
    );
    assert_eq!(json["run_id"].as_str().map(str::len), Some(32));
    let status = migrator(&set).seed_status(&mut database.connect(), all).expect("status");
    let json = serde_json::to_value(&status).expect("JSON");
    assert_eq!(
        (&json[0]["state"], &json[0]["rows"], &json[0]["critical"]),
        (&"applied".into(), &2.into(), &true.into())
    );
    assert_eq!(json[0]["applied_at"].as_str().map(str::len), Some("2026-01-01T00:00:00.000Z".len()));
}

fn without_a_transaction_verify_is_asked_first<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("roles", roles).without_transaction(has_roles::<S>())]);
    // As if it had been killed before its ledger row was written.
    database.execute("INSERT INTO role (name) VALUES ('admin')");
    assert_eq!(seeds::<S>(&database, &set, all), "roles unchanged");
    assert!(log::<S>(&database).is_empty());
    database.execute("DELETE FROM role; DELETE FROM __migrator_seeds");
    assert_eq!(seeds::<S>(&database, &set, all), "roles applied 2");
    assert_eq!(seeds::<S>(&database, &set, all), "roles unchanged");
    assert_eq!(log::<S>(&database), ["roles"]);
}

fn ledger_of_a_newer_version_is_read<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("second", second)]);
    seeds::<S>(&database, &set, all);
    database.execute("ALTER TABLE __migrator_seeds ADD COLUMN fingerprint VARCHAR(20) DEFAULT 'new'; ALTER TABLE __migrator_seeds ADD COLUMN m0 VARCHAR(20)");
    assert_eq!(seeds::<S>(&database, &set, all), "second unchanged");
    let mut conn = database.connect();
    let queries = watch::queries(&mut conn);
    migrator(&set).seed(&mut conn, all).expect("seed");
    assert_eq!(queries.take().len(), 1);
    assert_eq!(seeds::<S>(&database, &set, list([all[0].version("2")])), "second applied 1");
    assert_eq!(
        database.texts("SELECT fingerprint AS value FROM __migrator_seeds"),
        ["new"],
        "a column of theirs is left alone"
    );
}

fn two_sets_have_ledgers_of_their_own<S: Subject>() {
    let (database, set) = migrated::<S>();
    let all = list([Seed::new("second", second)]);
    let other = Folder::of(&[("01_other", "INSERT INTO log VALUES ('other')")]).set();
    let mut conn = database.connect();
    let billing = migrator(&other).set_name("billing").non_empty(migrator::Policy::Allow);
    billing.run(&mut conn).expect("run");
    assert_eq!(seeds::<S>(&database, &set, all), "second applied 1");
    assert_eq!(told(&billing.seed(&mut conn, all).expect("seed")), "second applied 1");
    assert_eq!(told(&billing.seed(&mut conn, all).expect("seed")), "second unchanged");
    let _ = Duration::ZERO;
}
