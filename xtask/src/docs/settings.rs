//! The settings that documents speak of.

use std::{collections::BTreeSet, fs, path::Path};

use toml::{Table, Value};

use super::is_word;
use crate::workspace;

/// Where the defaults of the configuration lie; each crate has its own.
const DEFAULTS: &str = "config.default.toml";

/// All names of settings and their sections, such as `messages.queue.max_age`.
pub(super) struct Settings {
    names: BTreeSet<String>,
    /// A table in the database may look like a setting.
    migrations: String,
}

impl Settings {
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut names = BTreeSet::new();
        for file in workspace::files(&root.join("services"), "toml")? {
            if file.file_name().is_some_and(|name| name == DEFAULTS) {
                let table: Table = toml::from_str(&fs::read_to_string(file)?)?;
                collect("", &table, &mut names);
            }
        }
        let mut migrations = String::new();
        for file in workspace::files(&root.join("migrations"), "sql")? {
            migrations += &fs::read_to_string(file)?;
        }
        Ok(Self { names, migrations })
    }

    /// Whether a text looks like the name of a setting, and is none.
    pub(super) fn lack(&self, text: &str) -> bool {
        let Some((section, rest)) = text.split_once('.') else {
            return false;
        };
        self.names.contains(section)
            && rest.split('.').all(is_word)
            && !self.names.contains(text)
            && !self.migrations.contains(text)
    }
}

fn collect(prefix: &str, table: &Table, names: &mut BTreeSet<String>) {
    for (key, value) in table {
        let name = format!("{prefix}{key}");
        if let Value::Table(inner) = value {
            collect(&format!("{name}."), inner, names);
        }
        names.insert(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_is_gone_is_told_from_other_words_with_dots() {
        let mut names = BTreeSet::new();
        let table = toml::from_str("[messages.queue]\nmax_age = \"30d\"").unwrap();
        collect("", &table, &mut names);
        let migrations = "CREATE TABLE messages.rows (".to_owned();
        let settings = Settings { names, migrations };

        assert!(settings.lack("messages.queue.min_age"));
        for fine in [
            "messages.queue.max_age",
            "messages.queue",
            "messages.rows",
            "rules.rs",
            "messages.md`",
        ] {
            assert!(!settings.lack(fine), "{fine}");
        }
    }
}
