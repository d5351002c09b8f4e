use migrator::{MigrationSet, embed_migrations};

const DIR: &str = "dirs/diesel";
static MIGRATIONS: MigrationSet = embed_migrations!(DIR);

fn main() {
    assert_eq!(MIGRATIONS.len(), 1);
    assert_eq!(DIR, "dirs/diesel");
}
