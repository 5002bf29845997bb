//! One worker's share of a list: which URLs are its own, and which worker this is.

use url::{Position, Url};

/// Where the schedulers that count their workers say which one this is: name, the number of the
/// first, the variable of the count, and of the first number where that is not fixed.
const SCHEDULERS: [Scheduler; 4] = [
    Scheduler {
        index: "SLURM_ARRAY_TASK_ID",
        count: Some("SLURM_ARRAY_TASK_COUNT"),
        first: Some("SLURM_ARRAY_TASK_MIN"),
        step: Some("SLURM_ARRAY_TASK_STEP"),
        default_first: 0,
    },
    Scheduler {
        index: "AWS_BATCH_JOB_ARRAY_INDEX",
        count: Some("AWS_BATCH_JOB_ARRAY_SIZE"),
        first: None,
        step: None,
        default_first: 0,
    },
    // A Kubernetes indexed Job does not say how many there are.
    Scheduler {
        index: "JOB_COMPLETION_INDEX",
        count: None,
        first: None,
        step: None,
        default_first: 0,
    },
    // GNU parallel.
    Scheduler {
        index: "PARALLEL_SEQ",
        count: None,
        first: None,
        step: None,
        default_first: 1,
    },
];

/// The variable that says all, for what has no other.
const OWN: &str = "GANNET_SHARD";

/// The variable that says how many workers there are, where the scheduler does not.
const OWN_COUNT: &str = "GANNET_SHARDS";

struct Scheduler {
    index: &'static str,
    count: Option<&'static str>,
    first: Option<&'static str>,
    step: Option<&'static str>,
    default_first: u64,
}

/// A share of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which one, from 0.
    index: u64,
    /// Of how many; above the index.
    count: u64,
}

