//! The servers of one divided file: the validators and the tries of each. `mirrors` chooses the next one.

use std::collections::VecDeque;
use std::iter;
use std::time::Instant;

use url::Url;

use super::mirrors::Mirrors;
use crate::download::{Bond, Mirror, Proof, Record, Tries, Validators};
use crate::http::Origin;

/// What is known of a file's servers when the file is divided.
#[derive(Debug)]
pub struct Sources<'a> {
    /// Where its first transfer fetches it.
    pub url: &'a Url,
    /// What is known of that.
    pub record: Record,
    /// Its other URLs, in the order in which they are requested.
    pub mirrors: &'a VecDeque<Mirror>,
    /// The proof that the bytes of several servers are of one version; without it, the mirrors are not used.
    pub bond: Option<Bond>,
    /// The validators that the first server sent.
    pub validators: &'a Validators,
    /// The most connections to one origin; 0 is no limit.
    pub per_origin: usize,
}

/// What is known of a file's servers when the division ends, for its next try.
#[derive(Debug)]
pub struct Remaining {
    /// What is known of the server that the next try asks.
    pub record: Record,
    /// Other servers have sent bytes: if the digest does not match, the leader may not be at fault.
    pub is_shared: bool,
    /// The other servers that are not lost; `None` if the mirrors were not used.
    pub mirrors: Option<VecDeque<Mirror>>,
}

/// The servers of one file. Index 0 is the server of its first response; mirrors follow in the order of the row.
#[derive(Debug)]
pub struct Servers {
    servers: Vec<Server>,
    mirrors: Mirrors,
    /// The index of the server that a retry or another run resumes from. It changes when that server is dropped.
    leader: usize,
    /// The mirrors are used, because a proof ties their bytes to one version.
    has_bond: bool,
    /// Bytes of several servers were written, and under an earlier leader their validators did not prove one version.
    was_mixed: bool,
    /// The validators of an earlier leader other than the first server.
    relied_on: Option<Validators>,
}

/// One server of a file.
#[derive(Debug)]
struct Server {
    url: Url,
    proof: Proof,
    record: Record,
    /// The number of failures, where transfers that were open at the same failure count as one: each transfer stores
    /// the era that it was opened in.
    era: u32,
    /// At least one byte of the file came from here.
    has_brought: bool,
    /// It can send neither ranges nor the full file.
    is_lost: bool,
}

impl Servers {
    /// The server of the file's first transfer, and the mirrors if a bond proves that their bytes are of one version.
    pub fn new(sources: &Sources<'_>, now: Instant) -> Self {
        let bond = sources.bond;
        let mirrors = bond.is_some().then_some(sources.mirrors);
        let (mut servers, mut origins) = (Vec::new(), Vec::new());
        let others = mirrors.into_iter().flatten();
        let others = others.map(|mirror| (&mirror.url, mirror.record));
        for (url, record) in iter::once((sources.url, sources.record)).chain(others) {
            let Ok(origin) = Origin::of(url) else {
                continue;
            };
            let is_first = servers.is_empty();
            let is_vouched = !is_first && bond == Some(Bond::Digest);
            origins.push(origin);
            servers.push(Server {
                url: url.clone(),
                proof: Proof {
                    validators: if is_vouched {
                        Validators::default()
                    } else {
                        sources.validators.clone()
                    },
                    is_vouched,
                },
                record: Record {
                    // The next try of a mirror is counted as begun.
                    tries: record.tries + u32::from(!is_first),
                    began: record.began.or(Some(now)),
                    ..record
                },
                era: 0,
                has_brought: is_first,
                is_lost: false,
            });
        }
        let mut mirrors = Mirrors::new(origins, sources.per_origin);
        mirrors.opened(0);
        Self {
            servers,
            mirrors,
            leader: 0,
            has_bond: bond.is_some(),
            was_mixed: false,
            relied_on: None,
        }
    }

    /// The choice of the next server, and the backoff of each.
    pub(super) fn mirrors(&mut self) -> &mut Mirrors {
        &mut self.mirrors
    }

    /// The URL of a server.
    pub(super) fn url(&self, server: usize) -> &Url {
        &self.servers[server].url
    }

    /// How a response of a server is proved to be of the right version.
    pub(super) fn proof(&self, server: usize) -> Proof {
        self.servers[server].proof.clone()
    }

    /// Records that a server has sent bytes, and its validators at the first call.
    pub(super) fn brought(&mut self, server: usize, validators: &Validators) {
        if let Some(server) = self.servers.get_mut(server)
            && !server.has_brought
        {
            server.has_brought = true;
            server.proof.validators.clone_from(validators);
        }
    }

