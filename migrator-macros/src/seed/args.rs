//! The words between the parentheses of `#[seed(…)]`.

use proc_macro2::{Ident, Span};
use syn::parse::{Parse, ParseStream};
use syn::{LitBool, LitInt, LitStr, Path, Token, bracketed};

use super::function::Function;
use super::{data, texts, word};

#[derive(Default)]
pub(crate) struct Args {
    pub(super) krate: Option<Path>,
    pub(super) name: Option<LitStr>,
    pub(super) version: Option<LitStr>,
    pub(super) depends_on: Vec<Path>,
    pub(super) environments: Vec<Word<Environment>>,
    pub(super) mode: Option<Word<Mode>>,
    pub(super) phase: Option<Word<Phase>>,
    pub(super) critical: Option<LitBool>,
    pub(super) transaction: Option<LitBool>,
    pub(super) deadline: Option<LitInt>,
    pub(super) verify: Option<Path>,
    pub(super) files: Vec<LitStr>,
    /// The digest of all the files, when there are some.
    pub(super) hash: Option<String>,
}

/// A word and where it stands.
pub(super) struct Word<T> {
    pub(super) is: T,
    pub(super) span: Span,
}

impl<T: std::str::FromStr<Err: ToString>> Parse for Word<T> {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let ident: Ident = input.parse()?;
        Ok(Self { is: word(&ident)?, span: ident.span() })
    }
}

/// Makes an enum of a few words, each with the name that the runtime has for it.
macro_rules! words {
    ($name:ident { $($word:literal => $variant:ident),* } $list:literal) => {
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(super) enum $name { $($variant),* }

        impl $name {
            pub(super) fn variant(self) -> &'static str {
                match self { $(Self::$variant => stringify!($variant)),* }
            }
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$variant),)*
                    _ => Err(format!("unknown word `{text}`: it is {}", $list)),
                }
            }
        }
    };
}

words!(Environment {
    "development" => Development, "test" => Test, "staging" => Staging, "production" => Production
} "development, test, staging or production");
words!(Mode {
    "once" => Once, "on_change" => OnChange, "ensure" => Ensure, "always" => Always, "manual" => Manual
} "once, on_change, ensure, always or manual");
words!(Phase { "blocking" => Blocking, "background" => Background } "blocking or background");

const KEYS: &str =
    "name, version, depends_on, environments, mode, phase, critical, transaction, deadline, verify, files or crate";

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        let mut seen: Vec<String> = Vec::new();
        while !input.is_empty() {
            if input.peek(Token![crate]) {
                input.parse::<Token![crate]>()?;
                input.parse::<Token![=]>()?;
                args.krate = Some(input.call(Path::parse_mod_style)?);
            } else {
                let key: Ident = input.parse()?;
                if seen.contains(&key.to_string()) {
                    return Err(syn::Error::new(key.span(), format!("`{key}` is given twice")));
                }
                seen.push(key.to_string());
                args.value(&key, input)?;
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(args)
    }
}

impl Args {
    fn value(&mut self, key: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        let word = key.to_string();
        if !KEYS.split([',', ' ']).any(|known| known == word) {
            return Err(syn::Error::new(key.span(), format!("unknown argument `{key}`: it is {KEYS}")));
        }
        input.parse::<Token![=]>()?;
        match word.as_str() {
            "name" => self.name = Some(input.parse()?),
            "version" => self.version = Some(input.parse()?),
            "depends_on" => self.depends_on = list(input, Path::parse_mod_style)?,
            "environments" => self.environments = list(input, Word::parse)?,
            "mode" => self.mode = Some(input.parse()?),
            "phase" => self.phase = Some(input.parse()?),
            "critical" => self.critical = Some(input.parse()?),
            "transaction" => self.transaction = Some(input.parse()?),
            "deadline" => self.deadline = Some(input.parse()?),
            "verify" => self.verify = Some(input.call(Path::parse_mod_style)?),
            _ => self.files = texts(input)?,
        }
        Ok(())
    }

    /// What one word says and another one contradicts, and what the files hold.
    pub(super) fn checked(mut self, function: &Function) -> syn::Result<Self> {
        let fails = |span, message: &str| Err(syn::Error::new(span, message));
        if let Some(mode) = self.mode.as_ref().filter(|mode| mode.is == Mode::Ensure && self.verify.is_none()) {
            return fails(
                mode.span,
                "a seed of the mode ensure needs a verify, which says whether what it promises holds",
            );
        }
        if let Some(transaction) = self.transaction.as_ref().filter(|transaction| !transaction.value)
            && self.verify.is_none()
        {
            let message =
                "a seed without a transaction may run twice, so it needs a verify, which is asked before it runs";
            return fails(transaction.span, message);
        }
        if let Some(name) = self.name.as_ref().filter(|name| !(1..=200).contains(&name.value().len())) {
            return fails(name.span(), "a seed's name has 1 to 200 bytes");
        }
        let bad = |deadline: &&LitInt| deadline.base10_parse::<u32>().map_or(true, |seconds| seconds == 0);
        if let Some(deadline) = self.deadline.as_ref().filter(bad) {
            return fails(deadline.span(), "the deadline is a number of seconds, from 1");
        }
        let itself = function.name.to_string().to_uppercase();
        if let Some(own) = self.depends_on.iter().find(|path| path.is_ident(&itself)) {
            return Err(syn::Error::new_spanned(own, "a seed cannot depend on itself"));
        }
        self.hash = data::hash(&self.files)?;
        Ok(self)
    }
}

fn list<T>(input: ParseStream<'_>, one: fn(ParseStream<'_>) -> syn::Result<T>) -> syn::Result<Vec<T>> {
    let content;
    bracketed!(content in input);
    Ok(content.parse_terminated(one, Token![,])?.into_iter().collect())
}
