//! Whether a list of seeds is sound; the same check at compile time and at run time.

use super::{Mode, Phase, Seed};

/// What is wrong with a list.
pub(crate) enum Unsound<'a> {
    /// Two have this name.
    Duplicate(&'a str),
    /// The first depends on the second, which is not in the list.
    Missing(&'a str, &'a str),
    /// The first is blocking and depends on the second, which runs in the background.
    Later(&'a str, &'a str),
    /// It ensures something, and nothing says whether that holds.
    NoVerify(&'a str),
    /// The name is empty, or longer than the ledger holds.
    Name(&'a str),
}

/// What the ledger holds of a name, in bytes.
const LONGEST: usize = 200;

impl<'a> Unsound<'a> {
    /// The sentence about it, as parts.
    pub(crate) const fn parts(&self) -> [&'a str; 4] {
        match self {
            Self::Duplicate(name) => ["two seeds have the name `", name, "`", ""],
            Self::Missing(name, other) => ["the seed `", name, "` depends on one that is not in the list: ", other],
            Self::Later(name, other) => ["the seed `", name, "` is blocking and depends on a background seed: ", other],
            Self::NoVerify(name) => ["the seed `", name, "` has the mode ensure and no verify", ""],
            Self::Name(name) => ["a seed's name has 1 to 200 bytes, and this one has not: `", name, "`", ""],
        }
    }
}

/// The first thing that is wrong with a list.
pub(crate) const fn unsound<C>(seeds: &[Seed<C>]) -> Option<Unsound<'static>> {
    let mut at = 0;
    while at < seeds.len() {
        let seed = &seeds[at];
        if seed.name.is_empty() || seed.name.len() > LONGEST {
            return Some(Unsound::Name(seed.name));
        }
        if matches!(seed.mode, Mode::Ensure) && seed.verify.is_none() && !seed.verifies_itself() {
            return Some(Unsound::NoVerify(seed.name));
        }
        if let Some(first) = position(seeds, seed.name)
            && first < at
        {
            return Some(Unsound::Duplicate(seed.name));
        }
        let mut dependency = 0;
        while dependency < seed.depends_on.len() {
            let other = seed.depends_on[dependency].name;
            match position(seeds, other) {
                None => return Some(Unsound::Missing(seed.name, other)),
                Some(found) => {
                    if matches!((seed.phase, seeds[found].phase), (Phase::Blocking, Phase::Background)) {
                        return Some(Unsound::Later(seed.name, other));
                    }
                }
            }
            dependency += 1;
        }
        at += 1;
    }
    None
}

const fn position<C>(seeds: &[Seed<C>], name: &str) -> Option<usize> {
    let mut at = 0;
    while at < seeds.len() {
        if same(seeds[at].name, name) {
            return Some(at);
        }
        at += 1;
    }
    None
}

const fn same(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    while at < a.len() {
        if a[at] != b[at] {
            return false;
        }
        at += 1;
    }
    true
}

/// Gives a list back, when it is sound; in a `const` or a `static` it is a compile error when it is not.
///
/// ```compile_fail
/// # use migrator::{Seed, SeedError, seed};
/// const A: Seed<()> = Seed::new("a", |_| Ok(0));
/// const SEEDS: &[Seed<()>] = seed::checked(&[A, A]);
/// # let _ = SEEDS;
/// ```
///
/// # Panics
/// When two seeds have one name, a dependency is not in the list, a blocking seed depends on a background one, or a seed of mode
/// `ensure` has no `verify`.
pub const fn checked<C>(seeds: &'static [Seed<C>]) -> &'static [Seed<C>] {
    if let Some(unsound) = unsound(seeds) {
        // A const panic takes one text, and nothing else puts one together.
        let (mut text, mut length) = ([0; 512], 0);
        let parts = unsound.parts();
        let mut part = 0;
        while part < parts.len() {
            let bytes = parts[part].as_bytes();
            let mut at = 0;
            while at < bytes.len() && length < text.len() {
                text[length] = bytes[at];
                (at, length) = (at + 1, length + 1);
            }
            part += 1;
        }
        match std::str::from_utf8(text.split_at(length).0) {
            Ok(text) => panic!("{}", text),
            Err(_) => panic!("two seeds have one name, or a dependency is not in the list"),
        }
    }
    seeds
}
