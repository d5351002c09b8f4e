//! Seeds in files: scripts, and rows for a table.

use diesel::connection::SimpleConnection;
use include_dir::{Dir, include_dir};
use migrator::seed::Mode;
use migrator::{Seed, seed_file};
use migrator_tests::Database;

use super::*;

on_each_dialect!(
    rows_are_put_into_an_empty_table,
    what_a_user_changed_is_never_reset,
    what_is_missing_comes_back_when_it_is_ensured,
    update_is_told,
    script_runs_statement_by_statement,
    wrong_column_is_told_before_anything_is_written,
    script_that_fails_names_its_line,
    row_that_fails_names_its_line,
    script_that_ends_the_transaction_is_refused,
    folder_is_read_in_order,
    embedded_folder_is_read,
    faults_of_a_folder_are_told,
    line_endings_do_not_count,
    many_rows_are_put_in_at_once,
);

const COUNTRY: &str = "CREATE TABLE country (code VARCHAR(2) NOT NULL PRIMARY KEY, name VARCHAR(40), area INTEGER);";

fn with_country<S: Subject>() -> (S::Database, MigrationSet) {
    let set = Folder::of(&[("01_tables", TABLES), ("02_country", COUNTRY)]).set();
    let database = S::fresh();
    applies::<S>(&database, &set);
    (database, set)
}

fn countries<S: Subject>(database: &S::Database) -> Vec<String> {
    let column = |column: &str| {
        database.texts(&format!("SELECT COALESCE(CAST({column} AS CHAR(40)), '-') AS value FROM country ORDER BY code"))
    };
    let (codes, names, areas) = (column("code"), column("name"), column("area"));
    (0..codes.len()).map(|at| format!("{} {} {}", codes[at].trim(), names[at].trim(), areas[at].trim())).collect()
}

fn country<S: Subject>() -> Seed<S::Connection> {
    seed_file!("tests/it/seeds/files_of/010_country.csv")
}

const ALL: [&str; 3] = ["FI Suomi\\'s 338455", "NO Norway 385207", "SE Sweden, \"Sverige\" -"];

fn rows_are_put_into_an_empty_table<S: Subject>() {
    let (database, set) = with_country::<S>();
    let roles: Seed<S::Connection> = seed_file!("tests/it/seeds/files_of/020_role.json");
    let all = list([country::<S>(), roles]);
    assert_eq!(seeds::<S>(&database, &set, all), "country applied 3, role applied 2");
    assert_eq!(countries::<S>(&database), ALL);
    assert_eq!(
        database.texts("SELECT COALESCE(note, 'none') AS value FROM role ORDER BY name"),
        ["it's; a \"test\" ☃", "none"]
    );
    assert_eq!(seeds::<S>(&database, &set, all), "country unchanged, role unchanged");
    let hash = database.texts("SELECT hash AS value FROM __migrator_seeds ORDER BY name");
    assert!(hash.iter().all(|hash| hash.len() == 64), "{hash:?}");
}

/// The same file with another content.
fn another<S: Subject>(files: &[(&str, &str)]) -> &'static [Seed<S::Connection>] {
    let folder = Folder::of_files(files);
    list(Seed::from_path(folder.path()).unwrap_or_else(|error| panic!("{error}")))
}

fn what_a_user_changed_is_never_reset<S: Subject>() {
    let (database, set) = with_country::<S>();
    seeds::<S>(&database, &set, list([country::<S>()]));
    database.execute("UPDATE country SET name = 'Norge' WHERE code = 'NO'; DELETE FROM country WHERE code = 'FI'");
    assert_eq!(seeds::<S>(&database, &set, list([country::<S>()])), "country unchanged", "the file is what it was");
    let changed =
        another::<S>(&[("010_country.csv", "code,name,area\nNO,Norway,1\nSE,Sweden,2\nFI,Finland,3\nDK,Denmark,4\n")]);
    assert_eq!(seeds::<S>(&database, &set, changed), "country applied 2");
    assert_eq!(countries::<S>(&database), ["DK Denmark 4", "FI Finland 3", "NO Norge 385207", ALL[2]]);
}

