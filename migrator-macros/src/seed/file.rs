//! The words between the parentheses of `seed_file!(…)`.

use proc_macro2::Ident;
use syn::parse::{Parse, ParseStream};
use syn::{LitStr, Path, Token};

use super::args::Word;
use super::texts;

/// What the caller wrote.
pub(crate) struct File {
    pub(super) krate: Path,
    /// Relative to the calling crate's `Cargo.toml`.
    pub(super) path: LitStr,
    pub(super) table: Option<LitStr>,
    pub(super) key: Vec<LitStr>,
    pub(super) existing: Option<Word<Existing>>,
}

/// What becomes of rows that are there already.
#[derive(Clone, Copy)]
pub(super) enum Existing {
    Keep,
    Update,
}

impl std::str::FromStr for Existing {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "keep" => Ok(Self::Keep),
            "update" => Ok(Self::Update),
            _ => Err(format!("unknown word `{word}`: it is keep or update")),
        }
    }
}

impl Parse for File {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let krate = input.call(Path::parse_mod_style)?;
        input.parse::<Token![;]>()?;
        let path: LitStr = input.parse()?;
        let mut file = Self { krate, path, table: None, key: Vec::new(), existing: None };
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if input.is_empty() {
                break;
            }
            let word: Ident = input.parse()?;
            if !["table", "key", "existing"].iter().any(|known| word == known) {
                let message = format!("unknown argument `{word}`: it is table, key or existing");
                return Err(syn::Error::new(word.span(), message));
            }
            if word != "key" && file.path.value().ends_with(".sql") {
                let message = format!("`{word}` is for CSV and JSON files; a script says itself what it writes where");
                return Err(syn::Error::new(word.span(), message));
            }
            input.parse::<Token![=]>()?;
            match word.to_string().as_str() {
                "table" => file.table = Some(input.parse()?),
                "key" => file.key = texts(input)?,
                _ => file.existing = Some(input.parse()?),
            }
        }
        Ok(file)
    }
}
