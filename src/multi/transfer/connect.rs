//! From a slot to an established connection: the states Resolve, Connect, Handshake and StandBy.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::stack::stack;
use super::{Link, State, Step, Transfer};
use crate::conn::{Action, Dialled, Endpoint, Interest, Opened, Race, Socket};
use crate::error::{Fault, reason};
use crate::http::zone;
use crate::multi::Windows;
use crate::multi::connection::{Connection, Stage, TargetAddress};
use crate::multi::connections::ConnectionKey;
use crate::multi::context::Context;
use crate::multi::events::Subject;
use crate::multi::exchanges::Exchanges;
use crate::multi::info::TransferId;
use crate::multi::multiplexed::Multiplexed;
use crate::multi::options::Options;
use crate::multi::origins::OriginKey;
use crate::multi::schedule::HANDSHAKE;

/// The smallest window of a stream that a rate limit leads to, in bytes.
const SMALL_WINDOW: u64 = 64 * 1024;

/// The time before a Unix socket with a full queue of connections is tried again. The kernel does not tell when the
/// queue has room.
const FULL_QUEUE_DELAY: Duration = Duration::from_millis(10);

/// A host to look up, and the port that belongs to it.
#[derive(Debug, Clone)]
struct Peer {
    host: String,
    port: u16,
    zone: Option<String>,
}

/// Finds the addresses to connect to: those of the origin, or of its proxy. A proxy that looks no names up is told an
/// address of the origin.
pub(super) fn resolve<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<Step, Fault> {
    let Some(key) = transfer.origin else {
        return Ok(Step::Go(State::Init));
    };
    if let Some(path) = &context.network.unix_socket {
        let race = Race::new(&[Endpoint::Unix(Arc::clone(path))], None);
        open(
            transfer,
            context,
            key,
            Connection::new(key, transfer.id, race, None),
            now,
        );
        return Ok(Step::Go(State::Connect));
    }
    let record = &context.pool.origins[key];
    let destination = record.destination();
    let own = Peer {
        host: destination.host.clone(),
        port: destination.port,
        zone: destination.zone.clone(),
    };
    let tells_address = record.route().tells_address();
    let peer = match record.route().proxy() {
        Some(proxy) => Peer {
            host: proxy.host.clone(),
            port: proxy.port,
            zone: None,
        },
        None => own.clone(),
    };
    let port = peer.port;
    let scope = peer.zone.as_deref().map(zone::scope).transpose();
    let scope = scope.map_err(Fault::Connect)?;
    let Some(addresses) = addresses(context, transfer.subject(), peer, now)? else {
        return Ok(Step::Wait);
    };
    let mut target = None;
    if tells_address {
        let Some(addresses) = self::addresses(context, transfer.subject(), own, now)? else {
            return Ok(Step::Wait);
        };
        let refused = transfer.refused % addresses.len();
        target = Some(TargetAddress {
            address: addresses[refused],
            left: addresses.len() - refused - 1,
        });
    }
    let addresses: Vec<_> = addresses
        .into_iter()
        .map(|ip| match (ip, scope) {
            (IpAddr::V6(ip), Some(scope)) => SocketAddrV6::new(ip, port, 0, scope).into(),
            (ip, _) => SocketAddr::new(ip, port),
        })
        .map(Endpoint::Inet)
        .collect();
    let race = Race::new(&addresses, context.pool.origins[key].winner.as_ref());
    open(
        transfer,
        context,
        key,
        Connection::new(key, transfer.id, race, target),
        now,
    );
    Ok(Step::Go(State::Connect))
}

/// Gives the transfer a new connection to its origin.
fn open<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    key: OriginKey,
    connection: Connection,
    now: Instant,
) {
    let connection = context.network.connections.insert(connection);
    if !transfer.easy.is_connect_only {
        context.pool.await_answer(key, connection, now);
    }
    transfer.link = Some(Link::new(connection, 0));
}

