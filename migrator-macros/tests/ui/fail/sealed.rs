use migrator::{MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("dirs/sealed");

fn main() {
    assert_eq!(MIGRATIONS.len(), 3);
}
