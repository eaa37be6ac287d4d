//! Who is killed when.

use std::{fmt, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use serde::Serialize;

/// The shares of a run before the first kill and after the last.
const LEAD: f64 = 0.02;
const TAIL: f64 = 0.06;

/// The longest that something stays down, unless its turn is too short for it.
const LONGEST_DOWN: Duration = Duration::from_secs(8);

/// The share of its turn that something may be down: the rest is for coming up.
const DOWN_SHARE: f64 = 0.25;

/// A part of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// Where the sockets are.
    Gateway,
    /// Where messages become durable.
    Messages,
    /// Accounts, prekeys, tokens.
    Keys,
    /// Places and notices.
    Redis,
    /// Everything that lasts.
    Postgres,
}

/// All of them.
pub const PARTS: [Part; 5] =
    [Part::Gateway, Part::Messages, Part::Keys, Part::Redis, Part::Postgres];

/// One process of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Victim {
    /// Of which part.
    pub part: Part,
    /// Which of its processes, from 0.
    pub index: usize,
}

/// One kill that is planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Kill {
    /// When, from the beginning of the run.
    pub at: Duration,
    /// What is killed.
    pub victim: Victim,
    /// How long it stays down before it is started again.
    pub down: Duration,
}

/// How a run is to be disturbed.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How long there is traffic.
    pub duration: Duration,
    /// How often each part is killed.
    pub kills_each: usize,
    /// How many gateways there are.
    pub gateways: usize,
    /// How many messages replicas there are.
    pub messages: usize,
    /// What everything left to chance follows from.
    pub seed: u64,
}

impl Plan {
    /// Spreads the kills over the run. The run is cut into as many turns as each part is
    /// killed, and in each turn each part dies once, at a time of its own; the processes of
    /// a part take turns. In every turn one part dies while another is still down, so that
    /// nothing can rely on its neighbours being well.
    pub fn kills(&self) -> Vec<Kill> {
        let mut rng = StdRng::seed_from_u64(self.seed);
        let turns = u32::try_from(self.kills_each).unwrap_or(u32::MAX);
        let lead = self.duration.mul_f64(LEAD);
        let turn = self.duration.mul_f64(1.0 - LEAD - TAIL) / turns.max(1);
        let longest = turn.mul_f64(DOWN_SHARE).min(LONGEST_DOWN);
        let mut kills = Vec::new();
        for number in 0..turns {
            let begin = lead + turn * number;
            let mut of_turn: Vec<Kill> = PARTS
                .into_iter()
                .map(|part| {
                    let down = longest.mul_f64(rng.random_range(0.1..=1.0));
                    let at = begin
                        + turn.saturating_sub(longest * 2).mul_f64(rng.random_range(0.0..=1.0));
                    Kill { at, victim: self.victim(part, number), down }
                })
                .collect();
            let first = rng.random_range(0..PARTS.len());
            let second = (first + rng.random_range(1..PARTS.len())) % PARTS.len();
            let meeting = of_turn.get(first).map(|kill| kill.at + kill.down / 2);
            if let (Some(at), Some(second)) = (meeting, of_turn.get_mut(second)) {
                second.at = at;
            }
            kills.append(&mut of_turn);
        }
        kills.sort_by_key(|kill| kill.at);
        kills
    }

    fn victim(&self, part: Part, turn: u32) -> Victim {
        let count = match part {
            Part::Gateway => self.gateways,
            Part::Messages => self.messages,
            Part::Keys | Part::Redis | Part::Postgres => 1,
        };
        Victim { part, index: usize::try_from(turn).unwrap_or_default() % count.max(1) }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gateway => "gateway",
            Self::Messages => "messages",
            Self::Keys => "keys",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        })
    }
}

impl fmt::Display for Victim {
    /// `gateway-1`, `redis`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.part {
            Part::Redis | Part::Postgres => write!(f, "{}", self.part),
            part => write!(f, "{part}-{}", self.index),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(duration: Duration, kills_each: usize, seed: u64) -> Plan {
        Plan { duration, kills_each, gateways: 2, messages: 2, seed }
    }

    #[test]
    fn every_part_is_killed_as_often_as_asked_and_within_the_run() {
        for (duration, each) in [(Duration::from_mins(10), 5), (Duration::from_mins(1), 1)] {
            for seed in 0..50 {
                let kills = plan(duration, each, seed).kills();

                for part in PARTS {
                    let count = kills.iter().filter(|kill| kill.victim.part == part).count();
                    assert_eq!(count, each, "{part}");
                }
                assert!(kills.iter().all(|kill| kill.at + kill.down < duration));
                assert!(kills.is_sorted_by_key(|kill| kill.at));
            }
        }
    }

    #[test]
    fn no_process_is_killed_while_it_is_down() {
        for seed in 0..50 {
            let kills = plan(Duration::from_mins(10), 6, seed).kills();
            for (number, one) in kills.iter().enumerate() {
                for other in kills.iter().skip(number + 1) {
                    let is_up = one.at + one.down < other.at;
                    assert!(one.victim != other.victim || is_up, "{one:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn in_every_turn_two_parts_are_down_at_once() {
        for seed in 0..50 {
            let each = 5;
            let kills = plan(Duration::from_mins(10), each, seed).kills();
            let overlaps = kills
                .iter()
                .enumerate()
                .filter(|(number, one)| {
                    let end = one.at + one.down;
                    kills.iter().skip(number + 1).any(|other| other.at < end)
                })
                .count();
            assert!(overlaps >= each, "{overlaps}");
        }
    }

    #[test]
    fn both_gateways_and_both_replicas_die() {
        let kills = plan(Duration::from_mins(10), 5, 3).kills();
        for part in [Part::Gateway, Part::Messages] {
            for index in 0..2 {
                assert!(kills.iter().any(|kill| kill.victim == Victim { part, index }));
            }
        }
    }

    #[test]
    fn the_same_seed_is_the_same_plan() {
        let of = |seed| plan(Duration::from_mins(10), 5, seed).kills();
        assert_eq!(of(9), of(9));
        assert_ne!(of(9), of(10));
    }
}
