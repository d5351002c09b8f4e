//! A restore is refused where it would hurt somebody, and one that fails changes nothing.

use std::fs;
use std::sync::{Arc, Mutex};

use diesel::Connection;
use diesel::connection::SimpleConnection;
use migrator::backup::{Backup, Restore};
use migrator::{Environment, Event, Migrator, Policy};
use migrator_tests::Database;

use super::{Case, names_of, programs};
use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, as_role, tables};

on_each_dialect!(
    is_refused_while_a_session_is_open,
    of_another_kind_is_refused,
    of_production_wants_its_name,
    tells_how_far_it_is
);

fn is_refused_while_a_session_is_open<S: Subject>() {
    let case = Case::<S>::new();
    let backup = case.make();
    let mut open = case.database.connect();
    open.batch_execute("INSERT INTO t1 VALUES (2)").expect("write");
    let names = case.names();
    let error = case.restore(&backup.file).expect_err("somebody is connected");
    assert_eq!(error.code(), "restore_refused", "{error}");
    assert!(error.message().contains("in use") && error.remedy().contains("--while-connected"), "{error}");
    open.batch_execute("INSERT INTO t1 VALUES (3)").expect("the session was not disturbed");
    assert_eq!((case.database.row_counts()["t1"], case.names()), (3, names));

    let told = Restore::of(&backup.file).while_connected(Policy::Allow).into(case.database.url());
    told.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.database.row_counts()["t1"], 1);
    if S::NAME != "sqlite" {
        open.batch_execute("INSERT INTO t1 VALUES (4)").expect_err("the session was ended");
    }
}

/// The mark of the database that is replaced counts, not that of the backup.
fn of_production_wants_its_name<S: Subject>() {
    let case = Case::<S>::new();
    let backup = case.make();
    let migrator = Migrator::new(&case.folder.set());
    migrator.mark(&mut case.database.connect(), Environment::Production).unwrap_or_else(|error| panic!("{error}"));
    let names = case.names();
    let error = case.restore(&backup.file).expect_err("it is production");
    assert_eq!(error.code(), "not_confirmed", "{error}");
    let typed = crate::guard::typed::<S>(&case.database);
    let restore = || Restore::of(&backup.file).confirm(&typed);
    let error = restore().environment(Environment::Test).into(case.database.url()).expect_err("another environment");
    assert_eq!((error.code(), case.names()), ("environment_mismatch", names));
    let restored = restore().environment(Environment::Production).into(case.database.url());
    let restored = restored.unwrap_or_else(|error| panic!("{error}"));
    assert!(restored.warnings.iter().any(|warning| warning.contains("migrator mark production")), "{restored}");
}

fn tells_how_far_it_is<S: Subject>() {
    let case = Case::<S>::new();
    super::bulk::<S>(&case.database, 24);
    let backup = case.make();
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let restore = Restore::of(&backup.file).on_event(move |event| {
        if let Event::RestoreProgress { bytes, of } = event {
            hears.lock().expect("nobody panicked").push((bytes, of));
        }
    });
    restore.into(case.database.url()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.database.row_counts()["bulk"], 24);
    let told = told.lock().expect("nobody panicked");
    assert!(told.iter().all(|&(bytes, of)| bytes <= of && of == backup.bytes), "{told:?}");
    assert_eq!((told.first(), told.last()), (Some(&(0, backup.bytes)), Some(&(backup.bytes, backup.bytes))));
    // SQLite is done within a beat.
    assert!(S::NAME == "sqlite" || told.iter().any(|&(bytes, of)| 0 < bytes && bytes < of), "{told:?}");
}

fn of_another_kind_is_refused<S: Subject>() {
    let case = Case::<S>::new();
    let backup = case.make();
    let url = if S::NAME == "sqlite" { "postgres://127.0.0.1:1/db" } else { "sqlite:other.db" };
    let error = Restore::of(&backup.file).into(url).expect_err("it is another kind");
    assert_eq!(error.code(), "restore_refused");
}

