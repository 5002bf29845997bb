//! The connections of an engine, their sockets, and what opening one needs.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use super::connection::Stage;
use super::connections::{ConnectionKey, Connections};
use super::info::{Messages, TransferId};
use super::interest::Sockets;
use crate::conn::{
    CertificateFunction, Config, Endpoint, Interest, Scratch, Socket, TlsOptions, Wire,
};
use crate::error::Fault;

type DialFunction = Box<dyn FnMut(SocketAddr) -> io::Result<Rc<dyn Wire>>>;

/// Connections and sockets. A socket is announced through [`Sockets`] for as long as its connection is open.
#[derive(Default)]
pub(super) struct Network {
    pub(super) connections: Connections,
    pub(super) sockets: Sockets,
    /// Receive buffers, shared by all connections.
    pub(super) scratch: Scratch,
    /// The interface or the address that sockets are bound to.
    pub(super) interface: Option<String>,
    /// The Unix socket that all connections lead to.
    pub(super) unix_socket: Option<Arc<Path>>,
    /// The TLS configuration, made for the first https URL.
    tls: Option<Config>,
    load_certificates: Option<CertificateFunction>,
    dial: Option<DialFunction>,
}

impl Network {
    /// Sets the function that makes connections instead of the kernel.
    pub(super) fn set_dial_function(&mut self, function: DialFunction) {
        self.dial = Some(function);
    }

    /// Sets the function that loads certificates.
    pub(super) fn set_certificate_function(&mut self, function: CertificateFunction) {
        self.load_certificates = Some(function);
    }

    /// The TLS configuration. It is made for the first https URL, so a run without one does not pay for it.
    pub(super) fn tls(&mut self, options: &TlsOptions) -> Result<&Config, Fault> {
        Ok(match &mut self.tls {
            Some(config) => config,
            none => none.insert(Config::load(options, self.load_certificates.as_mut())?),
        })
    }

    /// Forgets the TLS configuration, because its options changed.
    pub(super) fn forget_tls(&mut self) {
        self.tls = None;
    }

    /// Starts to connect to an endpoint, for one attempt of a connection's race.
    pub(super) fn dial(
        &mut self,
        endpoint: &Endpoint,
        key: ConnectionKey,
        id: TransferId,
    ) -> io::Result<Socket> {
        let socket = match (endpoint, &mut self.dial) {
            (Endpoint::Inet(address), Some(dial)) => dial(*address).map(Socket::Wire),
            (Endpoint::Inet(address), None) => Socket::dial(*address, self.interface.as_deref()),
            (Endpoint::Unix(path), _) => Socket::dial_unix(path),
        }?;
        self.sockets.open(socket.clone(), key, id);
        Ok(socket)
    }

    /// Sets the interest in the sockets of a connection. Does nothing if the connection closed.
    pub(super) fn want(&mut self, key: ConnectionKey, id: TransferId, interest: Interest) {
        let Some(connection) = self.connections.get(key) else {
            return;
        };
        match &connection.stage {
            Stage::Connected { socket, .. } => self.sockets.want(*socket, id, interest),
            Stage::Racing { .. } => {
                for socket in connection.sockets() {
                    self.sockets.want(socket, id, interest);
                }
            }
        }
    }

    /// Announces the removal of every socket, and closes every connection, whatever their state.
    pub(super) fn clear(&mut self, messages: &mut Messages) {
        while let Some(mut connection) = self.connections.pop() {
            if let Some(filter) = connection.filter() {
                filter.close();
            }
        }
        // A function that aborted the multi may abort again here; that changes nothing.
        self.sockets.clear(messages);
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("connections", &self.connections)
            .field("sockets", &self.sockets)
            .finish_non_exhaustive()
    }
}
