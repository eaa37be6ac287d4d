//! `docs/reference/metrics.md`: every metric, with what its `describe_...!` says.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::bail;

use super::Source;

/// A metric as its source describes it.
#[derive(Debug, PartialEq, Eq)]
struct Metric {
    kind: &'static str,
    help: String,
}

/// The whole file.
pub(super) fn reference(sources: &[Source]) -> anyhow::Result<String> {
    let mut described = BTreeMap::new();
    let mut recorded = Vec::new();
    for source in sources.iter().filter(|source| !source.path.starts_with("crates/testkit")) {
        described.extend(describe(&source.text));
        recorded.extend(record(&source.text));
    }
    let silent: Vec<_> =
        recorded.into_iter().filter(|name| !described.contains_key(name)).collect();
    if !silent.is_empty() {
        bail!("nothing describes the metrics {}", silent.join(", "));
    }

    let mut text = String::from(
        "# Metrics\n\n\
         Served as Prometheus text under `/metrics` on the ops port of each process. Labels come\n\
         from closed sets; none names a user, a device, a group or a message. Histograms are in\n\
         seconds where their name ends so.\n\n\
         This file is generated from the sources: `cargo xtask docs --write`.\n\n\
         | metric | kind | meaning |\n|---|---|---|\n",
    );
    for (name, Metric { kind, help }) in described {
        writeln!(text, "| `{name}` | {kind} | {} |", capitalised(help.trim_end_matches('.')))?;
    }
    Ok(text)
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().into_iter().flat_map(char::to_uppercase).chain(characters).collect()
}

/// The metrics that a source describes.
fn describe(source: &str) -> Vec<(String, Metric)> {
    let mut found = Vec::new();
    for kind in ["counter", "gauge", "histogram"] {
        for call in source.split(&format!("describe_{kind}!(")).skip(1) {
            let call = call.split(");").next().unwrap_or_default();
            let (name, rest) = call.split_once(',').unwrap_or_default();
            let Some(name) = value(name.trim(), source) else { continue };
            let help = rest.split('"').nth(1).unwrap_or_default().to_owned();
            found.push((name, Metric { kind, help }));
        }
    }
    found
}

/// The names of metrics that a source has, described or not.
fn record(source: &str) -> Vec<String> {
    let literals = source.split('"').skip(1).step_by(2);
    let is_metric = |text: &&str| {
        text.starts_with("sotto_")
            && ["_total", "_seconds", "_bytes", "_rows", "_items"]
                .iter()
                .any(|end| text.ends_with(end))
    };
    literals.filter(is_metric).map(str::to_owned).collect()
}

/// A string literal, or the constant of that name in the same source.
fn value(expression: &str, source: &str) -> Option<String> {
    if let Some(literal) = expression.strip_prefix('"') {
        return literal.strip_suffix('"').map(str::to_owned);
    }
    let (_, rest) = source.split_once(&format!("const {expression}: &str = \""))?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
const SECONDS: &str = "sotto_keys_bundle_seconds";
const OPENED: &str = "sotto_keys_opened_total";

fn describe() {
    describe_histogram!(
        SECONDS,
        metrics::Unit::Seconds,
        "Time to take, all in all"
    );
    describe_counter!(OPENED, "opened.");
}
"#;

    fn source(text: &str) -> Source {
        Source { path: "services/keys/src/metrics.rs".into(), text: text.to_owned() }
    }

    #[test]
    fn each_metric_gets_a_row() {
        let text = reference(&[source(SOURCE)]).unwrap();

        let rows: Vec<_> = text.lines().rev().take(2).collect();
        assert_eq!(
            rows,
            [
                "| `sotto_keys_opened_total` | counter | Opened |",
                "| `sotto_keys_bundle_seconds` | histogram | Time to take, all in all |",
            ]
        );
    }

    #[test]
    fn a_metric_that_nothing_describes_is_named() {
        let silent = source(r#"counter!("sotto_keys_closed_total").increment(1);"#);

        let error = reference(&[silent]).unwrap_err();

        assert!(error.to_string().contains("sotto_keys_closed_total"), "{error}");
    }
}
