//! From a place to a standing connection: the states Resolve, Connect and Handshake.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::{State, Step};
use crate::conn::{Action, Config, Dialled, Filter, Interest, Opened, Race, Socket, Tls};
use crate::error::Fault;
use crate::multi::connection::{Connection, Http2, Stage, Talk};
use crate::multi::info::TransferId;
use crate::multi::options::Protocol;
use crate::multi::{Multi, Sink, Windows};

/// The least window of a stream that a rate limit leads to, in bytes.
const SMALL_WINDOW: u64 = 64 * 1024;

impl<S: Sink> Multi<S> {
    /// Finds the host's addresses: in the URL itself, in the overrides, among the known ones, or by asking.
    pub(in crate::multi) fn resolve(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let Some(key) = self.transfer(id).origin else {
            return Ok(Step::Go(State::Init));
        };
        let origin = self.pool.origin(key);
        let (host, port) = (origin.host.clone(), origin.port);
        let found = if let Some(address) = origin.ip() {
            Ok(vec![address])
        } else if let Some(addresses) = self
            .options
            .overrides
            .get(&(host.to_ascii_lowercase(), port))
        {
            Ok(addresses.clone())
        } else {
            match self.lookups.find(&host, id, now) {
                Some(found) => found,
                None => {
                    self.tracer.info(id, || format!("looking up {host}"));
                    return Ok(Step::Wait);
                }
            }
        };
        let family = self.options.family;
        let addresses: Vec<IpAddr> = found
            .map_err(|reason| Fault::Resolve {
                host: host.clone(),
                reason,
            })?
            .into_iter()
            .filter(|address| family.has(address))
            .collect();
        if addresses.is_empty() {
            return Err(Fault::Resolve {
                host,
                reason: "it has no address of the family asked for".to_owned(),
            });
        }
        let addresses: Vec<_> = addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .collect();
        let race = Race::new(&addresses, self.pool.winner(key));
        let connection = self.connections.insert(Connection::new(key, id, race));
        let transfer = self.transfer(id);
        transfer.place = None;
        transfer.connection = Some(connection);
        Ok(Step::Go(State::Connect))
    }

