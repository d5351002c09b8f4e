//! Scripts without a statement, and names that are not plain.

use migrator::{DatabaseState, Migrator};
use migrator_tests::Database;

use crate::dialects::{Subject, applies, history, names, run, status, tables};
use crate::folder::{Folder, table};

on_each_dialect!(
    scripts_without_a_statement_are_recorded,
    names_are_recorded_as_they_are,
    the_words_of_the_database_are_recorded_as_they_are,
);

fn scripts_without_a_statement_are_recorded<S: Subject>() {
    let scripts =
        ["", "\n", "-- nothing to do\n", "/* nothing */", "-- migrator: no-transaction\n-- nothing\n", ";", "\u{feff}"];
    let folder = Folder::of_tables(1);
    for (at, script) in scripts.iter().enumerate() {
        folder.write(&format!("02_{at}_nothing/up.sql").replace("02_", &format!("02{at}_")), script);
    }
    folder.write("03_t3/up.sql", table(3));
    let (database, set) = (S::fresh(), folder.set());
    let warning: Vec<&str> = set.warnings().filter(|warning| warning.contains("statement")).collect();
    assert_eq!(warning.len(), 1, "one for all of them: {warning:?}");
    let report = applies::<S>(&database, &set);
    assert_eq!(report.applied().len(), scripts.len() + 2);
    assert_eq!(tables(&database), ["t1", "t3"]);
    assert_eq!(status::<S>(&database, &set).state(), DatabaseState::UpToDate);
    assert!(history(&database).contains(&"applied 020".to_owned()));
}

fn names_are_recorded_as_they_are<S: Subject>() {
    let odd = [
        "01_it's",
        "02_\"quoted\" and `ticked`",
        "03_back\\slash \\' \\n",
        "04_größe_naïve_日本語_🦀",
        "05_100%_$1_?_:name_{}",
        "06_; DROP TABLE t1; --",
    ];
    let folder = Folder::of(&odd.map(|name| (name, table(name[1..2].parse().expect("a digit")))));
    let (database, set) = (S::fresh(), folder.set());
    assert_eq!(names(&applies::<S>(&database, &set)), odd);
    let recorded =
        database.texts("SELECT name AS value FROM __migrator_history WHERE event = 'applied' ORDER BY sequence");
    assert_eq!(recorded, odd);
    assert_eq!(tables(&database).len(), odd.len());
    let seen = status::<S>(&database, &set);
    assert_eq!(seen.state(), DatabaseState::UpToDate, "{seen}");
    assert_eq!(run::<S>(&database, &set).expect("run").skipped(), odd.len());
    let set_name = "it's a \\ 'set' 日本";
    let named = Migrator::new(&set).set_name(set_name).status(&mut database.connect()).expect("status");
    assert_eq!(named.applied(), 0);
}

fn the_words_of_the_database_are_recorded_as_they_are<S: Subject>() {
    let folder = Folder::of(&[("01_odd", "INSERT INTO t_ö_nowhere VALUES ('it''s', 'C:\\temp');")]);
    let (database, set) = (S::fresh(), folder.set());
    let error = run::<S>(&database, &set).expect_err("it fails");
    let words = error.database_words().expect("words");
    assert!(words.contains("t_ö_nowhere"), "{words}");
    assert_eq!(database.texts("SELECT detail AS value FROM __migrator_history WHERE event = 'failed'"), [words]);
}
