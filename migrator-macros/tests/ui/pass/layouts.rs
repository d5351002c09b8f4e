use migrator::{Layout, MigrationSet, SqlDialect, embed_migrations};

static DIESEL: MigrationSet = embed_migrations!("dirs/diesel");
static PRISMA: MigrationSet = embed_migrations!("dirs/prisma");
static FLAT: MigrationSet = embed_migrations!("dirs/flat");
static GOOSE: MigrationSet = embed_migrations!("dirs/goose");

fn names(set: &MigrationSet) -> Vec<(&str, &str)> {
    set.iter().map(|migration| (migration.version(), migration.name())).collect()
}

fn main() {
    assert_eq!(DIESEL.layout(), Layout::Diesel);
    let expected = [("20240101000000", "20240101000000_create_users"), ("20240102000000", "2024-01-02-000000_create_posts")];
    assert_eq!(names(&DIESEL), expected);
    let first = DIESEL.get(0).expect("a migration");
    assert_eq!(first.up(), "CREATE TABLE users (id INTEGER PRIMARY KEY);\n");
    assert_eq!(first.down(), Some("DROP TABLE users;\n"));
    assert_eq!(first.path(), "dirs/diesel/20240101000000_create_users/up.sql");

    assert_eq!(PRISMA.layout(), Layout::Prisma);
    assert_eq!(PRISMA.sql_dialect(), Some(SqlDialect::Postgres));
    assert_eq!(names(&PRISMA), [("20240101000000_init", "20240101000000_init")]);

    assert_eq!(FLAT.layout(), Layout::Flat);
    assert_eq!(names(&FLAT), [("1", "V1__users"), ("2", "V2__posts"), ("10", "V10__tags")]);
    assert_eq!(FLAT.get(0).and_then(|migration| migration.down()), Some("DROP TABLE users;\n"));

    assert_eq!(GOOSE.layout(), Layout::Flat);
    let first = GOOSE.get(0).expect("a migration");
    assert_eq!(first.up(), "-- +goose Up\nCREATE TABLE users (id INTEGER PRIMARY KEY);");
    assert_eq!(first.down(), Some("\n\n\n-- +goose Down\nDROP TABLE users;\n"));
    assert_eq!(first.path(), "dirs/goose/00001_users.sql");

    let sets = [(&DIESEL, "dirs/diesel"), (&PRISMA, "dirs/prisma"), (&FLAT, "dirs/flat"), (&GOOSE, "dirs/goose")];
    for (set, dir) in sets {
        set.matches(dir).expect("the directory that was embedded");
        let read = MigrationSet::from_path(dir).expect("the same reader at run time");
        assert_eq!(read.fingerprint(), set.fingerprint());
    }
    assert!(DIESEL.matches("dirs/flat").is_err());
}
