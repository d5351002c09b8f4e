//! A reset empties the schema of the history, whatever is in it, and nothing else; a setup fills it again.

use diesel::connection::SimpleConnection;
use migrator::seed::Seed;
use migrator::{Environment, MigrationSet, Migrator};
use migrator_tests::{Database, servers};

use crate::dialects::{Mariadb, Postgres, Sqlite, Subject, applies, tables};
use crate::folder::Folder;

on_each_dialect!(
    everything_goes_and_comes_again,
    nobody_says_what_it_is_for,
    production_goes_with_its_name_and_only_then,
    a_broken_history_is_no_hindrance,
    a_setup_seeds_and_is_repeated,
    a_setup_is_no_deploy,
);

/// Of each kind of object that the database has one, with keys in a circle.
fn rich(name: &str) -> &'static str {
    match name {
        "postgres" => {
            "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE DOMAIN positive AS integer CHECK (value > 0);
             CREATE TYPE pair AS (a integer, b mood); CREATE TYPE span AS RANGE (subtype = integer);
             CREATE SEQUENCE loose; CREATE COLLATION plain (locale = 'C');
             CREATE TABLE one (id serial PRIMARY KEY, two integer, mood mood, count positive, name text COLLATE plain);
             CREATE TABLE two (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, one integer REFERENCES one, p pair);
             ALTER TABLE one ADD FOREIGN KEY (two) REFERENCES two;
             CREATE TABLE parted (id integer) PARTITION BY RANGE (id);
             CREATE TABLE \"part; of it\" PARTITION OF parted FOR VALUES FROM (1) TO (9);
             CREATE VIEW seen AS SELECT mood FROM one; CREATE MATERIALIZED VIEW kept AS SELECT * FROM seen;
             CREATE FUNCTION plus(mood) RETURNS text LANGUAGE sql AS 'SELECT $1::text';
             CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
             CREATE TRIGGER stamped BEFORE INSERT ON one FOR EACH ROW EXECUTE FUNCTION stamp();
             CREATE PROCEDURE nothing() LANGUAGE sql AS 'SELECT 1'; CREATE AGGREGATE total(integer) (sfunc = int4pl, stype = integer);
             CREATE OPERATOR ### (leftarg = integer, rightarg = integer, function = int4pl);
             CREATE STATISTICS several ON two, mood FROM one; CREATE CAST (text AS mood) WITH INOUT;
             CREATE TEXT SEARCH CONFIGURATION simpler (COPY = simple);
             CREATE RULE quiet AS ON DELETE TO two DO INSTEAD NOTHING;
             INSERT INTO one (mood) VALUES ('good'), ('bad'); INSERT INTO parted VALUES (1);"
        }
        "mysql" => {
            "CREATE TABLE one (id INTEGER PRIMARY KEY, two INTEGER); CREATE TABLE two (id INTEGER PRIMARY KEY, one INTEGER REFERENCES one (id));
             ALTER TABLE one ADD FOREIGN KEY (two) REFERENCES two (id); ALTER TABLE two ADD FOREIGN KEY (one) REFERENCES one (id);
             CREATE TABLE past (id INTEGER) WITH SYSTEM VERSIONING; CREATE TABLE `odd ; name` (id INTEGER);
             CREATE SEQUENCE loose; CREATE VIEW seen AS SELECT id FROM one; CREATE VIEW again AS SELECT id FROM seen;
             CREATE FUNCTION three() RETURNS INTEGER DETERMINISTIC RETURN 3; CREATE PROCEDURE nothing() SELECT 1;
             CREATE TRIGGER stamped BEFORE INSERT ON one FOR EACH ROW SET NEW.two = NULL;
             CREATE EVENT later ON SCHEDULE EVERY 1 YEAR DO SELECT 1; INSERT INTO one VALUES (1, NULL), (2, NULL);
             INSERT INTO past VALUES (1);"
        }
        _ => {
            "CREATE TABLE one (id INTEGER PRIMARY KEY AUTOINCREMENT, two INTEGER REFERENCES two (id));
             CREATE TABLE two (id INTEGER PRIMARY KEY, one INTEGER NOT NULL REFERENCES one (id) ON DELETE RESTRICT);
             CREATE TABLE \"odd ; \"\"name\" (id INTEGER); CREATE VIEW seen AS SELECT id FROM one; CREATE INDEX fast ON one (two);
             CREATE TRIGGER stamped AFTER INSERT ON one BEGIN UPDATE one SET two = NULL; END;
             CREATE VIEW again AS SELECT * FROM seen; CREATE VIRTUAL TABLE words USING fts5(body);
             INSERT INTO one (id) VALUES (1), (2); INSERT INTO two VALUES (1, 1); INSERT INTO words VALUES ('found');"
        }
    }
}

