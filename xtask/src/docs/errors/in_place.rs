//! The words that are said where they are needed.

use std::collections::BTreeMap;

use quote::ToTokens as _;
use syn::{
    Expr, ExprCall, Local, Pat,
    visit::{self, Visit},
};

use super::enums::{sentence, text};

/// Words that are said in place: `error(frame, "word", "what it means")`.
#[derive(Default)]
pub(super) struct InPlace {
    pub(super) words: BTreeMap<String, String>,
    /// The texts that variables hold here.
    named: BTreeMap<String, String>,
}

impl<'a> Visit<'a> for InPlace {
    fn visit_local(&mut self, local: &'a Local) {
        if let (Pat::Ident(name), Some(value)) = (&local.pat, &local.init)
            && let Some(text) = text(&value.expr)
        {
            self.named.insert(name.ident.to_string(), text);
        }
        visit::visit_local(self, local);
    }

    fn visit_expr_call(&mut self, call: &'a ExprCall) {
        let callee = call.func.to_token_stream().to_string();
        let arguments: Vec<&Expr> = call.args.iter().collect();
        if callee == "error"
            && let [_, word, detail] = arguments.as_slice()
            && let Some(word) = text(word)
        {
            let detail = text(detail)
                .or_else(|| self.named.get(&detail.to_token_stream().to_string()).cloned());
            self.words.insert(word, sentence(&detail.unwrap_or_default()));
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        // Tests say words too.
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr_struct(&mut self, literal: &'a syn::ExprStruct) {
        let field = |name: &str| {
            let named = |field: &&syn::FieldValue| match &field.member {
                syn::Member::Named(member) => member == name,
                syn::Member::Unnamed(_) => false,
            };
            literal.fields.iter().find(named).and_then(|field| text(&field.expr))
        };
        if let (Some(word), Some(detail)) = (field("reason"), field("detail")) {
            self.words.insert(word, sentence(&detail));
        }
        visit::visit_expr_struct(self, literal);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_said_in_place_are_found() {
        let source = r#"
            fn say(out: &mut Out) {
                let detail = "a ticket has 32 bytes";
                out.push(error(1, "malformed_ticket", detail));
            }
        "#;
        let mut found = InPlace::default();

        found.visit_file(&syn::parse_file(source).unwrap());

        let meaning = found.words.get("malformed_ticket").map(String::as_str);
        assert_eq!(meaning, Some("A ticket has 32 bytes."));
    }
}
