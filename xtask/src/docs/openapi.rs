//! The description of the REST API, which the executable prints, and whether any handler
//! is missing in it.

use std::{collections::BTreeSet, path::Path};

use syn::{
    Attribute, Expr, ExprCall, ExprPath, Item, ItemFn, ItemMacro, Macro,
    punctuated::Punctuated,
    token::Comma,
    visit::{self, Visit},
};

use super::Source;
use crate::workspace;

/// The document as it has to be. No package is named, so that nothing is built otherwise
/// than for the tests.
pub(super) fn document(root: &Path) -> anyhow::Result<String> {
    workspace::output(workspace::cargo(root).args([
        "run",
        "--quiet",
        "--locked",
        "--bin=sotto",
        "--",
        "openapi",
    ]))
}

/// Handlers of services that a route calls and no description names.
pub(super) fn undescribed(sources: &[Source]) -> anyhow::Result<Vec<String>> {
    let mut problems = Vec::new();
    let of_services = |source: &&Source| source.path.starts_with("services") && !source.is_test();
    let mut services: BTreeSet<_> =
        sources.iter().filter(of_services).filter_map(|source| source.path.iter().nth(1)).collect();
    services.remove(std::ffi::OsStr::new("server"));
    for service in services {
        let mut handlers = Handlers::default();
        let folder = Path::new("services").join(service);
        for source in sources.iter().filter(of_services).filter(|at| at.path.starts_with(&folder)) {
            handlers.visit_file(&syn::parse_file(&source.text)?);
        }
        problems.extend(handlers.undescribed().map(|handler| {
            format!("{}: a route calls {handler}, which OpenAPI lacks", folder.display())
        }));
    }
    Ok(problems)
}

/// What one service has, by the last parts of the names.
#[derive(Default)]
struct Handlers {
    /// `to(NAME)`, or given to a macro that says so.
    called: Vec<String>,
    /// The macros that do.
    macros: Vec<String>,
    /// Under `#[utoipa::path]`.
    described: Vec<String>,
    /// In `#[openapi(paths(NAME))]`.
    listed: Vec<String>,
}

impl Handlers {
    /// Those that are called more often than they are described and listed: two modules
    /// may each have one of a name.
    fn undescribed(&self) -> impl Iterator<Item = &str> {
        let count =
            |names: &[String], wanted: &str| names.iter().filter(|name| *name == wanted).count();
        let names: BTreeSet<_> = self.called.iter().map(String::as_str).collect();
        names.into_iter().filter(move |name| {
            let called = count(&self.called, name);
            called > count(&self.described, name) || called > count(&self.listed, name)
        })
    }

    fn read(&mut self, attributes: &[Attribute]) {
        for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("openapi"))
        {
            // Whatever else is in it is none of our business.
            let _read = attribute.parse_nested_meta(|meta| {
                if meta.path.is_ident("paths") {
                    let list;
                    syn::parenthesized!(list in meta.input);
                    let paths: Punctuated<syn::Path, Comma> =
                        list.parse_terminated(syn::Path::parse_mod_style, syn::Token![,])?;
                    self.listed.extend(paths.iter().filter_map(last));
                }
                Ok(())
            });
        }
    }
}

impl<'ast> Visit<'ast> for Handlers {
    fn visit_item(&mut self, item: &'ast Item) {
        if let Item::Struct(item) = item {
            self.read(&item.attrs);
        }
        visit::visit_item(self, item);
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        let describes = |attribute: &Attribute| {
            let path = attribute.path();
            path.segments.len() == 2
                && path.segments.iter().map(|part| &part.ident).eq(["utoipa", "path"])
        };
        if function.attrs.iter().any(describes) {
            self.described.push(function.sig.ident.to_string());
        }
        visit::visit_item_fn(self, function);
    }

    fn visit_item_macro(&mut self, item: &'ast ItemMacro) {
        // A macro that has `to($handler)` in it stands for that.
        if let Some(name) = &item.ident
            && item.mac.tokens.to_string().replace(' ', "").contains("to($")
        {
            self.macros.push(name.to_string());
        }
    }

    fn visit_macro(&mut self, call: &'ast Macro) {
        if last(&call.path).is_some_and(|name| self.macros.contains(&name))
            && let Ok(handler) = call.parse_body::<ExprPath>()
        {
            self.called.extend(last(&handler.path));
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let (Expr::Path(function), Some(Expr::Path(handler))) = (&*call.func, call.args.first())
            && last(&function.path).is_some_and(|name| name == "to")
            && call.args.len() == 1
        {
            self.called.extend(last(&handler.path));
        }
        visit::visit_expr_call(self, call);
    }
}

fn last(path: &syn::Path) -> Option<String> {
    path.segments.last().map(|part| part.ident.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undescribed(text: &str) -> Vec<String> {
        let mut handlers = Handlers::default();
        handlers.visit_file(&syn::parse_str(text).unwrap());
        handlers.undescribed().map(str::to_owned).collect()
    }

    #[test]
    fn a_handler_that_no_description_has_is_named() {
        let text = r#"
            #[derive(OpenApi)]
            #[openapi(paths(read, forgotten))]
            struct Document;
            #[utoipa::path(get, path = "/a")]
            async fn read() {}
            #[utoipa::path(get, path = "/b")]
            async fn unlisted() {}
            async fn forgotten() {}
            async fn by_macro() {}
            fn routes() {
                macro_rules! read { ($handler:path) => { to($handler).wrap(limited()) }; }
                at("/c").get(read!(inner::by_macro)).with(vec![unlisted]);
                at("/a").get(to(read).wrap(limited()));
                for (path, route) in [("/b", to(inner::unlisted)), ("/c", web::to(forgotten))] {}
            }
        "#;

        assert_eq!(undescribed(text), ["by_macro", "forgotten", "unlisted"]);
    }
}
