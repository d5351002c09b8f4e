//! Whether a verb that can destroy may begin: what this process says, what the database is marked as, and its name typed back.

use crate::environment::Environment;
use crate::error::Error;

/// What is about to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// A verb, by its name, that can take away what nobody can bring back.
    Destroy(&'static str),
    /// To drop everything. Somebody must have said what the database is for.
    Reset,
    /// A verb that is for development and test only, by its name.
    Develop(&'static str),
    /// To mark the database.
    Mark(Environment),
}

impl Act {
    fn verb(self) -> &'static str {
        match self {
            Self::Destroy(verb) | Self::Develop(verb) => verb,
            Self::Reset => "reset",
            Self::Mark(_) => "mark",
        }
    }
}

/// The database, and what is said of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facing<'a> {
    /// Its name; of a SQLite database the path.
    pub(crate) database: &'a str,
    /// What this process is told that it is.
    pub(crate) declared: Option<Environment>,
    /// What it is marked as.
    pub(crate) marked: Option<&'a str>,
    /// The name that somebody typed back.
    pub(crate) confirmed: Option<&'a str>,
}

/// The mark that protects most. A word of a newer version, which nobody here knows, protects more than any.
pub(crate) fn strictest(marks: &[String]) -> Option<&str> {
    marks.iter().map(String::as_str).max_by_key(|mark| (known(mark).is_none(), known(mark)))
}

fn known(mark: &str) -> Option<Environment> {
    mark.parse().ok()
}

/// The name to type back: of a file without its folder.
pub(crate) fn name(database: &str) -> &str {
    database.rsplit(['/', '\\']).next().unwrap_or(database)
}

/// Refuses what should not begin.
pub(crate) fn allow(act: Act, facing: Facing<'_>) -> Result<(), Error> {
    let Facing { database, declared, marked, .. } = facing;
    let (verb, name) = (act.verb(), name(database));
    // Whatever it is marked as: who types another name takes it for another database.
    if let Some(typed) = facing.confirmed.filter(|typed| *typed != name && *typed != database) {
        let message = format!("{verb} is refused: the database is {name}, and `{typed}` was typed back");
        return Err(Error::new("not_confirmed", message, "check that it is the right database, then type its name"));
    }
    if let (Some(mine), Some(marked)) = (declared, marked)
        && marked != mine.name()
        && !matches!(act, Act::Mark(_))
    {
        return Err(Error::new(
            "environment_mismatch",
            format!("{verb} is refused: {name} is marked {marked}, and this process is told that it is {mine}"),
            format!("check that it is the right database; `migrator mark {mine}` changes the mark on purpose"),
        ));
    }
    let is = marked.or(declared.map(Environment::name));
    let said = match (marked, declared) {
        (Some(marked), _) => format!("is marked {marked}"),
        (None, Some(mine)) => format!("is {mine}, as this process is told"),
        (None, None) => "is marked as nothing, and nobody says what it is for".to_owned(),
    };
    let is_fit = match act {
        Act::Develop(_) => is.is_none_or(|is| known(is).is_some_and(|is| is <= Environment::Test)),
        Act::Reset => is.is_some(),
        Act::Destroy(_) | Act::Mark(_) => true,
    };
    if !is_fit {
        return Err(for_development(verb, name, &said, is.is_none()));
    }
    if needs_name(act, is) && facing.confirmed.is_none() {
        let message = format!("{verb} is refused: {name} {said}, so its name has to be typed back");
        let remedy = format!("--confirm {name} (Migrator::confirm); --yes is not enough");
        return Err(Error::new("not_confirmed", message, remedy));
    }
    Ok(())
}

fn needs_name(act: Act, is: Option<&str>) -> bool {
    let Some(is) = is else { return false };
    match (act, known(is)) {
        (Act::Mark(_) | Act::Reset, None) | (Act::Destroy(_), None | Some(Environment::Production)) => true,
        // All of it goes, and nothing in it can be brought back.
        (Act::Reset, Some(is)) => is >= Environment::Staging,
        // Else it would be a development database after one command, and reset without a word after the next.
        (Act::Mark(to), Some(is)) => is >= Environment::Staging && to < is,
        _ => false,
    }
}