    /// Races the addresses until a socket is connected.
    pub(in crate::multi) fn connect(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let Some(key) = self.transfer(id).connection else {
            return Ok(Step::Go(State::Init));
        };
        loop {
            if let Some(winner) = self.judge_attempts(key) {
                return self.won(id, key, winner);
            }
            let Stage::Racing {
                race,
                attempts,
                last,
            } = &mut self.connections[key].stage
            else {
                return Ok(Step::Go(State::Handshake));
            };
            match race.step(now) {
                Action::Dial(address) => {
                    let dialled = match &mut self.dial {
                        Some(dial) => (dial.0)(address).map(Socket::Wire),
                        None => Socket::dial(address),
                    };
                    if let Ok(socket) = &dialled {
                        self.sockets.open(socket.clone(), key, id);
                    }
                    match dialled {
                        Ok(socket) => attempts.push((address, socket)),
                        Err(error) => {
                            race.failed();
                            *last = Some(error);
                        }
                    }
                    self.transfer(id).address = Some(address);
                    self.tracer.info(id, || format!("connecting to {address}"));
                }
                Action::Wait(until) => {
                    self.transfer(id).clocks.wake = until;
                    for socket in self.connections[key].sockets() {
                        self.sockets.want(socket, id, Interest::Out);
                    }
                    return Ok(Step::Wait);
                }
                Action::Exhausted => {
                    let error = last
                        .take()
                        .unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into());
                    return Err(Fault::Connect(error));
                }
            }
        }
    }

    /// Looks at every attempt under way: gives the first that is connected, and drops those that failed.
    fn judge_attempts(&mut self, key: usize) -> Option<(SocketAddr, Socket)> {
        let Stage::Racing {
            race,
            attempts,
            last,
        } = &mut self.connections[key].stage
        else {
            return None;
        };
        let mut index = 0;
        while index < attempts.len() {
            match attempts[index].1.dialled() {
                Dialled::Yes => return Some(attempts.swap_remove(index)),
                Dialled::NotYet => index += 1,
                Dialled::Failed(error) => {
                    let (_, socket) = attempts.remove(index);
                    self.sockets.close(socket.number(), &mut self.messages);
                    race.failed();
                    *last = Some(error);
                }
            }
        }
        None
    }

    /// Closes the losers and builds the stack over the winner.
    fn won(
        &mut self,
        id: TransferId,
        key: usize,
        (address, socket): (SocketAddr, Socket),
    ) -> Result<Step, Fault> {
        for loser in self.connections[key].sockets() {
            self.sockets.close(loser, &mut self.messages);
        }
        let number = socket.number();
        let pool_key = self.connections[key].origin;
        self.pool.set_winner(pool_key, address);
        let transfer = self.transfer(id);
        transfer.address = Some(address);
        transfer.clocks.wake = None;
        self.tracer.info(id, || format!("connected to {address}"));
        match self.stack(pool_key, socket) {
            Ok(filter) => {
                self.connections[key].stage = Stage::Connected {
                    socket: number,
                    address,
                    filter,
                };
                Ok(Step::Go(State::Handshake))
            }
            Err(fault) => {
                self.sockets.close(number, &mut self.messages);
                Err(fault)
            }
        }
    }

    /// The layers of a connection to an origin: the socket, and TLS above it where the URL is https.
    fn stack(&mut self, pool_key: usize, socket: Socket) -> Result<Box<dyn Filter>, Fault> {
        let socket: Box<dyn Filter> = Box::new(socket);
        let origin = self.pool.origin(pool_key);
        if !origin.is_tls() {
            return Ok(socket);
        }
        // Read when the first https URL comes up: a run without any need not pay for it.
        let config = match &self.tls_config {
            Some(config) => config.clone(),
            None => Config::load(&self.options.tls)?,
        };
        let protocols = self.pool.protocol(pool_key).offer();
        let tls = Tls::new(&config, &origin.host, protocols, socket);
        self.tls_config = Some(config);
        Ok(Box::new(tls?))
    }

    /// Opens the layers above the socket.
    pub(in crate::multi) fn handshake(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let Some(key) = self.transfer(id).connection else {
            return Ok(Step::Go(State::Init));
        };
        let Stage::Connected { socket, filter, .. } = &mut self.connections[key].stage else {
            return Ok(Step::Go(State::Connect));
        };
        match filter.open(&mut self.scratch)? {
            Opened::Wait => {
                self.sockets.want(*socket, id, filter.wants());
                Ok(Step::Wait)
            }
            Opened::Ready => {
                self.tracer.info(id, || filter.describe());
                self.transfer(id).clocks.connecting = None;
                self.agree(id, key, now)?;
                Ok(Step::Go(State::Send))
            }
        }
    }

    /// Keeps a connection until there is something to fetch over it. It is not watched meanwhile, as idle ones are not.
    pub(in crate::multi) fn stand_by(&mut self, id: TransferId) -> Step {
        let transfer = self.transfer(id);
        if !transfer.easy.is_connect_only {
            return Step::Go(State::Send);
        }
        let connection = transfer.connection;
        if let Some(connection) = connection.and_then(|key| self.connections.get_mut(key))
            && connection.http1().is_some()
        {
            connection.has_stood_by = true;
            for socket in connection.sockets() {
                self.sockets.want(socket, id, Interest::Remove);
            }
        }
        Step::Wait
    }

    /// Takes note of what will be spoken over a connection that stands now, and lets those go on who waited for that.
    fn agree(&mut self, id: TransferId, key: usize, now: Instant) -> Result<(), Fault> {
        let connection = &mut self.connections[key];
        let origin = connection.origin;
        let agreed = connection
            .filter()
            .and_then(|filter| Some(filter.protocol()? == b"h2"));
        let wanted = self.pool.protocol(origin);
        let is_http2 = match (agreed, wanted) {
            (Some(true), _) => true,
            // Without TLS nobody is asked.
            (_, Protocol::Http2) => !self.pool.origin(origin).is_tls(),
            _ => false,
        };
        if wanted == Protocol::Http2 && !is_http2 {
            return Err(Fault::VersionRefused);
        }
        let connection = &mut self.connections[key];
        connection.is_established = true;
        let mut streams = None;
        if is_http2 {
            let speed = self.transfer(id).easy.max_recv_speed;
            let windows = self.windows(speed);
            let (mut http2, slot) = Http2::new(id, windows, now);
            streams = Some(http2.capacity());
            let connection = &mut self.connections[key];
            connection.talk = Talk::Http2(Box::new(http2));
            self.transfer(id).slot = slot;
            // TLS stops reading as soon as it stands: what had come by then is no event any more.
            self.runnable_connections.push(key);
        }
        self.pool.opened(origin, key, streams);
        self.give_places(now);
        Ok(())
    }

    /// The windows of a connection. What is received slowly need not lie here in large amounts.
    fn windows(&self, of_transfer: Option<u64>) -> Windows {
        let windows = self.options.windows;
        let slowest = of_transfer
            .into_iter()
            .chain(self.options.max_recv_speed)
            .min();
        let stream = match slowest {
            Some(speed) => windows
                .stream
                .min(speed.clamp(SMALL_WINDOW, 1 << 31) as u32),
            None => windows.stream,
        };
        Windows { stream, ..windows }
    }
}
