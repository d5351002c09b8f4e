//! What a run tells, in which order, and what it never tells.

use migrator::Migrator;
use migrator_tests::Database;
use migrator_tests::servers::{Kind, Server};

use crate::dialects::{Mariadb, Postgres, Subject};
use crate::folder::{Folder, table};
use crate::watch;

on_each_dialect!(of_a_run, of_a_failure, each_applied_migration_is_told_once);

/// The names of the events, with what tells them apart and without times.
fn told(events: &[String]) -> Vec<String> {
    let field = |event: &str, name: &str| {
        let (_, rest) = event.split_once(&format!(" {name}: "))?;
        Some(rest.split([',', ' ']).next()?.trim_matches('"').to_owned())
    };
    let short = |event: &String| {
        let word = event.split(' ').next().unwrap_or_default();
        let detail = ["version", "number", "applied"].iter().find_map(|name| field(event, name));
        let detail = detail.or_else(|| (word == "Planned").then(|| field(event, "steps")).flatten());
        detail.map_or(word.to_owned(), |detail| format!("{word} {detail}"))
    };
    events.iter().map(short).collect()
}

fn of_a_run<S: Subject>() {
    let (database, set) = (S::fresh(), Folder::of_tables(2).set());
    let (migrator, events) = watch::events(Migrator::new(&set));
    migrator.run(&mut database.connect()).expect("run");
    let begin = ["Locked", "Planned 2"];
    let [first, second] = [["Started 01", "Statement 1", "Statement 2"], ["Started 02", "Statement 1", "Statement 2"]];
    // Where the whole run is one transaction nothing is applied before its end.
    let expected: Vec<&str> = match S::ONE_TRANSACTION {
        true => [&begin[..], &first, &second, &["Applied 01", "Applied 02"]].concat(),
        false => [&begin[..], &first, &["Applied 01"], &second, &["Applied 02"]].concat(),
    };
    assert_eq!(told(&events.take()), expected);
    migrator.run(&mut database.connect()).expect("run");
    assert_eq!(told(&events.take()), ["Unchanged 2"]);
}

fn of_a_failure<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(1));
    folder.write("02_fails/up.sql", "INSERT INTO nowhere VALUES (1);");
    folder.write("03_never/up.sql", table(3));
    let (migrator, events) = watch::events(Migrator::new(&folder.set()));
    migrator.run(&mut database.connect()).expect_err("it fails");
    let all = events.take();
    let failed = all.iter().find(|event| event.starts_with("Failed ")).expect("it is told");
    assert!(
        failed.contains("02_fails") && failed.contains(S::NO_SUCH_TABLE.split('\'').next().expect("one")),
        "{failed}"
    );
    let mut told = told(&all);
    assert!(told.iter().all(|event| !event.contains("03")), "{told:?}");
    let fail = told.iter().position(|event| event == "Failed 02").expect("it is told");
    let start = told.iter().position(|event| event == "Started 02").expect("it is told");
    assert!(start < fail, "{told:?}");
    told.retain(|event| event.starts_with("Applied"));
    assert_eq!(told, ["Applied 01"], "what is kept is told");
}

fn each_applied_migration_is_told_once<S: Subject>() {
    let (database, folder) = (S::fresh(), Folder::of_tables(4));
    folder.write("02_t2/up.sql", format!("-- migrator: no-transaction\n{}", table(2)));
    let (migrator, events) = watch::events(Migrator::new(&folder.set()));
    migrator.run(&mut database.connect()).expect("run");
    let mut told = told(&events.take());
    told.retain(|event| event.starts_with("Applied"));
    assert_eq!(told, ["Applied 01", "Applied 02", "Applied 03", "Applied 04"]);
}

#[test]
fn postgres_tells_no_password() {
    tells_no_password::<Postgres, _>(migrator_tests::servers::postgres());
}

#[test]
fn mariadb_tells_no_password() {
    tells_no_password::<Mariadb, _>(migrator_tests::servers::mariadb());
}

/// Everything that is told of a connection whose password was made at random.
fn tells_no_password<S: Subject, K: Kind>(server: &Server<K>) {
    let (database, folder) = (S::fresh(), Folder::of_tables(2));
    let (mut conn, mut told) = (database.connect(), Vec::new());
    let (migrator, events) = watch::events(Migrator::new(&folder.set()));
    let report = migrator.run(&mut conn).expect("run");
    told.extend([
        format!("{report:?} {report}"),
        serde_json::to_string(&report).expect("JSON"),
        format!("{migrator:?}"),
    ]);
    folder.write("03_fails/up.sql", "INSERT INTO nowhere VALUES (1);");
    let set = folder.set();
    let (migrator, failing) = watch::events(Migrator::new(&set));
    let migrator = migrator.session(format!("SELECT '{}'", server.password()), ());
    let error = migrator.run(&mut conn).expect_err("it fails");
    told.extend([format!("{error:?} {error}"), format!("{:?}", error.report()), format!("{migrator:?} {set:?}")]);
    let status = migrator.status(&mut conn).expect("status");
    told.extend([format!("{status:?} {status}"), serde_json::to_string(&status).expect("JSON")]);
    folder.remove("01_t1");
    let refused = Migrator::new(&folder.set()).run(&mut conn).expect_err("refused");
    told.push(format!("{refused:?}"));
    database.execute("DROP TABLE __migrator_meta");
    told.push(format!("{:?}", Migrator::new(&set).run(&mut conn).expect_err("refused")));
    told.extend(events.take());
    told.extend(failing.take());
    for column in ["name", "detail", "recorded_by"] {
        told.extend(database.texts(&format!("SELECT COALESCE({column}, '') AS value FROM __migrator_history")));
    }
    assert!(told.len() > 20 && server.password().len() > 20);
    let leaks: Vec<&String> = told.iter().filter(|told| told.contains(server.password())).collect();
    assert!(leaks.is_empty(), "{leaks:?}");
}
