//! The macros of `migrator`. Use them through the crate `migrator`, which documents them.
//!
//! Parse (`args`) → validate (`validate`) → expand (`expand`), for the set; `seed` has the same for seeds.

mod args;
mod expand;
mod seed;
mod validate;

use proc_macro::TokenStream;

/// The inner half of `migrator::embed_migrations!`: `embed!(path::to::migrator; "dir", layout = "…", dialect = "…")`.
#[proc_macro]
pub fn embed(input: TokenStream) -> TokenStream {
    let args = syn::parse_macro_input!(input as args::Args);
    match validate::validate(&args) {
        Ok(embedded) => expand::set(&args, &embedded),
        Err(errors) => expand::errors(&args, &errors),
    }
    .into()
}

/// Makes a seed of a function; `migrator::seed` documents it.
#[proc_macro_attribute]
pub fn seed(args: TokenStream, item: TokenStream) -> TokenStream {
    seed::attribute(syn::parse(args), item.into()).into()
}

/// The inner half of `migrator::seed_file!`: `embed_seed!(path::to::migrator; "seeds/010_roles.csv", key = ["name"])`.
#[proc_macro]
pub fn embed_seed(input: TokenStream) -> TokenStream {
    let file = syn::parse_macro_input!(input as seed::File);
    seed::file(&file).into()
}
