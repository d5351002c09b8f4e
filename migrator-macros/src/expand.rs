//! What stands in the place of the macro. It names only `$crate::__private`.

use migrator_source::fault::Warning;
use migrator_source::layout::Layout;
use migrator_source::pack::Packed;
use migrator_source::sql::SqlDialect;
use proc_macro2::{Ident, Literal, TokenStream};
use quote::{quote, quote_spanned};

use crate::args::{Args, Unsealed};
use crate::validate::Embedded;

/// The set itself.
pub(crate) fn set(args: &Args, embedded: &Embedded) -> TokenStream {
    let krate = &args.krate;
    let packed = packed(args, &embedded.packed);
    let tracking = tracking(args, embedded);
    let warnings = embedded.warnings.iter().map(|text| warning(args, text));
    let unsealed = unsealed(args, embedded);
    quote! {{
        #(#warnings)*
        #unsealed
        #tracking
        static PACKED: #krate::__private::Packed = #packed;
        #krate::__private::set(&PACKED)
    }}
}

/// Drafts are free to change while they are written; whether this is a release, the calling crate's build says.
fn unsealed(args: &Args, embedded: &Embedded) -> TokenStream {
    let said = match &embedded.unsealed {
        None | Some((Unsealed::Allow, _)) => return TokenStream::new(),
        Some((Unsealed::Warn, text)) => warning(args, text),
        Some((Unsealed::Refuse, text)) => syn::Error::new(args.span, &text.message).into_compile_error(),
    };
    quote! {
        #[cfg(not(debug_assertions))]
        { #said }
    }
}

/// One compile error per fault, and an empty set, so that nothing else in the crate fails for it.
pub(crate) fn errors(args: &Args, texts: &[String]) -> TokenStream {
    let krate = &args.krate;
    let errors = texts.iter().map(|text| syn::Error::new(args.span, text).into_compile_error());
    quote! {{
        #(#errors;)*
        #krate::__private::set(&#krate::__private::Packed::EMPTY)
    }}
}

/// Makes cargo see an edit of an embedded file where no build script watches the directory.
///
/// The constant is not used, so neither the bytes nor the path of the build machine reach the binary.
fn tracking(args: &Args, embedded: &Embedded) -> TokenStream {
    if embedded.tracked {
        return TokenStream::new();
    }
    let files = embedded.files.iter().map(|file| format!("/{}/{file}", args.dir));
    quote! {
        const _: &[&[::core::primitive::u8]] = &[#(::core::include_bytes!(::core::concat!(::core::env!("CARGO_MANIFEST_DIR"), #files))),*];
    }
}

/// A compile warning with a text of our own: stable Rust has no other way than the use of a deprecated item, whose name
/// the compiler puts in front.
fn warning(args: &Args, warning: &Warning) -> TokenStream {
    let (name, text) = (Ident::new(warning.code, args.span), &warning.message);
    quote_spanned! { args.span => {
        #[deprecated(note = #text)]
        #[allow(non_upper_case_globals)]
        const #name: () = ();
        let () = #name;
    }}
}

fn packed(args: &Args, packed: &Packed) -> TokenStream {
    let krate = &args.krate;
    let layout = match packed.layout {
        Layout::Diesel => quote!(Diesel),
        Layout::Prisma => quote!(Prisma),
        Layout::Flat => quote!(Flat),
    };
    let dialect = match packed.dialect {
        None => quote!(::core::option::Option::None),
        Some(SqlDialect::Sqlite) => quote!(::core::option::Option::Some(#krate::__private::SqlDialect::Sqlite)),
        Some(SqlDialect::Postgres) => quote!(::core::option::Option::Some(#krate::__private::SqlDialect::Postgres)),
        Some(SqlDialect::Mysql) => quote!(::core::option::Option::Some(#krate::__private::SqlDialect::Mysql)),
    };
    let (dir, package, version): (&str, &str, &str) = (&packed.dir, &packed.package, &packed.package_version);
    let (names, sql, warnings): (&str, &str, &str) = (&packed.names, &packed.sql, &packed.warnings);
    let index = Literal::byte_string(&packed.index);
    let fingerprint = packed.fingerprint.iter().map(|byte| Literal::u8_unsuffixed(*byte));
    let raw_digests = Literal::byte_string(&packed.raw_digests);
    quote! {
        #krate::__private::Packed {
            layout: #krate::__private::Layout::#layout,
            dialect: #dialect,
            dir: #krate::__private::Cow::Borrowed(#dir),
            package: #krate::__private::Cow::Borrowed(#package),
            package_version: #krate::__private::Cow::Borrowed(#version),
            fingerprint: [#(#fingerprint),*],
            index: #krate::__private::Cow::Borrowed(#index),
            names: #krate::__private::Cow::Borrowed(#names),
            sql: #krate::__private::Cow::Borrowed(#sql),
            raw_digests: #krate::__private::Cow::Borrowed(#raw_digests),
            warnings: #krate::__private::Cow::Borrowed(#warnings),
        }
    }
}

#[cfg(test)]
mod tests {
    use migrator_source::layout::{self, File, Options};
    use proc_macro2::TokenTree;

    use super::*;

    fn count(stream: TokenStream) -> usize {
        let one = |token| match token {
            TokenTree::Group(group) => 1 + count(group.stream()),
            _ => 1,
        };
        stream.into_iter().map(one).sum()
    }

    fn tokens(migrations: usize) -> usize {
        let file = |at| File { path: format!("{at:04}_a/up.sql"), bytes: b"SELECT 1;".to_vec() };
        let files: Vec<File> = (1..=migrations).map(file).collect();
        let folder = layout::read(&files, Options::default()).expect("no fault");
        let packed = Packed::new(&folder, "migrations").expect("small");
        let embedded = Embedded { packed, files: vec![], tracked: true, warnings: vec![], unsealed: None };
        count(set(&syn::parse_str("migrator; \"migrations\"").expect("arguments"), &embedded))
    }

    /// A token for each migration costs the compiler as much as all the SQL of one.
    #[test]
    fn a_set_is_as_many_tokens_however_many_migrations() {
        assert_eq!(tokens(1), tokens(1000));
    }
}
