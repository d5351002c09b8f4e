//! A binary that was built before a migration was added.

use std::path::Path;

use crate::event::{Event, Hook};
use crate::migration::MigrationSet;

/// In a debug build that cargo started from the embedding package, compares the embedded set with its directory.
///
/// A new file alone does not rebuild a crate; without this, `cargo run` would run without it, silently.
pub(crate) fn warn(set: &MigrationSet, hook: &Hook) {
    let packed = set.packed();
    if !cfg!(debug_assertions) || packed.package.is_empty() {
        return;
    }
    if std::env::var("CARGO_PKG_NAME").is_ok_and(|package| package == packed.package)
        && let Some(manifest) = std::env::var_os("CARGO_MANIFEST_DIR")
        && Path::new(&manifest).join(&*packed.dir).is_dir()
        && let Err(error) = set.matches(&*packed.dir)
    {
        let message = format!("the binary is older than {}: {}; next: {}", packed.dir, error.message(), error.remedy());
        hook.emit(Event::Warning { message: &message });
    }
}
