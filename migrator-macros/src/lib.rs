//! The macros of `migrator`. Use them through the crate `migrator`, which documents them.
//!
//! Parse (`args`) → validate (`validate`) → expand (`expand`).

mod args;
mod expand;
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
