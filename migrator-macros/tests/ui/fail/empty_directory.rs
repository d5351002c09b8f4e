use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("dirs/empty");

fn main() {
    assert_eq!(MIGRATIONS.len(), 1);
}
