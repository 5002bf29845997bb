//! From a place to a standing connection: the states Resolve, Connect and Handshake.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::{State, Step};
use crate::conn::{Action, Dialled, Interest, Opened, Race, Socket};
use crate::error::Fault;
use crate::http::Version;
use crate::multi::connection::{Connection, Http2, Stage, Talk, Target};
use crate::multi::connections::ConnectionKey;
use crate::multi::info::TransferId;
use crate::multi::options::Protocol;
use crate::multi::{Multi, Sink, Windows};

/// The least window of a stream that a rate limit leads to, in bytes.
const SMALL_WINDOW: u64 = 64 * 1024;

impl<S: Sink> Multi<S> {
    /// Finds out whom to connect to: the origin, or its proxy; and what a proxy that looks no names up is to be told.
    pub(in crate::multi) fn resolve(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let Some(key) = self.transfer(id).origin else {
            return Ok(Step::Go(State::Init));
        };
        let place = self.pool.origins[key].destination();
        let route = self.pool.origins[key].route();
        let own = (place.host.clone(), place.port);
        let tells_address = route.tells_address();
        let peer = match route.proxy() {
            Some(proxy) => (proxy.host.clone(), proxy.port),
            None => own.clone(),
        };
        let port = peer.1;
        let Some(addresses) = self.addresses(id, peer, now)? else {
            return Ok(Step::Wait);
        };
        let mut target = None;
        if tells_address {
            let Some(addresses) = self.addresses(id, own, now)? else {
                return Ok(Step::Wait);
            };
            let refused = self.transfer(id).refused % addresses.len();
            target = Some(Target {
                address: addresses[refused],
                left: addresses.len() - refused - 1,
            });
        }
        let addresses: Vec<_> = addresses
            .into_iter()
            .map(|ip| SocketAddr::new(ip, port))
            .collect();
        let race = Race::new(&addresses, self.pool.origins[key].winner);
        let connection = Connection::new(key, id, race, target);
        let connection = self.connections.insert(connection);
        let transfer = self.transfer(id);
        transfer.place = None;
        transfer.connection = Some(connection);
        Ok(Step::Go(State::Connect))
    }

    /// The addresses of a host, at least one: in its name itself, in the overrides, among the known ones, or by asking.
    fn addresses(
        &mut self,
        id: TransferId,
        (host, port): (String, u16),
        now: Instant,
    ) -> Result<Option<Vec<IpAddr>>, Fault> {
        let family = self.options.family;
        let place = (host.to_ascii_lowercase(), port);
        let found = if let Ok(address) = host.parse() {
            Ok(vec![address])
        } else if let Some(addresses) = self.options.overrides.get(&place) {
            Ok(addresses.clone())
        } else {
            match self.lookups.find(&host, id, now) {
                Some(found) => found,
                None => {
                    self.tracer.info(id, || format!("looking up {host}"));
                    return Ok(None);
                }
            }
        };
        let found = found.map(|mut addresses| {
            addresses.retain(|address| family.has(address));
            addresses
        });
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(Some(addresses)),
            Ok(_) => Err(Fault::Resolve {
                host,
                reason: "it has no address of the family asked for".to_owned(),
            }),
            Err(reason) => Err(Fault::Resolve { host, reason }),
        }
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
    fn judge_attempts(&mut self, key: ConnectionKey) -> Option<(SocketAddr, Socket)> {
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
        key: ConnectionKey,
        (address, socket): (SocketAddr, Socket),
    ) -> Result<Step, Fault> {
        for loser in self.connections[key].sockets() {
            self.sockets.close(loser, &mut self.messages);
        }
        let number = socket.number();
        let pool_key = self.connections[key].origin;
        self.pool.origins[pool_key].winner = Some(address);
        let transfer = self.transfer(id);
        transfer.address = Some(address);
        transfer.clocks.wake = None;
        self.tracer.info(id, || format!("connected to {address}"));
        let target = self.connections[key].target;
        match self.stack(pool_key, target.map(|target| target.address), socket) {
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

    /// Opens the layers above the socket.
    pub(in crate::multi) fn handshake(
        &mut self,
        id: TransferId,
        now: Instant,
    ) -> Result<Step, Fault> {
        let Some(key) = self.transfer(id).connection else {
            return Ok(Step::Go(State::Init));
        };
        let connection = &mut self.connections[key];
        let Stage::Connected { socket, filter, .. } = &mut connection.stage else {
            return Ok(Step::Go(State::Connect));
        };
        match filter.open(&mut self.scratch)? {
            Opened::Wait => {
                self.sockets.want(*socket, id, filter.wants());
                Ok(Step::Wait)
            }
            Opened::Ready => {
                let route = self.pool.origins[connection.origin].route();
                self.tracer.info(id, || match route.proxy() {
                    Some(proxy) => format!("{}, by the proxy {proxy}", filter.describe()),
                    None => filter.describe(),
                });
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
            if let Some(key) = transfer.origin {
                self.pool.stop_standing_by(key);
            }
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
    fn agree(&mut self, id: TransferId, key: ConnectionKey, now: Instant) -> Result<(), Fault> {
        let connection = &mut self.connections[key];
        let origin = connection.origin;
        let agreed = connection
            .filter()
            .and_then(|filter| Some(filter.protocol()? == b"h2"));
        let wanted = self.pool.origins.protocol(origin);
        let is_http2 = match (agreed, wanted) {
            (Some(true), _) => true,
            // Without TLS nobody is asked.
            (_, Protocol::Http2) => !self.pool.origins[origin].origin().is_tls(),
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
        let version = if is_http2 {
            Version::Http2
        } else {
            Version::Http11
        };
        self.pool.opened(origin, key, version, streams);
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
