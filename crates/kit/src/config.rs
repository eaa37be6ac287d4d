//! Configuration in layers: the defaults that are built in, then files in their
//! order, then the environment (`SOTTO_SECTION__KEY`).

use std::{fmt, path::PathBuf, str::FromStr};

use figment::{
    Figment,
    providers::{Env, Format as _, Toml},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, de::DeserializeOwned};

/// A section that can say what is wrong with it.
pub trait Validate {
    /// Adds a sentence for each problem, beginning with the setting's name.
    fn validate(&self, problems: &mut Vec<String>);
}

/// Why no process can start with this configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file is missing, is not TOML, or has a value of the wrong kind or name.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(Box<figment::Error>),

    /// Every value has the right kind, but some are out of bounds.
    #[error("the configuration has {} problem(s):\n  - {}", .0.len(), .0.join("\n  - "))]
    Invalid(Vec<String>),
}

/// Reads a configuration from its layers and validates it.
///
/// # Errors
///
/// `Unreadable` with the name of the file and the setting; `Invalid` with every
/// problem at once.
pub fn load<T>(defaults: &str, files: &[PathBuf]) -> Result<T, ConfigError>
where
    T: DeserializeOwned + Validate,
{
    let mut layers = Figment::from(Toml::string(defaults));
    for file in files {
        layers = layers.merge(Toml::file_exact(file));
    }
    let config: T = layers
        .merge(environment())
        .extract()
        .map_err(|error| ConfigError::Unreadable(Box::new(error)))?;

    let mut problems = Vec::new();
    config.validate(&mut problems);
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Invalid(problems)) }
}

/// The settings in the environment: every setting has a section, so every name of one
/// has a `__`. Others that begin like ours, such as those that Kubernetes sets for a
/// service called `sotto-keys`, are not meant for us.
fn environment() -> Env {
    Env::prefixed("SOTTO_").filter(|name| name.as_str().contains("__")).split("__")
}

/// A number of bytes, written as `"64KiB"`, `"1MiB"`, `"1GiB"` or `"512B"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub usize);

const UNITS: [(&str, usize); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("B", 1)];

impl FromStr for ByteSize {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        UNITS
            .iter()
            .find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
            .and_then(|(number, factor)| number.trim().parse::<usize>().ok()?.checked_mul(factor))
            .map(Self)
            .ok_or("a size is a whole number and one of B, KiB, MiB, GiB")
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let &(unit, factor) = UNITS[..3]
            .iter()
            .rev()
            .find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor))
            .unwrap_or(&UNITS[3]);
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A secret of the configuration, such as a URL with a password: given as text, or
/// as the path of a file that holds it. Where both are given, such as by two layers, the
/// file counts. It never shows itself.
#[derive(Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Secret {
    value: Option<String>,
    file: Option<PathBuf>,
}

impl Secret {
    /// A secret that is known already.
    pub const fn from_value(value: String) -> Self {
        Self { value: Some(value), file: None }
    }

    /// The secret itself, read from its file where it has one.
    ///
    /// # Errors
    ///
    /// A sentence without the secret: neither is given, the file cannot be read, or there
    /// is nothing in it. An empty secret is the mistake of a deployment, never a choice.
    pub fn reveal(&self) -> Result<String, String> {
        let secret = match (&self.value, &self.file) {
            (_, Some(file)) => std::fs::read_to_string(file)
                .map(|text| text.trim_end().to_owned())
                .map_err(|error| format!("{}: {error}", file.display()))?,
            (Some(value), None) => value.clone(),
            (None, None) => return Err("give either `value` or `file`".to_owned()),
        };
        if secret.trim().is_empty() { Err("is empty".to_owned()) } else { Ok(secret) }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("(secret)")
    }
}

/// Adds a problem to the list unless `ok`.
pub fn require(problems: &mut Vec<String>, ok: bool, problem: impl FnOnce() -> String) {
    if !ok {
        problems.push(problem());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        limit: u32,
        size: ByteSize,
    }

    impl Validate for Example {
        fn validate(&self, problems: &mut Vec<String>) {
            require(problems, self.limit > 0, || "limit: must not be 0".into());
            require(problems, self.size.0 > 0, || "size: must not be 0".into());
        }
    }

    const DEFAULTS: &str = "limit = 3\nsize = \"64KiB\"";

    #[test]
    fn a_file_goes_over_the_defaults() {
        let dir = std::env::temp_dir().join(format!("sotto-config-{}", uuid::Uuid::new_v4()));
        std::fs::write(&dir, "limit = 9").unwrap();

        let config: Example = load(DEFAULTS, std::slice::from_ref(&dir)).unwrap();

        assert_eq!((config.limit, config.size), (9, ByteSize(65_536)));
        std::fs::remove_file(dir).unwrap();
    }

    #[test]
    fn a_name_that_nobody_knows_is_an_error() {
        let result: Result<Example, _> = load("limit = 3\nsize = \"1B\"\nlimt = 4", &[]);
        assert!(result.unwrap_err().to_string().contains("limt"));
    }

    #[test]
    fn all_problems_come_at_once() {
        let result: Result<Example, _> = load("limit = 0\nsize = \"0B\"", &[]);
        let text = result.unwrap_err().to_string();
        assert!(text.contains("limit") && text.contains("size"), "{text}");
    }

    #[test]
    fn sizes_read_and_write_themselves() {
        for text in ["512B", "64KiB", "1MiB", "3GiB", "0B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        assert!("64kb".parse::<ByteSize>().is_err());
    }

    #[test]
    fn a_secret_in_a_file_goes_over_a_default_in_the_open() {
        let path = std::env::temp_dir().join(format!("sotto-secret-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, "from the file\n").unwrap();
        let both = serde_json::json!({ "value": "a default", "file": path });

        let secret: Secret = serde_json::from_value(both).unwrap();

        assert_eq!(secret.reveal().unwrap(), "from the file");
        std::fs::remove_file(path).unwrap();
        assert!(secret.reveal().is_err(), "a file that is gone is no reason to go on without it");
    }

    #[test]
    fn an_empty_secret_is_refused() {
        for empty in ["", "  ", "\n"] {
            assert_eq!(Secret::from_value(empty.into()).reveal().unwrap_err(), "is empty");
        }
        let path = std::env::temp_dir().join(format!("sotto-secret-{}", uuid::Uuid::new_v4()));
        std::fs::write(&path, "\n").unwrap();
        let file: Secret = serde_json::from_value(serde_json::json!({ "file": path })).unwrap();

        assert_eq!(file.reveal().unwrap_err(), "is empty");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_secret_never_shows_itself() {
        let secret = Secret::from_value("hunter2".into());
        assert_eq!(format!("{secret:?}"), "Secret(..)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), "\"(secret)\"");
    }
}
