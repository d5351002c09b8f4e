//! A binary that was built before a migration was added.

use std::path::Path;

use crate::migration::MigrationSet;

/// In a debug build that cargo started from the embedding package, compares the embedded set with its directory.
///
/// A new file alone does not rebuild a crate; without this, `cargo run` would run without it, silently.
pub(crate) fn warning(set: &MigrationSet) -> Option<String> {
    let packed = set.packed();
    if !cfg!(debug_assertions) || packed.package.is_empty() {
        return None;
    }
    let package = std::env::var("CARGO_PKG_NAME").ok()?;
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")?;
    if package != packed.package || !Path::new(&manifest).join(&*packed.dir).is_dir() {
        return None;
    }
    let error = set.matches(&*packed.dir).err()?;
    Some(format!("the binary is older than {}: {}; next: {}", packed.dir, error.message(), error.remedy()))
}
