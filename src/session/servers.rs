//! The servers of one divided file: the validators and the tries of each. `download::Mirrors` chooses the next one.

use std::time::{Duration, Instant};

use url::Url;

use super::job::Job;
use crate::download::{Bond, Mirrors, Proof, Tries, Validators};
use crate::http::Origin;
use crate::multi::Easy;

/// The servers of one file. Index 0 is the server of its first response; mirrors follow in the order of the row.
#[derive(Debug)]
pub(super) struct Servers {
    servers: Vec<Server>,
    mirrors: Mirrors,
    /// The index of the server that a retry or another run resumes from. It changes when that server is dropped.
    leader: usize,
    /// The proof that the bytes of several servers are of one version; without it, the mirrors are not used.
    bond: Option<Bond>,
}

/// One server of a file.
#[derive(Debug)]
struct Server {
    url: Url,
    proof: Proof,
    /// The tries so far.
    tries: u32,
    /// The start of the first try.
    began: Instant,
    /// The number of failures, where transfers that were open at the same failure count as one: each transfer stores
    /// the era that it was opened in.
    era: u32,
    /// At least one byte of the file came from here.
    has_brought: bool,
    /// It can send neither ranges nor the full file.
    is_lost: bool,
}

impl Servers {
    /// The server of the file's first transfer, which sent `validators`, and the mirrors if a bond proves that their
    /// bytes are of one version. No origin gets more than `per_origin` connections; 0 is no limit.
    pub(super) fn new(
        easy: &Easy<Job>,
        validators: &Validators,
        per_origin: usize,
        now: Instant,
    ) -> Self {
        let job = &easy.sink;
        let bond = if job.file.is_alone {
            None
        } else {
            job.file.download.bond()
        };
        let mirrors = bond.is_some().then_some(&job.file.mirrors);
        let (mut servers, mut origins) = (Vec::new(), Vec::new());
        for url in std::iter::once(&easy.url).chain(mirrors.into_iter().flatten()) {
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
                        validators.clone()
                    },
                    is_vouched,
                },
                tries: if is_first { job.file.tries } else { 1 },
                began: if is_first {
                    job.file.began.unwrap_or(now)
                } else {
                    now
                },
                era: 0,
                has_brought: is_first,
                is_lost: false,
            });
        }
        let mut mirrors = Mirrors::new(origins, per_origin);
        mirrors.opened(0);
        Self {
            servers,
            mirrors,
            leader: 0,
            bond,
        }
    }

    /// The choice of the next server, and the backoff of each.
    pub(super) fn mirrors(&mut self) -> &mut Mirrors {
        &mut self.mirrors
    }

    pub(super) fn url(&self, server: usize) -> Option<&Url> {
        self.servers.get(server).map(|server| &server.url)
    }

    /// How a response of a server is proved to be of the right version.
    pub(super) fn proof(&self, server: usize) -> Proof {
        let server = self.servers.get(server);
        server.map_or_else(Proof::default, |server| server.proof.clone())
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

    /// Whether bytes of several servers were written, and their validators do not prove one version: only a digest
    /// can.
    pub(super) fn is_mixed(&self) -> bool {
        let Some(leader) = self.servers.get(self.leader) else {
            return false;
        };
        let others = self.servers.iter().enumerate();
        let mut others = others.filter(|(index, other)| *index != self.leader && other.has_brought);
        others.any(|(_, other)| !leader.proof.validators.prove(&other.proof.validators))
    }

    /// The era of a transfer that is opened now.
    pub(super) fn era(&self, server: usize) -> u32 {
        self.servers.get(server).map_or(0, |server| server.era)
    }

    /// The tries at a server, after a transfer of `era` has failed. If that failure is counted already, the number is
    /// the one before it was counted.
    pub(super) fn tried(&self, server: usize, era: u32, now: Instant) -> Tries {
        let server = self.servers.get(server);
        let count = server.map_or(1, |server| {
            let is_counted = server.era > era;
            server.tries - u32::from(is_counted && server.tries > 1)
        });
        let elapsed = server.map(|server| now.saturating_duration_since(server.began));
        Tries {
            count,
            elapsed: elapsed.unwrap_or(Duration::ZERO),
            is_begun: true,
        }
    }

    /// Whether a failure is counted already: a fault of the network or the server ends many transfers at once.
    pub(super) fn is_counted(&self, server: usize, era: u32) -> bool {
        self.era(server) > era
    }

    /// Counts the failed try of a transfer of `era`, unless another failure of that era was counted.
    pub(super) fn count_failure(&mut self, server: usize, era: u32) {
        if let Some(server) = self.servers.get_mut(server)
            && server.era == era
        {
            server.era += 1;
            server.tries += 1;
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
            server.tries = 1;
        }
    }

    /// The validators of the leader, if the leader is not the server that the file began with and has sent bytes.
    pub(super) fn relied_on(&self) -> Option<&Validators> {
        let leader = self.servers.get(self.leader)?;
        (self.leader > 0 && leader.has_brought).then_some(&leader.proof.validators)
    }

    /// Drops a server. `is_lost` says that it cannot send the full file either. Returns the URL of the new leader, if
    /// the leader was dropped.
    pub(super) fn drop(&mut self, server: usize, is_lost: bool) -> Option<Url> {
        self.mirrors.drop(server);
        if let Some(server) = self.servers.get_mut(server) {
            server.is_lost = is_lost;
        }
        if server != self.leader {
            return None;
        }
        let indexes = 0..self.servers.len();
        let left = indexes.filter(|index| !self.mirrors.is_dropped(*index));
        let proven = left
            .clone()
            .find(|index| self.servers[*index].proof.validators.strong().is_some());
        self.leader = proven.or(left.min())?;
        self.url(self.leader).cloned()
    }

    /// Stores the state of the servers in the file's job: the next try asks the leader, and the others that are not
    /// lost become its mirrors.
    pub(super) fn give_back(self, easy: &mut Easy<Job>) {
        if let Some(leader) = self.servers.get(self.leader) {
            easy.sink.file.tries = leader.tries;
            easy.sink.file.began = Some(leader.began);
        }
        // If the digest does not match, the leader may not be at fault.
        let mut servers = self.servers.iter().enumerate();
        easy.sink.file.is_shared |=
            servers.any(|(index, server)| index != self.leader && server.has_brought);
        if self.bond.is_some() {
            let servers = self.servers.into_iter().enumerate();
            let others = servers.filter(|(index, server)| *index != self.leader && !server.is_lost);
            easy.sink.file.mirrors = others.map(|(_, server)| server.url).collect();
        }
    }
}
