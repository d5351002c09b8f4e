//! The function under the attribute: its name, and the connection that it takes.

use proc_macro2::{Ident, TokenStream};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Lifetime, Token, Type, Visibility};

pub(crate) struct Function {
    pub(super) vis: Visibility,
    pub(super) name: Ident,
    pub(super) connection: Type,
    /// `#[cfg]` of the function is one of its seed too.
    pub(super) conditions: Vec<Attribute>,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = Attribute::parse_outer(input)?;
        let vis = input.parse()?;
        if !input.peek(Token![fn]) {
            return Err(input.error("a seed is a plain function: fn roles(conn: &mut SqliteConnection) -> SeedResult"));
        }
        input.parse::<Token![fn]>()?;
        let name = input.parse()?;
        if input.peek(Token![<]) {
            return Err(input.error("a seed takes one concrete connection type, and so no parameters of its own"));
        }
        let content;
        syn::parenthesized!(content in input);
        let connection = connection(&content)?;
        if !input.peek(Token![->]) {
            return Err(input.error("a seed returns a SeedResult: how many rows it touched, or why it failed"));
        }
        input.parse::<TokenStream>()?;
        let conditions = attributes.into_iter().filter(|attribute| attribute.path().is_ident("cfg")).collect();
        Ok(Self { vis, name, connection, conditions })
    }
}

/// `conn: &mut SqliteConnection`
fn connection(input: ParseStream<'_>) -> syn::Result<Type> {
    let one = "a seed takes the connection and nothing else: conn: &mut SqliteConnection";
    if input.is_empty() {
        return Err(syn::Error::new(input.span(), one));
    }
    input.parse::<Option<Token![mut]>>()?;
    if input.parse::<Option<Token![_]>>()?.is_none() {
        input.parse::<Ident>()?;
    }
    input.parse::<Token![:]>()?;
    if !input.peek(Token![&]) {
        return Err(input.error(one));
    }
    input.parse::<Token![&]>()?;
    input.parse::<Option<Lifetime>>()?;
    if !input.peek(Token![mut]) {
        return Err(input.error(one));
    }
    input.parse::<Token![mut]>()?;
    let connection = input.parse()?;
    input.parse::<Option<Token![,]>>()?;
    if input.is_empty() { Ok(connection) } else { Err(input.error(one)) }
}