impl Shard {
    /// Reads `K/N`: the Kth of N, counted from 1.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('/').and_then(|(which, count)| {
            let (which, count): (u64, u64) = (number(which)?, number(count)?);
            (1 <= which && which <= count).then(|| Self {
                index: which - 1,
                count,
            })
        });
        parsed.ok_or_else(|| "not K/N with K from 1 to N".into())
    }

    /// Which worker this is by its environment, of which `variable` gives one.
    ///
    /// # Errors
    /// What is missing or does not fit, fit to print.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        if let Some(text) = variable(OWN) {
            return Self::parse(&text).map_err(|fault| format!("{OWN} is {fault}"));
        }
        let read = |name: &str| {
            variable(name)
                .map(|text| number(&text).ok_or_else(|| format!("{name} is not a number")))
                .transpose()
        };
        for scheduler in SCHEDULERS {
            let Some(number) = read(scheduler.index)? else {
                continue;
            };
            let optional = |name: Option<&str>| name.map_or(Ok(None), &read);
            let first = optional(scheduler.first)?.unwrap_or(scheduler.default_first);
            let step = optional(scheduler.step)?.unwrap_or(1).max(1);
            let count = match optional(scheduler.count)? {
                Some(count) => count,
                None => read(OWN_COUNT)?.ok_or_else(|| {
                    format!(
                        "{} is set, but not how many there are: set {OWN_COUNT}",
                        scheduler.index
                    )
                })?,
            };
            let index = number.checked_sub(first).map(|offset| offset / step);
            return index
                .filter(|index| *index < count)
                .map(|index| Self { index, count })
                .ok_or_else(|| format!("{} is not one of {count}", scheduler.index));
        }
        Err(format!(
            "nothing in the environment says which worker this is: set {OWN}=K/N"
        ))
    }

    /// Whether a URL is of this share. Each URL is of one share alone, the same one wherever and
    /// whenever this is asked; its fragment does not matter.
    pub fn has(&self, url: &Url) -> bool {
        self.count < 2 || hash(url[..Position::AfterQuery].as_bytes()) % self.count == self.index
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// FNV-1a, and the last step of splitmix64, so that few workers get even shares too. It is part of
/// the contract: workers of different versions share a list.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (fnv ^ (fnv >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(variables: &[(&str, &str)]) -> Result<Shard, String> {
        Shard::from_environment(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn every_url_is_of_one_share_and_shares_are_even() {
        let shards: Vec<_> = (1..=7)
            .map(|which| Shard::parse(&format!("{which}/7")).unwrap())
            .collect();
        let mut sizes = [0; 7];
        for n in 0..7000 {
            let url = Url::parse(&format!("https://host.example/file-{n}.bin")).unwrap();
            let owners: Vec<_> = (0..7).filter(|&which| shards[which].has(&url)).collect();
            assert_eq!(owners.len(), 1);
            sizes[owners[0]] += 1;
        }
        assert!(
            sizes.iter().all(|size| (850..1150).contains(size)),
            "{sizes:?}"
        );
    }

    #[test]
    fn a_share_is_the_same_in_every_version() {
        assert_eq!(hash(b"http://h/a"), 0x0248_c029_7d8f_7737);
        let url = |text| Url::parse(text).unwrap();
        let shard = Shard::parse("1/2").unwrap();
        assert_eq!(
            shard.has(&url("http://h/a")),
            shard.has(&url("http://h/a#b"))
        );
    }

    #[test]
    fn a_share_is_typed_as_k_of_n() {
        assert_eq!(Shard::parse("2/3"), Ok(Shard { index: 1, count: 3 }));
        for text in [
            "", "0/3", "4/3", "1", "1/", "/3", "-1/3", "+1/3", "1/3/3", "a/b",
        ] {
            assert!(Shard::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn schedulers_say_which_worker_this_is() {
        type Case = (&'static [(&'static str, &'static str)], (u64, u64));
        let cases: [Case; 6] = [
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "7"),
                    ("SLURM_ARRAY_TASK_COUNT", "4"),
                    ("SLURM_ARRAY_TASK_MIN", "1"),
                    ("SLURM_ARRAY_TASK_STEP", "2"),
                ],
                (3, 4),
            ),
            (
                &[
                    ("SLURM_ARRAY_TASK_ID", "0"),
                    ("SLURM_ARRAY_TASK_COUNT", "4"),
                ],
                (0, 4),
            ),
            (
                &[
                    ("AWS_BATCH_JOB_ARRAY_INDEX", "2"),
                    ("AWS_BATCH_JOB_ARRAY_SIZE", "3"),
                ],
                (2, 3),
            ),
            (
                &[("JOB_COMPLETION_INDEX", "2"), ("GANNET_SHARDS", "5")],
                (2, 5),
            ),
            (&[("PARALLEL_SEQ", "1"), ("GANNET_SHARDS", "5")], (0, 5)),
            (&[("GANNET_SHARD", "2/2"), ("PARALLEL_SEQ", "1")], (1, 2)),
        ];
        for (variables, (index, count)) in cases {
            assert_eq!(auto(variables), Ok(Shard { index, count }), "{variables:?}");
        }
    }

    #[test]
    fn an_environment_that_does_not_fit_is_an_error() {
        for (variables, part) in [
            (&[][..], "GANNET_SHARD=K/N"),
            (&[("JOB_COMPLETION_INDEX", "2")], "GANNET_SHARDS"),
            (
                &[("PARALLEL_SEQ", "0"), ("GANNET_SHARDS", "5")],
                "not one of 5",
            ),
            (
                &[("PARALLEL_SEQ", "6"), ("GANNET_SHARDS", "5")],
                "not one of 5",
            ),
            (&[("PARALLEL_SEQ", "x")], "not a number"),
            (&[("GANNET_SHARD", "3/2")], "K from 1 to N"),
        ] {
            let fault = auto(variables).unwrap_err();
            assert!(fault.contains(part), "{variables:?}: {fault}");
        }
    }
}
