//! The commands that need the directory alone.

use std::process::ExitCode;

use super::{Global, Url, output};
use crate::{Error, MigrationSet};

/// Seals what is a draft. The dialect is the stated one, else the folder's own, else that of the database that is named.
pub(super) fn seal(global: &Global) -> Result<ExitCode, Error> {
    let dir = global.dir();
    let sealed = match MigrationSet::seal(&dir, global.layout, global.dialect) {
        Err(error) if error.code() == "dialect_unknown" && global.url().is_ok() => {
            MigrationSet::seal(&dir, global.layout, Some(Url::parse(&global.url()?)?.dialect()))
        }
        result => result,
    }?;
    if global.json {
        output::json(&serde_json::json!({ "sealed": sealed }));
    } else if sealed.is_empty() {
        output::answer(&format_args!("every migration of {} was sealed before", dir.display()));
    } else {
        sealed.iter().for_each(|name| output::answer(&format_args!("sealed {name}")));
        if !global.quiet {
            output::note("commit migrations.seal: from now on an edit of these is a compile error");
        }
    }
    Ok(ExitCode::SUCCESS)
}
