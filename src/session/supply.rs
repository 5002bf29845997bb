//! The servers that one file comes from: what each says of its version, and how often it was tried.
//! Which of them is asked next, `download::Mirrors` knows.

use std::time::{Duration, Instant};

use url::Url;

use super::job::Job;
use crate::download::{Bond, Mirrors, Proof, Tries, Validators};
use crate::http::Origin;
use crate::multi::Easy;

/// The servers of one file, by their places in its row.
#[derive(Debug)]
pub(super) struct Supply {
    servers: Vec<Server>,
    mirrors: Mirrors,
    /// The one that another run would go on with. It is never dropped.
    leader: usize,
    bond: Option<Bond>,
}

/// One of them.
#[derive(Debug)]
struct Server {
    url: Url,
    proof: Proof,
    /// Tries so far, and when the first began.
    tries: u32,
    began: Instant,
    /// How often a transfer has failed that was begun after the failure before: failures of one moment are one try.
    era: u32,
    has_brought: bool,
    /// It has nothing to give, in shares or as a whole.
    is_lost: bool,
}

impl Supply {
    /// The server that a file's first transfer asks, and says this of its version; and its mirrors,
    /// where something holds the bytes of all to one version. No origin gets more than `per_origin`
    /// connections.
    pub(super) fn new(
        easy: &Easy<Job>,
        validators: &Validators,
        per_origin: usize,
        now: Instant,
    ) -> Self {
        let job = &easy.sink;
        let bond = job.download.bond().filter(|_| !job.is_alone);
        let mirrors = job.mirrors.iter().filter(|_| bond.is_some());
        let (mut servers, mut origins) = (Vec::new(), Vec::new());
        for url in std::iter::once(&easy.url).chain(mirrors) {
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
                tries: if is_first { job.tries } else { 1 },
                began: job.began.filter(|_| is_first).unwrap_or(now),
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

    /// Which of them is asked when.
    pub(super) fn mirrors(&mut self) -> &mut Mirrors {
        &mut self.mirrors
    }

    pub(super) fn url(&self, server: usize) -> Option<&Url> {
        self.servers.get(server).map(|server| &server.url)
    }

    /// How an answer of a server is known to be of the right version.
    pub(super) fn proof(&self, server: usize) -> Proof {
        let server = self.servers.get(server);
        server.map_or_else(Proof::default, |server| server.proof.clone())
    }

    /// A server has brought something, and says this of its version.
    pub(super) fn brought(&mut self, server: usize, validators: &Validators) {
        if let Some(server) = self.servers.get_mut(server)
            && !server.has_brought
        {
            server.has_brought = true;
            server.proof.validators.clone_from(validators);
        }
    }

    /// Whether only a digest can tell that all that was brought is of one version.
    pub(super) fn is_mixed(&self) -> bool {
        let Some(leader) = self.servers.get(self.leader) else {
            return false;
        };
        let proves = |other: &Server| leader.proof.validators.prove(&other.proof.validators);
        let others = self.servers.iter().enumerate();
        let mut others = others.filter(|(place, other)| *place != self.leader && other.has_brought);
        others.any(|(_, other)| !proves(other))
    }

    /// After how many failures a transfer is begun that asks a server now.
    pub(super) fn era(&self, server: usize) -> u32 {
        self.servers.get(server).map_or(0, |server| server.era)
    }

    /// The tries at a server so far, after a transfer that was begun in an `era` has failed; those
    /// that failed with it do not count.
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

    /// Whether a failure belongs with an earlier one: a fault of the line, or of the server, meets
    /// many transfers at once.
    pub(super) fn is_counted(&self, server: usize, era: u32) -> bool {
        self.era(server) > era
    }

    /// Counts a failed try of a transfer that was begun in an `era`.
    pub(super) fn count_failure(&mut self, server: usize, era: u32) {
        if let Some(server) = self.servers.get_mut(server)
            && server.era == era
        {
            server.era += 1;
            server.tries += 1;
        }
    }

    /// Makes do with as many transfers from a server as there are, after one has failed.
    pub(super) fn lower(&mut self, server: usize, now: Instant) {
        self.mirrors.lower(server, now);
        if let Some(server) = self.servers.get_mut(server) {
            server.era += 1;
        }
    }

    /// A server has brought much: its tries count anew.
    pub(super) fn reset_tries(&mut self, server: usize) {
        if let Some(server) = self.servers.get_mut(server) {
            server.tries = 1;
        }
    }

    /// What the server says of its version that leads, where that is not the one that began the file.
    pub(super) fn relied_on(&self) -> Option<&Validators> {
        let leader = self.servers.get(self.leader)?;
        (self.leader > 0 && leader.has_brought).then_some(&leader.proof.validators)
    }

    /// Does without a server, where there is another; `is_lost` says that it is not worth asking
    /// for the whole either. Gives the URL of the one that leads now, if that has changed.
    pub(super) fn drop(&mut self, server: usize, is_lost: bool) -> Option<Url> {
        self.mirrors.drop(server);
        if let Some(server) = self.servers.get_mut(server) {
            server.is_lost = is_lost;
        }
        if server != self.leader {
            return None;
        }
        let places = 0..self.servers.len();
        let left = places.filter(|place| !self.mirrors.is_dropped(*place));
        let has_proof = |place: &usize| self.servers[*place].proof.validators.strong().is_some();
        self.leader = left.clone().find(has_proof).or(left.min())?;
        self.url(self.leader).cloned()
    }

    /// Hands the file over to the next try, at the one that leads; the others are its mirrors.
    pub(super) fn give_back(self, easy: &mut Easy<Job>) {
        if let Some(leader) = self.servers.get(self.leader) {
            easy.sink.tries = leader.tries;
            easy.sink.began = Some(leader.began);
        }
        // Should it be wrong, it is not for the one that leads alone to answer for it.
        let mut servers = self.servers.iter().enumerate();
        easy.sink.is_shared |=
            servers.any(|(place, server)| place != self.leader && server.has_brought);
        if self.bond.is_some() {
            let servers = self.servers.into_iter().enumerate();
            let others = servers.filter(|(place, server)| *place != self.leader && !server.is_lost);
            easy.sink.mirrors = others.map(|(_, server)| server.url).collect();
        }
    }
}