#[test]
fn wal_under_an_open_connection_is_never_replaced() {
    let case = Case::<Sqlite>::new();
    let mut open = case.database.connect();
    open.batch_execute("PRAGMA journal_mode = wal; INSERT INTO t1 VALUES (2)").expect("write");
    let backup = case.make();
    let error = Restore::of(&backup.file).while_connected(Policy::Allow).into(case.database.url());
    assert_eq!(error.expect_err("the WAL would be read into it").code(), "restore_refused");
    open.batch_execute("INSERT INTO t1 VALUES (3)").expect("the session was not disturbed");
    drop(open);
    case.restore(&backup.file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.database.row_counts()["t1"], 2);
}

#[test]
fn a_wal_without_its_database_is_not_read_into_the_new_one() {
    let case = Case::<Sqlite>::new();
    let backup = case.make();
    fs::remove_file(case.database.path()).expect("remove");
    let wal = format!("{}-wal", case.database.url());
    fs::write(&wal, "left").expect("write");
    let error = case.restore(&backup.file).expect_err("it would be read");
    assert!(error.message().contains("test.db-wal"), "{error}");
    fs::remove_file(wal).expect("remove");
    let restored = case.restore(&backup.file).unwrap_or_else(|error| panic!("{error}"));
    assert!(restored.copy.is_none(), "there was nothing to copy");
    assert_eq!(tables(&case.database), ["t1"]);
}

#[test]
fn the_file_keeps_its_mode_and_a_link_stays_a_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let case = Case::<Sqlite>::new();
    let backup = case.make();
    assert_eq!(fs::metadata(&backup.file).expect("a file").permissions().mode() & 0o777, 0o600, "for its owner only");
    fs::set_permissions(case.database.path(), fs::Permissions::from_mode(0o640)).expect("change the mode");
    let link = case.database.folder().join("link.db");
    symlink(case.database.path(), &link).expect("make a link");
    Restore::of(&backup.file).into(super::text(&link)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(fs::metadata(case.database.path()).expect("a file").permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).expect("a link").is_symlink());
}

/// The server refuses in the middle of the data: everything is as it was, and nothing is left behind.
#[test]
fn a_restore_of_postgres_that_fails_changes_nothing() {
    fails::<Postgres>(
        "$real \"$@\"; echo 'no more' >&2; exit 1",
        "SELECT datname AS value FROM pg_database WHERE datname LIKE 'NAME_migrator%'",
    );
}

#[test]
fn a_dump_of_mariadb_that_does_not_load_changes_nothing() {
    fails::<Mariadb>(
        "head -c 1500 | $real \"$@\"; echo 'no more' >&2; exit 1",
        "SELECT schema_name AS value FROM information_schema.schemata WHERE schema_name LIKE 'NAME_migrator%'",
    );
}

fn fails<S: Subject>(script: &str, left: &str) {
    let case = Case::<S>::new();
    let backup = case.make();
    case.database.execute("INSERT INTO t1 VALUES (2); CREATE TABLE later (id INTEGER)");
    let [dump, bring] = names_of::<S>() else { panic!("two programs") };
    let pass = "exec $real \"$@\"";
    let script = format!("case \"$*\" in *--version*|*--list*) {pass};; esac\n{script}");
    let programs = programs(&[(dump, pass), (bring, &script)]);
    let error = Restore::of(&backup.file).programs(programs.path()).into(case.database.url()).expect_err("it fails");
    assert_eq!(error.code(), "restore_failed", "{error}");
    assert!(error.message().contains("no more") && error.message().contains("what it was"), "{error}");
    assert_eq!((case.database.row_counts()["t1"], tables(&case.database)), (2, vec!["later".into(), "t1".into()]));
    assert_eq!(case.database.texts(&left.replace("NAME", case.database.name())), [""; 0]);
    assert_eq!(case.names().len(), 4, "the copy that was made first stays");
    case.restore(&backup.file).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(tables(&case.database), ["t1"]);
}

/// The owner of the database, who may make no other one.
#[test]
fn a_role_of_postgres_without_createdb_is_told_so() {
    let case = Case::<Postgres>::new();
    let (name, role) = (case.database.name(), format!("owner_of_{}", case.database.name()));
    case.database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'letter'; ALTER DATABASE {name} OWNER TO {role};
         DO $$ DECLARE name text; BEGIN FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
             EXECUTE format('ALTER TABLE %I OWNER TO {role}', name); END LOOP; END $$"
    ));
    let url = as_role(case.database.url(), &role, "letter");
    let backup = case.make();
    let error = Restore::of(&backup.file).into(&url).expect_err("it may not");
    assert_eq!(error.code(), "restore_failed");
    assert!(error.to_string().contains("CREATEDB") && error.message().contains("what it was"), "{error}");
    case.database.execute(&format!("ALTER ROLE {role} CREATEDB; INSERT INTO t1 VALUES (2)"));
    Restore::of(&backup.file).into(&url).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.database.row_counts()["t1"], 1);
}

