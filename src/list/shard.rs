//! [`Shard`]: divides the URLs of a list among workers by hash, and finds out which worker this process is.

use url::{Position, Url};

/// The variables in which schedulers number their workers.
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
    // Kubernetes does not tell the number of workers of an indexed Job.
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

/// The variable with `K/N`, for other schedulers.
const OWN: &str = "GANNET_SHARD";

/// The variable with the number of workers, for schedulers that do not set one.
const OWN_COUNT: &str = "GANNET_SHARDS";

/// The variables of one scheduler.
struct Scheduler {
    /// The number of this worker.
    index: &'static str,
    /// The number of workers.
    count: Option<&'static str>,
    /// The number of the first worker.
    first: Option<&'static str>,
    /// The difference between the numbers of two consecutive workers.
    step: Option<&'static str>,
    /// The number of the first worker if no variable has it.
    default_first: u64,
}

/// The URLs of a list that one of several workers fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// The index of the worker, from 0.
    index: u64,
    /// The number of workers; greater than the index.
    count: u64,
}

impl Shard {
    /// Parses `K/N`: worker K of N, counted from 1.
    ///
    /// # Errors
    /// What is wrong with the text.
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

    /// Reads the shard of this process from the environment of its scheduler. `variable` looks up a variable.
    ///
    /// # Errors
    /// A variable is missing or has an invalid value; the message is printable.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        if let Some(text) = variable(OWN) {
            return Self::parse(&text).map_err(|fault| format!("{OWN} is {fault}"));
        }
        for scheduler in SCHEDULERS {
            let Some(number) = read(Some(scheduler.index), &variable)? else {
                continue;
            };
            let first = read(scheduler.first, &variable)?.unwrap_or(scheduler.default_first);
            let step = read(scheduler.step, &variable)?.unwrap_or(1).max(1);
            let count = match read(scheduler.count, &variable)? {
                Some(count) => count,
                None => read(Some(OWN_COUNT), &variable)?.ok_or_else(|| {
                    format!(
                        "{} is set, but not the number of workers: set {OWN_COUNT}",
                        scheduler.index
                    )
                })?,
            };
            let index = number.checked_sub(first).map(|offset| offset / step);
            return index
                .filter(|index| *index < count)
                .map(|index| Self { index, count })
                .ok_or_else(|| format!("{} is not one of {count} workers", scheduler.index));
        }
        Err(format!(
            "no variable of a known scheduler is set: set {OWN}=K/N"
        ))
    }

    /// Whether a URL belongs to this shard. Each URL belongs to exactly one shard, on every machine and in every
    /// version. The fragment is ignored.
    pub fn has(&self, url: &Url) -> bool {
        self.count < 2 || hash(url[..Position::AfterQuery].as_bytes()) % self.count == self.index
    }
}

/// The number in a variable; `None` if there is no name or the variable is unset.
fn read(
    name: Option<&str>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<u64>, String> {
    let Some((name, text)) = name.and_then(|name| Some((name, variable(name)?))) else {
        return Ok(None);
    };
    match number(&text) {
        Some(number) => Ok(Some(number)),
        None => Err(format!("{name} is not a number")),
    }
}

fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// FNV-1a, then the last step of splitmix64, so that shards are even also for few workers. The function is part of the
/// contract: workers of different versions may share a list.
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
