use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("dirs/sql_migrate", layout = "flat");

fn main() {
    assert_eq!(MIGRATIONS.len(), 1);
}