/// A role that is told little of other roles' sessions refuses all the same, or says that it could not look.
#[test]
fn the_sessions_of_other_roles_are_not_overlooked() {
    let case = Case::<Postgres>::new();
    let (name, role) = (case.database.name(), format!("keeper_of_{}", case.database.name()));
    case.database.execute(&format!(
        "CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'letter'; ALTER DATABASE {name} OWNER TO {role};
         GRANT SELECT ON __migrator_meta TO {role}"
    ));
    let backup = case.make();
    let open = case.database.connect();
    let error =
        Restore::of(&backup.file).into(&as_role(case.database.url(), &role, "letter")).expect_err("it is in use");
    assert!(error.code() == "restore_refused" && error.message().contains("in use"), "{error}");
    drop(open);

    let case = Case::<Mariadb>::new();
    let (name, role) = (case.database.name(), format!("keeper_of_{}", case.database.name()));
    case.database.execute(&format!(
        "CREATE USER '{role}'@'127.0.0.1' IDENTIFIED BY 'letter'; GRANT ALL ON `{name}%`.* TO '{role}'@'127.0.0.1'"
    ));
    let backup = case.make();
    let open = case.database.connect();
    let restored = Restore::of(&backup.file).into(&as_role(case.database.url(), &role, "letter"));
    let restored = restored.unwrap_or_else(|error| panic!("{error}"));
    assert!(restored.warnings.iter().any(|warning| warning.contains("PROCESS")), "{restored}");
    drop(open);
}

/// With another provider of collations than the server's own.
#[test]
fn a_database_of_postgres_comes_back_with_its_locale() {
    let case = Case::<Postgres>::new();
    let name = format!("{}_icu", case.database.name());
    case.database.execute(&format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'de-AT'"));
    let url = case.database.url().replace(case.database.name(), &name);
    let locale = || {
        let query =
            "SELECT concat(oid, ' ', datlocprovider, ' ', daticulocale) AS value FROM pg_database WHERE datname = ";
        case.database.texts(&format!("{query}'{name}'")).concat()
    };
    let before = locale();
    let backup = Backup::to(case.backups.path()).url(&url);
    let file =
        Migrator::new(&case.folder.set()).backup(&mut diesel::PgConnection::establish(&url).expect("connect"), &backup);
    Restore::of(file.unwrap_or_else(|error| panic!("{error}"))).into(&url).unwrap_or_else(|error| panic!("{error}"));
    let after = locale();
    assert!(before.ends_with(" i de-AT") && after.ends_with(" i de-AT") && before != after, "{before}, {after}");
    case.database.execute(&format!("DROP DATABASE {name}"));
}

/// The second load, into the database itself, is the one that no transaction holds together.
#[test]
fn a_restore_of_mariadb_that_stops_half_way_names_the_copy() {
    let case = Case::<Mariadb>::new();
    let backup = case.make();
    case.database.execute("INSERT INTO t1 VALUES (2)");
    let trial = format!(
        "case \"$*\" in *--version*) exec $real \"$@\";; *{}_migrator_*) exec $real \"$@\";; esac\nhead -c 1500 | $real \"$@\"; echo 'no more' >&2; exit 1",
        case.database.name()
    );
    let programs = programs(&[("mariadb-dump", "exec $real \"$@\""), ("mariadb", &trial)]);
    let error = Restore::of(&backup.file).programs(programs.path()).into(case.database.url()).expect_err("it fails");
    assert_eq!(error.code(), "restore_failed");
    assert!(error.message().contains("not whole"), "{error}");
    let copy = error.remedy().split(' ').next_back().expect("a file");
    case.restore(copy).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(case.database.row_counts()["t1"], 2, "the copy brings the state before back");
}
