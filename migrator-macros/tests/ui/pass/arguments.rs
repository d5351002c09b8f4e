use migrator::{MigrationSet, SqlDialect, embed_migrations};

static NAMED: MigrationSet = embed_migrations!("dirs/ambiguous/", layout = "prisma", dialect = "mariadb",);
static NO_DIRECTORY: MigrationSet = embed_migrations!(dialect = "sqlite");
static DOTTED: MigrationSet = embed_migrations!("./dirs/../dirs/flat");

fn main() {
    assert_eq!(NAMED.sql_dialect(), Some(SqlDialect::Mysql));
    assert_eq!(NAMED.get(0).map(|first| first.path()).as_deref(), Some("dirs/ambiguous/2_posts/migration.sql"));
    assert_eq!(NO_DIRECTORY.sql_dialect(), Some(SqlDialect::Sqlite));
    assert_eq!(DOTTED.len(), 3);
}
