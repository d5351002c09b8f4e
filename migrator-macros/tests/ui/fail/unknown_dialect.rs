use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("dirs/diesel", dialect = "oracle");

fn main() {
    assert_eq!(MIGRATIONS.len(), 1);
}