fn what_is_missing_comes_back_when_it_is_ensured<S: Subject>() {
    let (database, set) = with_country::<S>();
    let all = list([country::<S>().mode(Mode::Ensure)]);
    assert_eq!(seeds::<S>(&database, &set, all), "country applied 3");
    database.execute("UPDATE country SET name = 'Norge' WHERE code = 'NO'");
    let before = ledger_as_it_is::<S>(&database);
    assert_eq!(seeds::<S>(&database, &set, all), "country unchanged");
    assert_eq!(ledger_as_it_is::<S>(&database), before);
    database.execute("DELETE FROM country WHERE code = 'SE'");
    assert_eq!(seeds::<S>(&database, &set, all), "country applied 1");
    assert_eq!(countries::<S>(&database), [ALL[0], "NO Norge 385207", ALL[2]]);
}

fn update_is_told<S: Subject>() {
    let (database, set) = with_country::<S>();
    let updated: Seed<S::Connection> =
        seed_file!("tests/it/seeds/files_of/010_country.csv", key = ["code"], table = "country", existing = update);
    database.execute(
        "INSERT INTO country VALUES ('NO', 'Norge', NULL), ('FI', 'Suomi\\''s', 338455), ('XX', 'theirs', 1)"
            .replace("\\''", if S::NAME == "mysql" { "\\\\''" } else { "\\''" })
            .as_str(),
    );
    let all = list([updated.mode(Mode::Ensure)]);
    assert_eq!(
        seeds::<S>(&database, &set, all),
        "country applied 2",
        "one is added, one is updated, one is as it should be"
    );
    assert_eq!(countries::<S>(&database), [ALL[0], ALL[1], ALL[2], "XX theirs 1"]);
    assert_eq!(seeds::<S>(&database, &set, all), "country unchanged");
    database.execute("UPDATE country SET area = 7");
    assert_eq!(seeds::<S>(&database, &set, all), "country applied 3");
}

fn script_runs_statement_by_statement<S: Subject>() {
    let (database, set) = with_country::<S>();
    let script: Seed<S::Connection> = seed_file!("tests/it/seeds/files_of/030_log.sql");
    let all = list([country::<S>(), script]);
    assert_eq!(seeds::<S>(&database, &set, all), "country applied 3, log applied 3");
    assert_eq!(log::<S>(&database), ["one; two", "three"]);
    assert_eq!(seeds::<S>(&database, &set, all), "country unchanged, log unchanged");
}

fn wrong_column_is_told_before_anything_is_written<S: Subject>() {
    let (database, set) = with_country::<S>();
    let cases = [
        (
            "country.csv",
            "code,nam\nNO,Norway\n",
            "country.csv:1: the table country has no column `nam`; its columns are: code, name, area",
        ),
        ("country.json", "[{\"code\": \"NO\",\n\"aera\": 1}]", "the table country has no column `aera`"),
        ("land.csv", "code\nNO\n", "land.csv: there is no table land"),
    ];
    for (file, text, message) in cases {
        let error = seeded::<S>(&database, &set, another::<S>(&[(file, text)])).expect_err("refused");
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.remedy().contains("correct the file"), "{error}");
    }
    assert!(countries::<S>(&database).is_empty());
}

fn script_that_fails_names_its_line<S: Subject>() {
    let (database, set) = with_country::<S>();
    let all =
        another::<S>(&[("1_log.sql", "INSERT INTO log VALUES ('x');\n\nINSERT INTO no_such_table VALUES (1);\n")]);
    let error = seeded::<S>(&database, &set, all).expect_err("it fails");
    let words = error.database_words().expect("words");
    assert!(words.contains("1_log.sql:3:1: ") && words.contains(S::NO_SUCH_TABLE), "{error}");
    assert!(log::<S>(&database).is_empty());
}

fn row_that_fails_names_its_line<S: Subject>() {
    let (database, set) = with_country::<S>();
    database.execute("INSERT INTO log VALUES ('x')");
    let long = "x".repeat(41);
    let text = format!("entry\none\n{long}\n");
    let all = another::<S>(&[("log.csv", &text)]);
    if S::NAME == "sqlite" {
        // A length is no limit there.
        assert_eq!(seeds::<S>(&database, &set, all), "log applied 2");
        return;
    }
    let error = seeded::<S>(&database, &set, all).expect_err("it fails");
    assert!(error.database_words().is_some_and(|words| words.contains("log.csv:3: ")), "{error}");
    assert_eq!(log::<S>(&database), ["x"]);
}

