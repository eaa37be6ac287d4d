//! The words that a program can branch on, in the sources and in the reference.

use std::collections::BTreeSet;

use super::{Source, errors::ELSEWHERE, is_word};

/// How the functions begin that say the reason of an error.
const SIGNATURES: [&str; 2] = ["fn reason(&self) -> &'static str {", "fn reason(&self) -> &str {"];

/// How it begins where the error is copied.
const OF_A_COPY: &str = "fn reason(self) -> &'static str {";

/// What stands before a reason that is given in place.
const IN_PLACE: [&str; 4] =
    ["reason: \"", "error(id, \"", "error(frame, \"", "error(in_reply_to, \""];

/// What the reference lacks, and what it has in vain.
pub(super) fn differences(reference: &str, sources: &[Source]) -> Vec<String> {
    let listed: BTreeSet<_> = listed(reference).collect();
    let product = sources.iter().filter(|source| !source.is_test());
    let used: BTreeSet<_> = product.flat_map(|source| used(&source.text)).collect();
    let missing = used.difference(&listed).map(|reason| format!("`{reason}` is not listed"));
    let vain = listed.difference(&used).map(|reason| format!("nothing says `{reason}`"));
    missing.chain(vain).collect()
}

/// The first column of the tables.
fn listed(reference: &str) -> impl Iterator<Item = &str> {
    reference
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`').map(|(word, _)| word))
}

/// The words of a source, outside of its tests.
fn used(source: &str) -> Vec<&str> {
    let product = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let is_elsewhere = ELSEWHERE.iter().any(|name| product.contains(&format!("enum {name} ")));
    let of_copies = (!is_elsewhere).then_some(&OF_A_COPY);
    let functions = SIGNATURES.iter().chain(of_copies).flat_map(|signature| {
        let after = product.split(*signature).skip(1);
        let bodies = after.filter_map(|after| after.split("\n    }\n").next());
        bodies.flat_map(|body| body.split('"').skip(1).step_by(2))
    });
    let in_place = IN_PLACE.iter().flat_map(|before| {
        product.split(before).skip(1).filter_map(|after| after.split('"').next())
    });
    functions.chain(in_place).filter(|word| is_word(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
impl Fault for KeysError {
    fn reason(&self) -> &'static str {
        match self {
            Self::UnknownDevice(_) => "unknown_device",
            Self::Database(_) => "storage",
        }
    }

    fn other(&self) -> &'static str {
        "not_this"
    }
}

#[cfg(test)]
mod tests {
    fn reason(&self) -> &'static str {
        "nor_this"
    }
}
"#;

    #[test]
    fn reasons_are_read_off_the_sources() {
        assert_eq!(used(SOURCE), ["unknown_device", "storage"]);
        assert_eq!(used("Error { reason: \"too_late\".to_owned(), id }"), ["too_late"]);
    }

    #[test]
    fn what_is_missing_and_what_is_there_in_vain_is_named() {
        let source = Source { path: "lib.rs".into(), text: SOURCE.to_owned() };
        let reference = "| reason | meaning |\n|---|---|\n| `storage` | x |\n| `gone_by` | y |\n";

        let differences = differences(reference, &[source]);

        assert_eq!(differences, ["`unknown_device` is not listed", "nothing says `gone_by`"]);
    }
}
