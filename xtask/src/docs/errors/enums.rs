//! The words that enums and structs say: in the arms of `reason`, with the comments on the
//! variants and the statuses of `code`.

use quote::ToTokens as _;
use syn::{
    Arm, Attribute, Expr, ExprLit, ExprMatch, File, ImplItem, Item, ItemEnum, ItemImpl, Lit, Meta,
    Pat,
};

/// An enum that says words.
#[derive(Default)]
pub(super) struct Words {
    /// Word, status, meaning.
    pub(super) rows: Vec<(String, String, String)>,
}

/// The structs of a file that say one word each.
pub(super) fn structs_of(file: &File) -> impl Iterator<Item = (String, Words)> {
    let said = |block: &ItemImpl, name: &str| {
        block.items.iter().find_map(|item| match item {
            ImplItem::Fn(method) if method.sig.ident == name => match method.block.stmts.last()? {
                syn::Stmt::Expr(said, _) => Some(said.clone()),
                _ => None,
            },
            _ => None,
        })
    };
    file.items.iter().filter_map(move |item| {
        let Item::Impl(block) = item else { return None };
        let word = text(&said(block, "reason")?)?;
        let name = type_name(block);
        let meaning = file.items.iter().find_map(|item| match item {
            Item::Struct(declared) if declared.ident == name => Some(meaning(&declared.attrs)),
            _ => None,
        })?;
        let code = said(block, "code").map(|code| code.to_token_stream().to_string());
        let status = code.map(|code| codes_in(&code).join(", ")).unwrap_or_default();
        Some((name, Words { rows: vec![(word, status, meaning)] }))
    })
}

/// The enums of a file that say words.
pub(super) fn enums_of(file: &File) -> Vec<(String, Words)> {
    let impls = |with: &str| {
        let with = with.to_owned();
        file.items.iter().filter_map(move |item| match item {
            Item::Impl(block) => Some((type_name(block), method(block, &with)?)),
            _ => None,
        })
    };
    impls("reason")
        .filter_map(|(name, reason)| {
            let declared = file.items.iter().find_map(|item| match item {
                Item::Enum(declared) if declared.ident == name => Some(declared),
                _ => None,
            })?;
            let code = impls("code").find(|(of, _)| *of == name).map(|(_, code)| code);
            Some((name, words(declared, reason, code, file)))
        })
        .collect()
}

fn type_name(block: &ItemImpl) -> String {
    block.self_ty.to_token_stream().to_string()
}

/// The arms of a method that is one match.
fn method<'a>(block: &'a ItemImpl, name: &str) -> Option<&'a ExprMatch> {
    block.items.iter().find_map(|item| match item {
        ImplItem::Fn(method) if method.sig.ident == name => match method.block.stmts.last()? {
            syn::Stmt::Expr(Expr::Match(arms), _) => Some(arms),
            _ => None,
        },
        _ => None,
    })
}

fn words(declared: &ItemEnum, reason: &ExprMatch, code: Option<&ExprMatch>, file: &File) -> Words {
    let mut words = Words::default();
    for arm in &reason.arms {
        // An arm that asks an inner error has its words with that one.
        let Some(word) = text(&arm.body) else { continue };
        for variant in variants(&arm.pat) {
            let meaning = declared
                .variants
                .iter()
                .find(|declared| declared.ident == variant)
                .map(|declared| meaning(&declared.attrs))
                .unwrap_or_default();
            let status = code.map(|code| status(code, &variant, file)).unwrap_or_default();
            words.rows.push((word.clone(), status, meaning));
        }
    }
    words
}

/// The names of the variants that a pattern is for; empty for a wildcard.
fn variants(pattern: &Pat) -> Vec<String> {
    let last = |path: &syn::Path| path.segments.last().map(|part| part.ident.to_string());
    match pattern {
        Pat::Or(either) => either.cases.iter().flat_map(variants).collect(),
        Pat::Path(path) => last(&path.path).into_iter().collect(),
        Pat::Struct(path) => last(&path.path).into_iter().collect(),
        Pat::TupleStruct(path) => last(&path.path).into_iter().collect(),
        _ => Vec::new(),
    }
}

