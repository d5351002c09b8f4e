use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("dirs/none");

fn main() {
    assert_eq!(MIGRATIONS.len(), 1);
}
