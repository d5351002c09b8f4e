//! Services that share a schema: with names of their own, and with the same name by mistake.

use std::thread;

use diesel::connection::SimpleConnection;
use migrator::{DatabaseState, Migrator};
use migrator_tests::{Database, wait};

use crate::crash::starter::Starter;
use crate::dialects::{Postgres, Subject, history, names, run, status, tables};
use crate::folder::Folder;

on_each_dialect!(start_at_the_same_moment, share_a_name_by_mistake, a_name_that_is_too_long_is_refused,);

/// Several processes of three services, on an empty database, all at once.
fn start_at_the_same_moment<S: Subject>() {
    let sets = ["", "second", "third"];
    let folders = sets.map(|set| {
        let tables: Vec<(String, String)> = (1..=3)
            .map(|number| {
                (
                    format!("0{number}_{set}"),
                    format!("CREATE TABLE of_{set}_{number} (id INTEGER); INSERT INTO of_{set}_{number} VALUES (1);"),
                )
            })
            .collect();
        Folder::of(&tables)
    });
    for _ in 0..4 {
        let database = S::fresh();
        let mut starters: Vec<(usize, Starter)> = (0..6)
            .map(|number| {
                let (at, name) = (number % 3, format!("set={}", sets[number % 3]));
                (at, Starter::start(database.url(), folders[at].path(), &["barrier", &name]))
            })
            .collect();
        starters.iter_mut().for_each(|(_, starter)| drop(starter.until("ready")));
        starters.iter_mut().for_each(|(_, starter)| starter.go());
        let mut applied = [0; 3];
        starters.into_iter().for_each(|(at, starter)| applied[at] += starter.end().succeeded());
        assert_eq!(applied, [3; 3], "each service's migrations, once");
        assert!(database.row_counts().values().all(|rows| *rows == 1), "{:?}", database.row_counts());
        for (set, folder) in sets.iter().zip(&folders) {
            let (set, mut conn) = (Migrator::<S::Connection>::new(&folder.set()).set_name(*set), database.connect());
            let status = set.verify(&mut conn).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((status.applied(), status.problems().len()), (3, 0), "{status}");
        }
    }
}

/// Two services with different directories, and neither has a name: the second one is refused, whatever its versions are, and told
/// what to do; the first one is none the wiser.
fn share_a_name_by_mistake<S: Subject>() {
    let cases = [
        (["01_a", "02_b"], ["01_x", "03_y"], "changed"),
        (["01_a", "02_b"], ["03_x", "04_y"], "missing"),
        (["03_a", "04_b"], ["01_x", "02_y"], "out_of_order"),
        (["01_a", "03_b"], ["02_x", "04_y"], "missing"),
    ];
    for (first, second, code) in cases {
        let database = S::fresh();
        let [first, second] = [first, second].map(|names| {
            let tables = names.map(|name| (name, format!("CREATE TABLE of_{name} (id INTEGER)")));
            Folder::of(&tables).set()
        });
        let report = run::<S>(&database, &first).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(report.applied().len(), 2);
        let made = tables(&database);
        let error = run::<S>(&database, &second).expect_err("refused");
        assert_eq!((error.code(), tables(&database)), (code, made), "{error}");
        assert!(error.remedy().contains("Migrator::set_name"), "{error}");
        let seen = status::<S>(&database, &second);
        assert_eq!(
            (seen.state(), seen.problems()[0].help.as_str()),
            (DatabaseState::Blocked, error.remedy()),
            "{seen}"
        );
        assert_eq!(run::<S>(&database, &first).unwrap_or_else(|error| panic!("{error}")).skipped(), 2);
        let named = Migrator::new(&second).set_name("second").run(&mut database.connect());
        assert_eq!(
            named.unwrap_or_else(|error| panic!("{error}")).applied().len(),
            2,
            "with a name of its own it is served"
        );
    }
}

/// Another set, with a lock of its own, makes our tables while this one does.
#[test]
fn make_the_tables_of_postgres_at_the_same_moment() {
    let (database, folder) = (Postgres::fresh(), Folder::of_tables(1));
    database.execute("CREATE SCHEMA model");
    Migrator::new(&Folder::of(&[("01_none", "SELECT 1")]).set())
        .schema("model")
        .run(&mut database.connect())
        .unwrap_or_else(|error| panic!("{error}"));
    let mut other = database.connect();
    let like = |name: &str| format!("CREATE TABLE public.{name} (LIKE model.{name} INCLUDING ALL);");
    other
        .batch_execute(&format!("BEGIN; {}{}", like("__migrator_meta"), like("__migrator_history")))
        .expect("as another set does");
    let set = folder.set();
    let report = thread::scope(|scope| {
        let run = scope.spawn(|| Migrator::new(&set).run(&mut database.connect()));
        let waits = "SELECT 'waits' AS value FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        wait::until("the run", || database.texts(waits).pop());
        other.batch_execute("COMMIT").expect("commit");
        run.join().expect("no panic").unwrap_or_else(|error| panic!("{error}"))
    });
    assert_eq!(names(&report), ["01_t1"]);
    assert_eq!(history(&database), ["applied 01"]);
}

fn a_name_that_is_too_long_is_refused<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(5).set());
    let named = |length: usize| Migrator::<S::Connection>::new(&set).set_name("ü".repeat(length));
    let error = named(256).run(&mut database.connect()).expect_err("too long");
    assert_eq!(error.code(), "set_name", "{error}");
    assert!(error.remedy().contains("Migrator::set_name") && tables(&database).is_empty(), "{error}");
    named(255).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(named(255).run(&mut database.connect()).expect("nothing is pending").applied().is_empty());
}