fn set() -> (Folder, MigrationSet) {
    let folder = Folder::of_tables(2);
    let set = folder.set();
    (folder, set)
}

fn everything_goes_and_comes_again<S: Subject>() {
    let (database, (_folder, set)) = (S::fresh(), set());
    let empty = database.dump();
    applies::<S>(&database, &set);
    database.execute(rich(S::NAME));
    let migrator = Migrator::new(&set).environment(Environment::Development);
    let contents = migrator.contents(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert!(contents.counts()["table"] >= 6 && contents.counts()["view"] > 0, "{contents}");
    assert!(contents.rows() >= 7, "ours are counted too: {contents}");
    assert!(database.tables().len() > 3, "looking drops nothing");

    let dropped = migrator.reset(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(dropped.counts(), contents.counts());
    let mut conn = database.connect();
    assert_eq!(S::texts(&mut conn, S::TABLES).iter().filter(|name| !name.starts_with("sqlite_")).count(), 0);
    assert_eq!(database.dump(), empty, "what dumps as nothing is nothing");
    assert!(migrator.contents(&mut conn).is_ok_and(|contents| contents.is_empty()));
    assert!(migrator.reset(&mut conn).is_ok_and(|dropped| dropped.is_empty()), "twice is no harm");
    assert_eq!(applies::<S>(&database, &set).applied().len(), 2);
    database.execute(rich(S::NAME));
}

fn nobody_says_what_it_is_for<S: Subject>() {
    let (database, (_folder, set)) = (S::fresh(), set());
    applies::<S>(&database, &set);
    let error = Migrator::new(&set).reset(&mut database.connect()).expect_err("it may be production");
    assert_eq!(error.code(), "development_only", "{error}");
    assert!(error.remedy().contains("--env development"), "{error}");
    let confirmed = Migrator::new(&set).confirm(crate::guard::typed::<S>(&database));
    let error = confirmed.reset(&mut database.connect()).expect_err("a name does not say what it is for");
    assert_eq!(error.code(), "development_only", "{error}");
    for environment in [Environment::Staging, Environment::Production] {
        let migrator = Migrator::new(&set).environment(environment);
        assert_eq!(migrator.reset(&mut database.connect()).expect_err("it is").code(), "not_confirmed");
    }
    assert_eq!(tables(&database), ["t1", "t2"]);
    Migrator::new(&set).mark(&mut database.connect(), Environment::Test).unwrap_or_else(|error| panic!("{error}"));
    Migrator::new(&set).reset(&mut database.connect()).unwrap_or_else(|error| panic!("the mark says it: {error}"));
    assert_eq!(tables(&database), [""; 0]);
}

fn production_goes_with_its_name_and_only_then<S: Subject>() {
    let (database, (_folder, set)) = (S::fresh(), set());
    let told = |environment| Migrator::new(&set).environment(environment);
    told(Environment::Production).run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let typed = crate::guard::typed::<S>(&database);
    for (migrator, code) in [
        (Migrator::new(&set), "not_confirmed"),
        (told(Environment::Production), "not_confirmed"),
        (Migrator::new(&set).confirm("another"), "not_confirmed"),
        (told(Environment::Development).confirm(&typed), "environment_mismatch"),
        (told(Environment::Staging).confirm(&typed), "environment_mismatch"),
    ] {
        let error = migrator.reset(&mut database.connect()).expect_err("it is production");
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(migrator.contents(&mut database.connect()).expect_err("it is production").code(), code);
    }
    let error = Migrator::new(&set).reset(&mut database.connect()).expect_err("no name");
    assert!(error.remedy().contains(&format!("--confirm {typed}")) && error.remedy().contains("--yes"), "{error}");
    assert_eq!(tables(&database), ["t1", "t2"], "nothing was dropped");
    let confirmed = Migrator::new(&set).confirm(&typed);
    confirmed.reset(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let mut conn = database.connect();
    assert_eq!(S::texts(&mut conn, S::TABLES).iter().filter(|name| !name.starts_with("sqlite_")).count(), 0);
}

/// What a reset of MariaDB that was cut off leaves, and a developer's hand anywhere.
fn a_broken_history_is_no_hindrance<S: Subject>() {
    let (database, (_folder, set)) = (S::fresh(), set());
    let migrator = Migrator::new(&set).environment(Environment::Test);
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    database.execute("DROP TABLE __migrator_history");
    let error = migrator.run_to(&mut database.connect(), migrator::Target::Steps(1)).expect_err("it is not whole");
    assert_eq!(error.code(), "history_tampered");
    Migrator::new(&set).reset(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(applies::<S>(&database, &set).applied().len(), 2);
}

fn a_setup_seeds_and_is_repeated<S: Subject>() {
    let (database, (folder, set)) = (S::fresh(), set());
    folder.write("../seeds_of_setup/010_more.sql", "INSERT INTO t1 VALUES (7)");
    let seeds = folder.path().join("../seeds_of_setup");
    let seeds = Seed::<S::Connection>::from_path(&seeds).unwrap_or_else(|error| panic!("{error}"));
    let url = match S::NAME {
        // Nothing is made beside a file that is there.
        "sqlite" => database.url().to_owned(),
        _ => database.url().replace(database.name(), &format!("{}_new", database.name())),
    };
    let migrator = Migrator::new(&set).environment(Environment::Development);
    let first = migrator.setup(&url, &seeds).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(first.run.applied().len(), 2);
    assert!(first.made.is_some(), "{first}");
    let second = migrator.setup(&url, &seeds).unwrap_or_else(|error| panic!("{error}"));
    assert!(second.made.is_none() && second.run.applied().is_empty(), "{second}");
    let mut conn = <S::Connection as diesel::Connection>::establish(&url).expect("connect");
    let value = if S::NAME == "mysql" { "CAST(id AS CHAR)" } else { "CAST(id AS text)" };
    assert_eq!(S::texts(&mut conn, &format!("SELECT {value} AS value FROM t1 ORDER BY id")), ["1", "7"]);
    drop(conn);
    if S::NAME != "sqlite" {
        database.execute(&format!("DROP DATABASE {}_new", database.name()));
    }
}

fn a_setup_is_no_deploy<S: Subject>() {
    let (database, (_folder, set)) = (S::fresh(), set());
    let migrator = Migrator::<S::Connection>::new(&set);
    let error = migrator.clone().environment(Environment::Production).setup(database.url(), &[]).expect_err("it is");
    assert_eq!(error.code(), "development_only");
    migrator.mark(&mut database.connect(), Environment::Staging).unwrap_or_else(|error| panic!("{error}"));
    let error = migrator.setup(database.url(), &[]).expect_err("it is marked");
    assert_eq!((error.code(), tables(&database)), ("development_only", Vec::new()));
}

/// Another schema's column, foreign key and view would go along: none of them does.
#[test]
fn what_hangs_on_a_schema_of_postgres_from_outside_stops_a_reset() {
    let (database, (_folder, set)) = (Postgres::fresh(), set());
    applies::<Postgres>(&database, &set);
    let migrator = Migrator::new(&set).environment(Environment::Test);
    for (make, named) in [
        ("CREATE TYPE mood AS ENUM ('good'); CREATE TABLE audit.log (moods mood[])", "audit.log"),
        ("CREATE TABLE audit.log (t1 integer REFERENCES t1)", "audit.log"),
        ("CREATE VIEW audit.log AS SELECT * FROM t1", "audit.log"),
        ("CREATE SEQUENCE s; CREATE TABLE audit.log (id integer DEFAULT nextval('s'))", "audit.log"),
    ] {
        database.execute(&format!("CREATE SCHEMA audit; {make}"));
        let error = migrator.reset(&mut database.connect()).expect_err("others would lose something");
        assert_eq!(error.code(), "reset_refused", "{error}");
        assert!(error.message().contains(named), "{error}");
        database.execute("SELECT count(*) FROM t1; DROP SCHEMA audit CASCADE");
    }
    database.execute("CREATE SCHEMA audit; CREATE TABLE audit.log (id integer); CREATE EXTENSION citext");
    let dropped = migrator.reset(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(dropped.stays(), ["citext"]);
    database.execute("CREATE TABLE t (name citext); SELECT * FROM audit.log");
}

#[test]
fn a_foreign_key_of_another_database_stops_a_reset_of_mariadb() {
    let (database, other, (_folder, set)) = (Mariadb::fresh(), Mariadb::fresh(), set());
    applies::<Mariadb>(&database, &set);
    other.execute(&format!("CREATE TABLE child (t1 INTEGER, FOREIGN KEY (t1) REFERENCES {}.t1 (id))", database.name()));
    let migrator = Migrator::new(&set).environment(Environment::Test);
    let error = migrator.reset(&mut database.connect()).expect_err("another database's rows would lose their parent");
    assert_eq!(error.code(), "reset_refused", "{error}");
    assert!(error.message().contains(&format!("{}.child", other.name())), "{error}");
    other.execute("DROP TABLE child");
    migrator.reset(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
}

/// There each object goes by itself: what is left is refused by a run, keeps its mark, and goes with the next reset.
#[test]
fn a_reset_of_mariadb_that_stops_half_way_can_be_ended() {
    let (database, (_folder, set)) = (Mariadb::fresh(), set());
    let migrator = Migrator::new(&set).environment(Environment::Development);
    migrator.run(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
    let mut reader = database.connect();
    reader.batch_execute("LOCK TABLES t2 READ").expect("hold a table");
    let impatient = migrator.clone().statement_lock_timeout(std::time::Duration::from_secs(1));
    let error = impatient.reset(&mut database.connect()).expect_err("one table is held");
    assert!(error.database_words().is_some_and(|words| words.contains("Lock wait timeout")), "{error}");
    assert_eq!(tables(&database), ["t2"], "it did stop half-way");
    let error = Migrator::new(&set).run(&mut database.connect()).expect_err("it is no empty database");
    assert_eq!(error.code(), "history_tampered", "{error}");
    reader.batch_execute("UNLOCK TABLES").expect("let it go");
    Migrator::new(&set).reset(&mut database.connect()).unwrap_or_else(|error| panic!("the mark still stands: {error}"));
    assert_eq!(applies::<Mariadb>(&database, &set).applied().len(), 2);
}

/// Who may not drop all drops nothing.
#[test]
fn a_reset_of_postgres_is_all_or_nothing() {
    let (database, (_folder, set)) = (Postgres::fresh(), set());
    let role = format!("owner_of_{}", database.name());
    database.execute(&format!(
        "CREATE ROLE {role} LOGIN PASSWORD 'letter'; GRANT CREATE, USAGE ON SCHEMA public TO {role}; CREATE TABLE zz (id integer)"
    ));
    let url = crate::dialects::as_role(database.url(), &role, "letter");
    let mut conn = <diesel::PgConnection as diesel::Connection>::establish(&url).expect("connect");
    let migrator = Migrator::new(&set).environment(Environment::Test).non_empty(migrator::Policy::Allow);
    migrator.run(&mut conn).unwrap_or_else(|error| panic!("{error}"));
    let error = migrator.reset(&mut conn).expect_err("one table is another's");
    assert_eq!(error.code(), "permission_denied", "{error}");
    assert_eq!(tables(&database), ["t1", "t2", "zz"]);
    conn.batch_execute("SELECT 1").expect("the connection can be used");
}

#[test]
fn a_reset_waits_for_the_run_of_another() {
    let (database, (_folder, set)) = (Sqlite::fresh(), set());
    applies::<Sqlite>(&database, &set);
    let mut writer = database.connect();
    writer.batch_execute("BEGIN IMMEDIATE").expect("the write lock");
    let migrator = Migrator::new(&set).environment(Environment::Test).lock_timeout(std::time::Duration::ZERO);
    let error = migrator.reset(&mut database.connect()).expect_err("another writes");
    assert!(error.is_lock_timeout(), "{error}");
    writer.batch_execute("COMMIT").expect("end");
    migrator.reset(&mut database.connect()).unwrap_or_else(|error| panic!("{error}"));
}

/// Nothing begins in what belongs to the server, and nobody says there that something was done.
#[test]
fn the_servers_own_databases_are_refused() {
    fn check<S: Subject>(migrator: &Migrator<S::Connection>, conn: &mut S::Connection) {
        let before = S::texts(conn, S::TABLES);
        for refused in [
            migrator.run(conn).map(drop),
            migrator.reset(conn).map(drop),
            migrator.baseline(conn, "01").map(drop),
            migrator.accept(conn, "01", "a comment").map(drop),
        ] {
            let error = refused.expect_err("it is the server's");
            assert!(error.code() == "system_database" && error.remedy().contains("in the URL"), "{error}");
        }
        assert_eq!(S::texts(conn, S::TABLES), before);
    }
    let (_folder, set) = set();
    let server = servers::mariadb().fresh();
    let url = server.url().replace(server.name(), "mysql");
    let mut conn = <diesel::MysqlConnection as diesel::Connection>::establish(&url).expect("connect");
    let migrator = Migrator::new(&set).environment(Environment::Test).non_empty(migrator::Policy::Allow);
    check::<Mariadb>(&migrator, &mut conn);
    let migrator = Migrator::new(&set).environment(Environment::Test).schema("pg_catalog");
    check::<Postgres>(&migrator, &mut Postgres::fresh().connect());
}
