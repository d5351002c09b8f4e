//! What stands beside the function, or in the place of `seed_file!`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::LitStr;

use migrator_source::data::Kind;

use super::args::Args;
use super::data::Read;
use super::file::{Existing, File};
use super::function::Function;

/// The constant, named as the function in capitals.
pub(super) fn function(args: &Args, function: &Function) -> TokenStream {
    let krate = args.krate.clone().map_or_else(|| quote!(::migrator), |path| quote!(#path));
    let private = quote!(#krate::__private);
    let Function { vis, name, connection, conditions } = function;
    let constant = Ident::new(&name.to_string().trim_start_matches("r#").to_uppercase(), name.span());
    let own = name.to_string().trim_start_matches("r#").to_owned();
    let text = args.name.as_ref().map_or_else(|| LitStr::new(&own, name.span()), Clone::clone);
    let mut options = TokenStream::new();
    if let Some(version) = &args.version {
        options.extend(quote!(.version(#version)));
    }
    if !args.depends_on.is_empty() {
        let seeds = &args.depends_on;
        options.extend(quote!(.depends_on(&[#(#seeds),*])));
    }
    if !args.environments.is_empty() {
        let environments = args.environments.iter().map(|word| variant(word.is.variant()));
        options.extend(quote!(.environments(&[#(#private::Environment::#environments),*])));
    }
    if let Some(mode) = &args.mode {
        let mode = variant(mode.is.variant());
        options.extend(quote!(.mode(#private::Mode::#mode)));
    }
    if let Some(phase) = &args.phase {
        let phase = variant(phase.is.variant());
        options.extend(quote!(.phase(#private::Phase::#phase)));
    }
    if let Some(critical) = &args.critical {
        options.extend(quote!(.critical(#critical)));
    }
    if let Some(deadline) = &args.deadline {
        options.extend(quote!(.deadline(#private::Duration::from_secs(#deadline))));
    }
    match (&args.transaction, &args.verify) {
        (Some(transaction), Some(verify)) if !transaction.value => {
            options.extend(quote!(.without_transaction(#verify)))
        }
        (_, Some(verify)) => options.extend(quote!(.verify(#verify))),
        _ => {}
    }
    let hashed = args.hash.as_ref().map(|hash| quote!(.hashed(#hash)));
    let tracking = tracking(args.files.iter());
    let doc = format!("The seed that [`{own}`] is.");
    quote! {
        #(#conditions)*
        #[doc = #doc]
        #vis const #constant: #private::Seed<#connection> = {
            #tracking
            #private::Seed::<#connection>::new(#text, #name)#options #hashed
        };
    }
}

/// The seed of a file.
pub(super) fn file(file: &File, read: &Read) -> TokenStream {
    let krate = &file.krate;
    let path = &file.path;
    let tracking = tracking(std::iter::once(path));
    let kind = variant(match read.kind {
        Kind::Sql => "Sql",
        Kind::Csv => "Csv",
        Kind::Json => "Json",
    });
    let (name, text, hash) = (&read.name, &read.text, &read.hash);
    let table = file.table.as_ref().map_or_else(|| LitStr::new(name, path.span()), Clone::clone);
    let key = &file.key;
    let existing = variant(match file.existing.as_ref().map(|word| word.is) {
        Some(Existing::Update) => "Update",
        Some(Existing::Keep) | None => "Keep",
    });
    quote! {{
        #tracking
        #krate::__private::seed_of_file(#name, #hash, &#krate::__private::SeedFile {
            kind: #krate::__private::SeedKind::#kind,
            path: #path,
            text: #text,
            table: #table,
            key: &[#(#key),*],
            existing: #krate::__private::Existing::#existing,
        })
    }}
}

/// One compile error per fault, and a seed that does nothing, so that nothing else in the crate fails for it.
pub(super) fn broken(file: &File, errors: &[String]) -> TokenStream {
    let krate = &file.krate;
    let errors = errors.iter().map(|text| syn::Error::new(file.path.span(), text).into_compile_error());
    quote! {{
        #(#errors;)*
        #krate::__private::seed_of_file("", "", &#krate::__private::SeedFile {
            kind: #krate::__private::SeedKind::Sql,
            path: "",
            text: "",
            table: "",
            key: &[],
            existing: #krate::__private::Existing::Keep,
        })
    }}
}

fn variant(name: &str) -> Ident {
    format_ident!("{name}", span = Span::call_site())
}

/// Makes cargo see an edit of a file. The constant is not used, so nothing of it reaches the binary.
fn tracking<'a>(files: impl ExactSizeIterator<Item = &'a LitStr>) -> TokenStream {
    if files.len() == 0 {
        return TokenStream::new();
    }
    let files = files.map(|file| format!("/{}", file.value()));
    quote! {
        const _: &[&[::core::primitive::u8]] = &[#(::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), #files))),*];
    }
}
