//! diesel's layout: a folder for each migration, with `up.sql`, `down.sql` and `metadata.toml`.

use toml::de::{DeTable, DeValue};

use super::{Draft, File, Found, Tree, has_scripts, is_named};
use crate::fault::{Fault, Warning};
use crate::sql::{Mode, position};

pub(super) fn find<'a>(tree: &Tree<'a>) -> Found<'a> {
    let mut found = Found { stray: tree.loose.iter().map(|file| file.path.as_str()).collect(), ..Found::default() };
    for (&folder, files) in &tree.folders {
        let named = |name| files.iter().copied().find(|file| is_named(file, name));
        let Some(up) = named("up.sql") else {
            // A folder of the other kind is here when the layout was named.
            if named("migration.sql").is_none() && has_scripts(files) {
                let help = "add up.sql, or move the folder out of the directory";
                found.faults.push(Fault::new("up_missing", folder, "the folder has scripts but no up.sql", help));
            } else {
                found.stray.push(folder);
            }
            continue;
        };
        let declared = named("metadata.toml").and_then(|file| {
            metadata(file, &mut found.warnings).unwrap_or_else(|fault| {
                found.faults.push(fault);
                None
            })
        });
        found.drafts.push(Draft {
            version: version(folder),
            name: folder.to_owned(),
            up,
            down: named("down.sql"),
            declared,
        });
    }
    found
}

pub(super) fn version(name: &str) -> String {
    name.split('_').next().unwrap_or(name).replace('-', "")
}

/// Reads `run_in_transaction`. diesel itself takes an empty file for `false` and a broken one for `true`, silently.
fn metadata(file: &File, warnings: &mut Vec<Warning>) -> Result<Option<Mode>, Fault> {
    let help = "the only key is run_in_transaction = true | false";
    let fault = |code, text: &str, offset, message: String| Fault {
        position: Some(position(text, offset)),
        ..Fault::new(code, &file.path, message, help)
    };
    let text = std::str::from_utf8(&file.bytes).map_err(|error| {
        Fault::new("metadata_broken", &file.path, format!("invalid UTF-8 at byte {}", error.valid_up_to()), help)
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let table = DeTable::parse(text).map_err(|error| {
        fault("metadata_broken", text, error.span().map_or(0, |span| span.start), error.message().to_owned())
    })?;
    let mut mode = None;
    for (key, value) in table.get_ref() {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("run_in_transaction", DeValue::Boolean(true)) => mode = Some(Mode::Transaction),
            ("run_in_transaction", DeValue::Boolean(false)) => mode = Some(Mode::NoTransaction),
            ("run_in_transaction", _) => {
                let message = "run_in_transaction is neither true nor false".to_owned();
                return Err(fault("metadata_broken", text, value.span().start, message));
            }
            (other, _) => {
                return Err(fault("metadata_unknown_key", text, key.span().start, format!("unknown key `{other}`")));
            }
        }
    }
    if mode.is_none() {
        warnings.push(Warning {
            code: "metadata_empty",
            message: format!(
                "{} says nothing, so the migration runs in a transaction; diesel itself would run it without one: write \
                 run_in_transaction = true or false",
                file.path
            ),
        });
    }
    Ok(mode)
}
