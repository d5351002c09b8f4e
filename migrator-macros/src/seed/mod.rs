//! `#[seed]` on a function, and `seed_file!`: parse (`args`, `file`) → validate → expand.

mod args;
mod data;
mod expand;
mod file;
mod function;

use std::str::FromStr;

use proc_macro2::{Ident, TokenStream};
use syn::{LitStr, Token, parse::ParseStream};

pub(crate) use self::args::Args;
pub(crate) use self::file::File;
pub(crate) use self::function::Function;

/// The function as it was written, and the seed that it is; what is wrong is a compile error at its place, and a seed stands in
/// for it, so that nothing else in the crate fails.
pub(crate) fn attribute(args: syn::Result<Args>, item: TokenStream) -> TokenStream {
    let function = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => function,
        Err(error) => {
            let error = error.into_compile_error();
            return quote::quote!(#item #error);
        }
    };
    let (args, error) = match args.and_then(|args| args.checked(&function)) {
        Ok(args) => (args, TokenStream::new()),
        Err(error) => (Args::default(), error.into_compile_error()),
    };
    let seed = expand::function(&args, &function);
    quote::quote!(#item #seed #error)
}

/// The seed that a file is.
pub(crate) fn file(file: &File) -> TokenStream {
    match data::read(&file.path, &file.key) {
        Ok(read) => expand::file(file, &read),
        Err(errors) => expand::broken(file, &errors),
    }
}

/// One word of a few.
fn word<T: FromStr<Err: ToString>>(word: &Ident) -> syn::Result<T> {
    word.to_string().parse().map_err(|error: T::Err| syn::Error::new(word.span(), error.to_string()))
}

/// `["a", "b"]`
fn texts(input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    let content;
    syn::bracketed!(content in input);
    Ok(content.parse_terminated(|input: ParseStream<'_>| input.parse(), Token![,])?.into_iter().collect())
}
