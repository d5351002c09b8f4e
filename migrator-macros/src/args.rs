//! The words between the parentheses.

use std::str::FromStr;

use migrator_source::layout::Layout;
use migrator_source::sql::SqlDialect;
use proc_macro2::Span;
use syn::parse::{Parse, ParseStream};
use syn::{Ident, LitStr, Path, Token};

/// What the caller wrote.
pub(crate) struct Args {
    /// The crate `migrator`, under the name that the calling crate knows.
    pub(crate) krate: Path,
    /// The directory, relative to the calling crate's `Cargo.toml`.
    pub(crate) dir: String,
    /// Where faults of the directory are shown.
    pub(crate) span: Span,
    pub(crate) layout: Option<Layout>,
    pub(crate) dialect: Option<SqlDialect>,
    pub(crate) unsealed: Option<Unsealed>,
}

/// What a release build does about migrations that are not sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unsealed {
    Allow,
    Warn,
    Refuse,
}

impl FromStr for Unsealed {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        match word {
            "allow" => Ok(Self::Allow),
            "warn" => Ok(Self::Warn),
            "refuse" => Ok(Self::Refuse),
            _ => Err(format!("`{word}` is not allow, warn or refuse")),
        }
    }
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let krate = input.call(Path::parse_mod_style)?;
        input.parse::<Token![;]>()?;
        let mut args = Self {
            krate,
            dir: "migrations".to_owned(),
            span: Span::call_site(),
            layout: None,
            dialect: None,
            unsealed: None,
        };
        if input.peek(LitStr) {
            let dir: LitStr = input.parse()?;
            args.span = dir.span();
            args.dir = shortened(&dir.value());
            if input.is_empty() {
                return Ok(args);
            }
            input.parse::<Token![,]>()?;
        } else if !input.is_empty() && !input.peek2(Token![=]) {
            return Err(input.error("the directory is a string literal: embed_migrations!(\"migrations\")"));
        }
        while !input.is_empty() {
            if !(input.peek(Ident) && input.peek2(Token![=])) {
                return Err(input.error("expected `layout = \"…\"`, `dialect = \"…\"` or `unsealed = \"…\"`"));
            }
            let key: Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let value: LitStr = input.parse()?;
            if key == "layout" {
                set(&mut args.layout, &key, &value)?;
            } else if key == "dialect" {
                set(&mut args.dialect, &key, &value)?;
            } else if key == "unsealed" {
                set(&mut args.unsealed, &key, &value)?;
            } else {
                let message = format!("unknown argument `{key}`: it is `layout`, `dialect` or `unsealed`");
                return Err(syn::Error::new(key.span(), message));
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}

/// The directory as the build script names it too: `./migrations/` is `migrations`.
fn shortened(dir: &str) -> String {
    let short = dir.trim_start_matches("./").trim_end_matches('/');
    if dir.starts_with('/') { dir.to_owned() } else { short.to_owned() }
}

fn set<T: FromStr<Err: ToString>>(slot: &mut Option<T>, key: &Ident, value: &LitStr) -> syn::Result<()> {
    if slot.is_some() {
        return Err(syn::Error::new(key.span(), format!("`{key}` is given twice")));
    }
    *slot = Some(value.value().parse().map_err(|error: T::Err| syn::Error::new(value.span(), error.to_string()))?);
    Ok(())
}