fn for_development(verb: &str, name: &str, said: &str, nobody_says: bool) -> Error {
    let remedy = match nobody_says {
        true => {
            "if it is a developer's own, say so: --env development (MIGRATOR_ENV, Migrator::environment)".to_owned()
        }
        false => {
            "if it is a developer's own after all, change the mark on purpose: `migrator mark development`".to_owned()
        }
    };
    let message = match nobody_says {
        true => format!("{verb} is refused: {name} {said}"),
        false => format!("{verb} is for development and test, and {name} {said}"),
    };
    Error::new("development_only", message, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Environment::{Development, Production, Staging, Test};

    const RESET: Act = Act::Reset;
    const SETUP: Act = Act::Develop("setup");
    const REVERT: Act = Act::Destroy("revert");

    /// The code of the refusal; empty when it may begin.
    fn code(act: Act, declared: Option<Environment>, marked: Option<&str>, confirmed: Option<&str>) -> &'static str {
        let facing = Facing { database: "/srv/app.db", declared, marked, confirmed };
        allow(act, facing).err().map_or("", |error| error.code())
    }

    #[test]
    fn what_may_begin() {
        for (act, declared, marked, confirmed, expected) in [
            (RESET, None, None, None, "development_only"),
            (RESET, Some(Development), None, None, ""),
            (RESET, None, Some("test"), None, ""),
            (RESET, Some(Test), Some("development"), None, "environment_mismatch"),
            (RESET, Some(Development), Some("production"), Some("app.db"), "environment_mismatch"),
            (RESET, Some(Production), Some("staging"), Some("app.db"), "environment_mismatch"),
            (RESET, None, Some("production"), None, "not_confirmed"),
            (RESET, None, Some("production"), Some("other.db"), "not_confirmed"),
            (RESET, None, Some("production"), Some("app.db"), ""),
            (RESET, Some(Production), Some("production"), Some("app.db"), ""),
            (RESET, Some(Production), None, None, "not_confirmed"),
            (RESET, Some(Staging), None, Some("app.db"), ""),
            (RESET, None, Some("staging"), None, "not_confirmed"),
            (RESET, None, Some("holiday"), None, "not_confirmed"),
            (RESET, None, Some("holiday"), Some("app.db"), ""),
            (RESET, None, None, Some("app.db"), "development_only"),
            (SETUP, None, None, None, ""),
            (SETUP, Some(Production), None, Some("app.db"), "development_only"),
            (REVERT, None, None, None, ""),
            (REVERT, None, Some("staging"), None, ""),
            (REVERT, None, Some("staging"), Some("other.db"), "not_confirmed"),
            (RESET, None, Some("test"), Some("other.db"), "not_confirmed"),
            (REVERT, Some(Production), None, None, "not_confirmed"),
            (REVERT, None, Some("production"), Some("app"), "not_confirmed"),
            (REVERT, None, Some("production"), Some("app.db"), ""),
            (REVERT, Some(Production), Some("production"), Some("/srv/app.db"), ""),
            (REVERT, Some(Production), Some("staging"), Some("app.db"), "environment_mismatch"),
            (REVERT, None, Some("holiday"), None, "not_confirmed"),
            (Act::Mark(Production), Some(Development), Some("development"), None, ""),
            (Act::Mark(Development), Some(Development), Some("production"), None, "not_confirmed"),
            (Act::Mark(Development), None, Some("staging"), Some("app.db"), ""),
            (Act::Mark(Development), None, Some("test"), None, ""),
            (Act::Mark(Development), None, None, None, ""),
            (Act::Mark(Production), None, Some("production"), None, ""),
            (Act::Mark(Production), None, Some("holiday"), None, "not_confirmed"),
        ] {
            let found = code(act, declared, marked, confirmed);
            assert_eq!(found, expected, "{act:?}, told {declared:?}, marked {marked:?}, typed {confirmed:?}");
        }
    }

    #[test]
    fn the_mark_that_protects_most_counts() {
        let strictest = |marks: &[&str]| {
            let marks: Vec<String> = marks.iter().map(|mark| (*mark).to_owned()).collect();
            super::strictest(&marks).map(str::to_owned)
        };
        assert_eq!(strictest(&[]), None);
        assert_eq!(strictest(&["test", "production", "staging"]).as_deref(), Some("production"));
        assert_eq!(strictest(&["production", "holiday"]).as_deref(), Some("holiday"));
    }
}
