use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("dirs/duplicate_version");

fn main() {
    assert_eq!(MIGRATIONS.len(), 1);
}