fn script_that_ends_the_transaction_is_refused<S: Subject>() {
    let (database, set) = with_country::<S>();
    let alone = match S::NAME {
        "mysql" => "CREATE TABLE late (id INTEGER)",
        _ => "VACUUM",
    };
    let text = format!("INSERT INTO log VALUES ('x');\n{alone};\n");
    let error = match Seed::<S::Connection>::from_path(Folder::of_files(&[("log.sql", &text)]).path()) {
        Ok(seeds) => seeded::<S>(&database, &set, &seeds).expect_err("refused"),
        Err(error) => error,
    };
    assert!(error.to_string().contains("log.sql:2:1"), "{error}");
    assert!(log::<S>(&database).is_empty());
    // COMMIT is refused where it is read.
    let folder = Folder::of_files(&[("log.sql", "INSERT INTO log VALUES ('x');\nCOMMIT;\n")]);
    let error = Seed::<S::Connection>::from_path(folder.path()).expect_err("refused");
    assert!(error.to_string().contains("log.sql:2:1"), "{error}");
}

fn folder_is_read_in_order<S: Subject>() {
    let (database, set) = with_country::<S>();
    let all = another::<S>(&[
        ("20_log.sql", "INSERT INTO log SELECT code FROM country"),
        ("10_country.csv", "code\nNO\n"),
        ("README.md", "what this is"),
        (".gitkeep", ""),
    ]);
    assert_eq!(seeds::<S>(&database, &set, all), "country applied 1, log applied 1");
    // What comes first and fails blocks what comes after.
    let (database, set) = with_country::<S>();
    let all = another::<S>(&[("20_log.sql", "INSERT INTO log VALUES ('x')"), ("10_country.csv", "kode\nNO\n")]);
    let error = seeded::<S>(&database, &set, all).expect_err("it fails");
    assert_eq!(told(error.seed_report().expect("a report")), "country failed 1, log skipped");
}

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/tests/it/seeds/files_of");

fn embedded_folder_is_read<S: Subject>() {
    let (database, set) = with_country::<S>();
    let all = list(Seed::from_dir(&EMBEDDED).unwrap_or_else(|error| panic!("{error}")));
    assert_eq!(seeds::<S>(&database, &set, all), "country applied 3, role applied 2, log applied 3");
    // The same files through the macro are the same seeds.
    assert_eq!(seeds::<S>(&database, &set, list([country::<S>()])), "country unchanged");
}

fn faults_of_a_folder_are_told<S: Subject>() {
    let folder = Folder::of_files(&[
        ("1_a.csv", "a,b\n1\n"),
        ("2_a.sql", "SELECT 1"),
        ("3_b.yaml", "b: 1"),
        ("4_a.sql", "SELECT 2"),
    ]);
    folder.write("5_c.csv", b"a\n1\n\xff\n");
    let error = Seed::<S::Connection>::from_path(folder.path()).expect_err("refused");
    for part in [
        "1_a.csv:2:1: the row has 1 cell",
        "two files are the seed `a`",
        "3_b.yaml: a seed is a file that ends in",
        "5_c.csv:3:1: invalid UTF-8",
    ] {
        assert!(error.to_string().contains(part), "{part} is not in {error}");
    }
    let error = Seed::<S::Connection>::from_path(folder.path().join("absent")).expect_err("refused");
    assert!(error.message().contains("absent"), "{error}");
}

fn line_endings_do_not_count<S: Subject>() {
    let (database, set) = with_country::<S>();
    let with = |end: &str| another::<S>(&[("country.csv", &format!("code{end}NO{end}"))]);
    assert_eq!(seeds::<S>(&database, &set, with("\n")), "country applied 1");
    assert_eq!(seeds::<S>(&database, &set, with("\r\n")), "country unchanged");
}

fn many_rows_are_put_in_at_once<S: Subject>() {
    let (database, set) = with_country::<S>();
    let rows: String = (0..1000).map(|row| format!("row {row}\n")).collect();
    let all = another::<S>(&[("log.csv", &format!("entry\n{rows}"))]);
    let mut conn = database.connect();
    let queries = crate::watch::queries(&mut conn);
    assert_eq!(told(&migrator(&set).seed(&mut conn, all).expect("seed")), "log applied 1000");
    let inserts = queries.take().iter().filter(|query| query.contains(" VALUES ('row ")).count();
    assert_eq!(inserts, 10);
    conn.batch_execute("SELECT 1").expect("usable");
}