    /// Whether a server has sent bytes of the file.
    pub(super) fn has_brought(&self, server: usize) -> bool {
        let server = self.servers.get(server);
        server.is_some_and(|server| server.has_brought)
    }

    /// Whether bytes of several servers were written, and their validators do not prove one version: only a digest
    /// can.
    pub fn is_mixed(&self) -> bool {
        let Some(leader) = self.servers.get(self.leader) else {
            return self.was_mixed;
        };
        let others = self.servers.iter().enumerate();
        let mut others = others.filter(|(index, other)| *index != self.leader && other.has_brought);
        self.was_mixed
            || others.any(|(_, other)| !leader.proof.validators.prove(&other.proof.validators))
    }

    /// The era of a transfer that is opened now.
    pub(super) fn era(&self, server: usize) -> u32 {
        self.servers.get(server).map_or(0, |server| server.era)
    }

    /// The tries at a server, after a transfer of `era` has failed. If that failure is counted already, the number is
    /// the one before it was counted.
    pub(super) fn tried(&self, server: usize, era: u32, now: Instant) -> Tries {
        let server = self.servers.get(server);
        let tries = server.map_or(Record::default(), |server| server.record);
        let tries = tries.tried(now, true);
        let is_counted = server.is_some_and(|server| server.era > era);
        let before = tries.count.saturating_sub(u32::from(is_counted));
        Tries {
            count: before.max(1),
            ..tries
        }
    }

    /// Whether a failure is counted already: a fault of the network or the server ends many transfers at once.
    pub(super) fn is_counted(&self, server: usize, era: u32) -> bool {
        self.era(server) > era
    }

    /// Counts the failed try of a transfer of `era`, unless another failure of that era was counted.
    pub(super) fn count_failure(&mut self, server: usize, era: u32, now: Instant) {
        if let Some(server) = self.servers.get_mut(server)
            && server.era == era
        {
            server.record.failing.get_or_insert(now);
            server.era += 1;
            server.record.tries += 1;
        }
    }

    /// Limits a server to its present number of transfers after one has failed.
    pub(super) fn lower(&mut self, server: usize, now: Instant) {
        self.mirrors.lower(server, now);
        if let Some(server) = self.servers.get_mut(server) {
            server.era += 1;
        }
    }

    /// Resets the tries of a server that made enough progress.
    pub(super) fn reset_tries(&mut self, server: usize) {
        if let Some(server) = self.servers.get_mut(server) {
            server.record.reset_tries();
        }
    }

    /// The validators that the written bytes rely on, if those are not the ones that the file began with: they are of
    /// the latest leader that has sent bytes.
    pub fn relied_on(&self) -> Option<&Validators> {
        match self.servers.get(self.leader) {
            Some(leader) if self.leader > 0 && leader.has_brought => Some(&leader.proof.validators),
            _ => self.relied_on.as_ref(),
        }
    }

    /// The URL of the leader.
    pub fn leader(&self) -> &Url {
        self.url(self.leader)
    }

    /// Drops a server. `is_lost` says that it cannot send the full file either. If it is the leader, another one that
    /// is left becomes the leader.
    pub(super) fn drop(&mut self, server: usize, is_lost: bool) {
        self.was_mixed = self.is_mixed();
        self.relied_on = self.relied_on().cloned();
        self.mirrors.drop(server);
        if let Some(server) = self.servers.get_mut(server) {
            server.is_lost = is_lost;
        }
        if server != self.leader {
            return;
        }
        let indexes = 0..self.servers.len();
        let left = indexes.filter(|index| !self.mirrors.is_dropped(*index));
        let proven = left
            .clone()
            .find(|index| self.servers[*index].proof.validators.strong().is_some());
        self.leader = proven.or(left.min()).unwrap_or(self.leader);
    }

    /// What the next try needs: it asks the leader, and the others that are not lost become its mirrors.
    pub(super) fn into_remaining(self) -> Remaining {
        let record = self.servers[self.leader].record;
        let mut servers = self.servers.iter().enumerate();
        let is_shared = servers.any(|(index, server)| index != self.leader && server.has_brought);
        let mirrors = self.has_bond.then(|| {
            let servers = self.servers.into_iter().enumerate();
            let others = servers.filter(|(index, server)| *index != self.leader && !server.is_lost);
            let others = others.map(|(_, server)| Mirror {
                url: server.url,
                record: Record {
                    tries: server.record.tries.saturating_sub(1),
                    ..server.record
                },
            });
            others.collect()
        });
        Remaining {
            record,
            is_shared,
            mirrors,
        }
    }
}
