use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr, time::Duration};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Class;
use crate::config::{Validate, require};

/// How much, and how fast again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Units in a full bucket. Between 1 and 1000000.
    pub burst: u32,
    /// The time in which an empty bucket becomes full. Between 1s and 1d.
    #[serde(with = "humantime_serde")]
    pub per: Duration,
}

/// The ceilings of the apps: an app's classes by its id.
pub type AppLimits = BTreeMap<String, BTreeMap<Class, Rate>>;

/// The section `[limits]`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LimitsConfig {
    /// How long Redis may take before this process decides alone. With zero it always
    /// does.
    #[serde(with = "humantime_serde")]
    pub patience: Duration,
    /// How long this process decides alone before it asks Redis again.
    #[serde(with = "humantime_serde")]
    pub alone_for: Duration,
    /// Buckets of one class that this process keeps while it decides alone. Subjects
    /// share one where there are more of them.
    pub local_buckets: u32,
    /// Units of a class that a socket takes at once.
    pub socket_batch: u32,
    /// Networks whose addresses are not counted.
    #[serde(default)]
    pub exempt: Vec<Network>,
    /// The rate of each class.
    #[serde(flatten)]
    pub classes: BTreeMap<Class, Rate>,
}

impl Validate for LimitsConfig {
    fn validate(&self, problems: &mut Vec<String>) {
        let millis = Duration::from_millis;
        require(problems, self.patience <= millis(5000), || {
            "limits.patience: must be at most 5s".into()
        });
        let alone = millis(100)..=millis(60_000);
        require(problems, alone.contains(&self.alone_for), || {
            "limits.alone_for: must be between 100ms and 1m".into()
        });
        require(problems, (64..=1_000_000).contains(&self.local_buckets), || {
            "limits.local_buckets: must be between 64 and 1000000".into()
        });
        require(problems, (1..=1000).contains(&self.socket_batch), || {
            "limits.socket_batch: must be between 1 and 1000".into()
        });
        for class in Class::ALL {
            match self.classes.get(class) {
                Some(rate) => rate.validate(&format!("limits.{class}"), problems),
                None => problems.push(format!("limits.{class}: is missing")),
            }
        }
    }
}

impl Rate {
    /// Adds a sentence for each problem; `name` is that of its section.
    pub fn validate(&self, name: &str, problems: &mut Vec<String>) {
        require(problems, (1..=1_000_000).contains(&self.burst), || {
            format!("{name}.burst: must be between 1 and 1000000")
        });
        let per = Duration::from_secs(1)..=Duration::from_secs(86_400);
        require(problems, per.contains(&self.per), || {
            format!("{name}.per: must be between 1s and 1d")
        });
    }

    /// The time in which one unit comes.
    pub fn interval(&self) -> Duration {
        self.per / self.burst.max(1)
    }
}

/// A network, written as `10.0.0.0/8`, or an address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network(IpNet);

impl Network {
    /// Whether the address lies in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let whole = |address: IpAddr| IpNet::from(address);
        text.parse()
            .or_else(|_| text.parse().map(whole))
            .map(Self)
            .map_err(|_| "a network is written as 10.0.0.0/8 or fd00::/8")
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "patience = \"50ms\"\nalone_for = \"1s\"\nlocal_buckets = 4096\n\
                        socket_batch = 16\n";

    fn all_classes() -> String {
        let section = |class: &Class| format!("[{class}]\nburst = 10\nper = \"1m\"\n");
        Class::ALL.iter().map(section).collect()
    }

    fn problems(toml: &str) -> Vec<String> {
        let config: LimitsConfig = toml::from_str(toml).unwrap();
        let mut problems = Vec::new();
        config.validate(&mut problems);
        problems
    }

    #[test]
    fn a_table_with_every_class_is_taken_and_written_as_it_was() {
        let text = format!("{HEAD}exempt = [\"127.0.0.0/8\", \"::1\"]\n{}", all_classes());

        assert_eq!(problems(&text), [""; 0]);
        let config: LimitsConfig = toml::from_str(&text).unwrap();
        let again: LimitsConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(again.classes, config.classes);
        assert_eq!(again.exempt, config.exempt);
    }

    #[test]
    fn a_class_that_nobody_knows_is_an_error() {
        let text = format!("{HEAD}{}[senf]\nburst = 1\nper = \"1s\"\n", all_classes());

        let error = toml::from_str::<LimitsConfig>(&text).unwrap_err();

        assert!(error.to_string().contains("senf"), "{error}");
    }

    #[test]
    fn a_class_that_is_missing_or_out_of_bounds_is_named() {
        let text = format!("{HEAD}{}", all_classes());

        let without = problems(&text.replacen("[send]\nburst = 10\nper = \"1m\"\n", "", 1));
        let never = problems(&text.replacen("burst = 10", "burst = 0", 1));
        let slow = problems(&text.replacen("per = \"1m\"", "per = \"2d\"", 1));

        assert_eq!(without, ["limits.send: is missing"]);
        assert_eq!(never, ["limits.register.burst: must be between 1 and 1000000"]);
        assert_eq!(slow, ["limits.register.per: must be between 1s and 1d"]);
    }
}