/// The addresses of a host, at least one: an address literal, an override, a cached answer, or `None` while the
/// resolver is asked.
fn addresses(
    context: &mut Context,
    subject: Subject,
    peer: Peer,
    now: Instant,
) -> Result<Option<Vec<IpAddr>>, Fault> {
    let Peer { host, port, .. } = peer;
    let options = &context.options;
    let found = if let Ok(address) = host.parse() {
        Ok(vec![address])
    } else if let Some(addresses) = options.overriding(&host, port) {
        Ok(addresses.to_vec())
    } else {
        match context.lookups.find(&host, subject.id, now) {
            Some(found) => found,
            None => {
                context
                    .events
                    .info(subject, || format!("looking up {host}"));
                return Ok(None);
            }
        }
    };
    let found = found.map(|mut addresses| {
        addresses.retain(|address| options.family.has(address));
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

/// A socket that is connected, and its peer.
struct Winner {
    endpoint: Endpoint,
    socket: Socket,
}

/// Races the addresses until a socket is connected.
pub(super) fn connect<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<Step, Fault> {
    let (id, Some(Link { key, .. })) = (transfer.id, transfer.link) else {
        return Ok(Step::Go(State::Init));
    };
    loop {
        if let Some(winner) = poll_attempts(context, key) {
            return connected(transfer, context, key, winner);
        }
        let connection = &mut context.network.connections[key];
        let Stage::Racing { race, last, .. } = &mut connection.stage else {
            return Ok(Step::Go(State::Handshake));
        };
        match race.step(now) {
            Action::Dial(endpoint) => {
                if !race.was_put_off() {
                    context
                        .events
                        .info(transfer.subject(), || format!("connecting to {endpoint}"));
                }
                transfer.endpoint = Some(endpoint.clone());
                dial(context, key, id, endpoint, now);
            }
            Action::Wait(until) => {
                transfer.clocks.wake = until;
                context.network.want(key, id, Interest::Out);
                return Ok(Step::Wait);
            }
            Action::Exhausted => {
                let error = last
                    .take()
                    .unwrap_or_else(|| ErrorKind::AddrNotAvailable.into());
                return Err(Fault::Connect(error));
            }
        }
    }
}

/// Starts an attempt.
fn dial(
    context: &mut Context,
    key: ConnectionKey,
    id: TransferId,
    endpoint: Endpoint,
    now: Instant,
) {
    let dialled = context.network.dial(&endpoint, key, id);
    let connection = &mut context.network.connections[key];
    if let Stage::Racing {
        race,
        attempts,
        last,
    } = &mut connection.stage
    {
        match (dialled, endpoint) {
            (Ok(socket), endpoint) => attempts.push((endpoint, socket)),
            (Err(error), endpoint @ Endpoint::Unix(_)) if error.kind() == ErrorKind::WouldBlock => {
                race.put_off(endpoint, now + FULL_QUEUE_DELAY);
            }
            (Err(error), Endpoint::Unix(path)) => {
                race.failed();
                let named = format!("{}: {}", path.display(), reason(&error));
                *last = Some(io::Error::new(error.kind(), named));
            }
            (Err(error), Endpoint::Inet(_)) => {
                race.failed();
                *last = Some(error);
            }
        }
    }
}

/// Examines the attempts under way: drops those that failed, and returns the first that is connected.
fn poll_attempts(context: &mut Context, key: ConnectionKey) -> Option<Winner> {
    let network = &mut context.network;
    let Stage::Racing {
        race,
        attempts,
        last,
    } = &mut network.connections[key].stage
    else {
        return None;
    };
    let mut index = 0;
    while index < attempts.len() {
        match attempts[index].1.dialled() {
            Dialled::Yes => {
                let (endpoint, socket) = attempts.swap_remove(index);
                return Some(Winner { endpoint, socket });
            }
            Dialled::NotYet => index += 1,
            Dialled::Failed(error) => {
                let (_, socket) = attempts.remove(index);
                let sockets = &mut network.sockets;
                sockets.close(socket.number(), &mut context.messages);
                race.failed();
                *last = Some(error);
            }
        }
    }
    None
}

/// Closes the losers, and builds the stack over the winner.
fn connected<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    key: ConnectionKey,
    winner: Winner,
) -> Result<Step, Fault> {
    let Winner { endpoint, socket } = winner;
    let network = &mut context.network;
    for loser in network.connections[key].sockets() {
        network.sockets.close(loser, &mut context.messages);
    }
    let number = socket.number();
    let origin = network.connections[key].origin;
    context.pool.origins[origin].winner = Some(endpoint.clone());
    transfer.endpoint = Some(endpoint.clone());
    transfer.clocks.wake = None;
    context
        .events
        .info(transfer.subject(), || format!("connected to {endpoint}"));
    let target = context.network.connections[key].target;
    match stack(context, origin, target.map(|target| target.address), socket) {
        Ok(filter) => {
            context.network.connections[key].stage = Stage::Connected {
                socket: number,
                endpoint,
                filter,
            };
            Ok(Step::Go(State::Handshake))
        }
        Err(fault) => {
            let sockets = &mut context.network.sockets;
            sockets.close(number, &mut context.messages);
            Err(fault)
        }
    }
}

/// Opens the layers above the socket.
pub(super) fn handshake<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    now: Instant,
) -> Result<Step, Fault> {
    let Some(Link { key, .. }) = transfer.link else {
        return Ok(Step::Go(State::Init));
    };
    let network = &mut context.network;
    let connection = &mut network.connections[key];
    let Stage::Connected { socket, filter, .. } = &mut connection.stage else {
        return Ok(Step::Go(State::Connect));
    };
    match filter.open(&mut network.scratch)? {
        Opened::Wait => {
            let sockets = &mut network.sockets;
            sockets.want(*socket, transfer.id, filter.wants());
            Ok(Step::Wait)
        }
        Opened::Ready => {
            let route = context.pool.origins[connection.origin].route();
            context
                .events
                .info(transfer.subject(), || match route.proxy() {
                    Some(proxy) => format!("{}, by the proxy {proxy}", filter.describe()),
                    None => filter.describe(),
                });
            transfer.clocks.connecting = None;
            start_exchanges(transfer, context, key, now)?;
            Ok(Step::Go(State::Send))
        }
    }
}

/// Decides which version a new connection speaks, and lets the transfers go on that waited for that.
fn start_exchanges<S>(
    transfer: &mut Transfer<S>,
    context: &mut Context,
    key: ConnectionKey,
    now: Instant,
) -> Result<(), Fault> {
    let connection = &mut context.network.connections[key];
    let origin = connection.origin;
    let origins = &context.pool.origins;
    let is_tls = origins[origin].origin().is_tls();
    if is_tls {
        context.schedule.spend(HANDSHAKE);
    }
    let agreed = connection.filter().and_then(|filter| filter.protocol());
    let version = origins.protocol(origin).version(agreed, is_tls)?;
    connection.is_established = true;
    let mut streams = None;
    let windows = windows(&context.options, transfer.easy.max_recv_speed);
    if let Some((mut multiplexed, stream)) = Multiplexed::new(version, transfer.id, windows, now) {
        streams = Some(multiplexed.capacity());
        connection.exchanges = Exchanges::Multiplexed(Box::new(multiplexed));
        transfer.link = Some(Link::new(key, stream));
        // TLS stops reading when its handshake is over: bytes that had come by then are no new event.
        context.schedule.push_connection(key);
    }
    context.pool.answered(origin, key, now);
    context.pool.opened(origin, key, version, streams);
    context.has_free_slots = true;
    Ok(())
}

/// The windows of a connection. With a rate limit, less may be in flight.
fn windows(options: &Options, of_transfer: Option<u64>) -> Windows {
    let windows = options.windows;
    let limits = of_transfer.into_iter().chain(options.max_recv_speed);
    let stream = match limits.min() {
        Some(speed) => windows
            .stream
            .min(speed.clamp(SMALL_WINDOW, 1 << 31) as u32),
        None => windows.stream,
    };
    Windows { stream, ..windows }
}

/// Keeps a connection until there is something to fetch over it. Like an idle connection, it is not watched.
pub(super) fn stand_by<S>(transfer: &Transfer<S>, context: &mut Context) -> Step {
    if !transfer.easy.is_connect_only {
        if let Some(key) = transfer.origin {
            context.pool.stop_standing_by(key);
        }
        return Step::Go(State::Send);
    }
    if let Some(Link { key, .. }) = transfer.link
        && context.network.connections[key].stand_by()
    {
        context.network.want(key, transfer.id, Interest::Remove);
    }
    Step::Wait
}