/// The HTTP statuses of a variant, by the arm of `code` that takes it.
fn status(code: &ExprMatch, variant: &str, file: &File) -> String {
    let takes = |arm: &&Arm| variants(&arm.pat).iter().any(|name| name == variant);
    let wildcard = || code.arms.iter().find(|arm| variants(&arm.pat).is_empty());
    let Some(arm) = code.arms.iter().find(takes).or_else(wildcard) else {
        return String::new();
    };
    let mut codes = codes_in(&arm.body.to_token_stream().to_string());
    if codes.is_empty()
        && let Expr::Call(call) = &*arm.body
    {
        // A function decides.
        let name = call.func.to_token_stream().to_string();
        codes = file
            .items
            .iter()
            .filter_map(|item| match item {
                Item::Fn(function) if function.sig.ident == name => Some(function),
                _ => None,
            })
            .flat_map(|function| codes_in(&function.block.to_token_stream().to_string()))
            .collect();
    }
    codes.sort_unstable();
    codes.dedup();
    codes.join(", ")
}

/// The statuses of the codes that a piece of source names.
fn codes_in(tokens: &str) -> Vec<String> {
    let name = |rest: &str| rest.split(|c: char| !c.is_alphanumeric()).next().map(str::to_owned);
    let names = tokens.split("Code :: ").skip(1).filter_map(name);
    names.filter_map(|name| Some(http(&name)?.to_owned())).collect()
}

/// As `sotto_kit::fault::Code::http` has it; a test there holds its side.
fn http(code: &str) -> Option<&'static str> {
    Some(match code {
        "PaymentRequired" => "402",
        "Conflict" => "409",
        "Forbidden" => "403",
        "Gone" => "410",
        "Internal" => "500",
        "InvalidInput" => "422",
        "MethodNotAllowed" => "405",
        "NotFound" => "404",
        "RequestTimeout" => "408",
        "TooManyRequests" => "429",
        "Unauthenticated" => "401",
        "Unavailable" => "503",
        _ => return None,
    })
}

/// The comment on a variant, or its message.
fn meaning(attributes: &[Attribute]) -> String {
    let lines: Vec<String> = attributes
        .iter()
        .filter(|attribute| attribute.path().is_ident("doc"))
        .filter_map(|attribute| match &attribute.meta {
            Meta::NameValue(value) => text(&value.value),
            _ => None,
        })
        .map(|line| line.trim().to_owned())
        .collect();
    if !lines.is_empty() {
        return lines.join(" ").trim().to_owned();
    }
    let message = attributes.iter().find(|attribute| attribute.path().is_ident("error"));
    let message = message.and_then(|attribute| match &attribute.meta {
        Meta::List(list) => syn::parse2::<ExprLit>(list.tokens.clone()).ok(),
        _ => None,
    });
    message
        .and_then(|literal| text(&Expr::Lit(literal)))
        .map(|text| sentence(&text))
        .unwrap_or_default()
}

/// A message as a sentence, with what is filled in later left open.
pub(super) fn sentence(message: &str) -> String {
    let mut parts = message.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push('…');
        text.push_str(part.split_once('}').map_or("", |(_, after)| after));
    }
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str() + "."
}

pub(super) fn text(expression: &Expr) -> Option<String> {
    match expression {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
        Expr::MethodCall(call) if call.method == "to_owned" => text(&call.receiver),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
        pub enum StoreError {
            /// Nobody has it.
            Missing,
            #[error("at most {most} of them")]
            TooMany { most: u32 },
            Inner(Other),
        }
        impl Fault for StoreError {
            fn code(&self) -> Code {
                match self {
                    Self::Missing => Code::NotFound,
                    Self::Inner(error) => error.code(),
                    _ => Code::InvalidInput,
                }
            }
            fn reason(&self) -> &'static str {
                match self {
                    Self::Missing => "missing",
                    Self::TooMany { .. } => "too_many",
                    Self::Inner(error) => error.reason(),
                }
            }
        }
    "#;

    #[test]
    fn an_enum_says_its_words_with_their_statuses_and_meanings() {
        let file = syn::parse_file(SOURCE).unwrap();

        let (name, words) = enums_of(&file).pop().unwrap();

        assert_eq!(name, "StoreError");
        let rows =
            [("missing", "404", "Nobody has it."), ("too_many", "422", "At most … of them.")]
                .map(|(word, status, meaning)| (word.into(), status.into(), meaning.into()));
        assert_eq!(words.rows, rows);
    }

    #[test]
    fn a_struct_says_its_one_word() {
        let source = r#"
            /// Too much.
            pub struct Limited;
            impl Fault for Limited {
                fn code(&self) -> Code { Code::TooManyRequests }
                fn reason(&self) -> &'static str { "limited" }
            }
        "#;
        let file = syn::parse_file(source).unwrap();

        let (name, words) = structs_of(&file).next().unwrap();

        assert_eq!(name, "Limited");
        assert_eq!(words.rows, [("limited".into(), "429".into(), "Too much.".into())]);
    }
}
