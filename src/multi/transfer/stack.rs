//! The layers of a connection above its connected socket.

use std::net::IpAddr;
use std::sync::Arc;

use crate::conn::{Filter, Socket, Socks, Tls, Tunnel};
use crate::error::Fault;
use crate::http::{Proxy, ProxyScheme};
use crate::multi::context::Context;
use crate::multi::origins::{OriginKey, OriginRecord};
use crate::multi::route::Route;
use crate::socks::Target;

/// Builds the layers of a connection to an origin: the socket; TLS if the proxy is https, and the tunnel through the
/// proxy; TLS on top if the URL is https. `target` is the origin's address, if a proxy must be told one.
pub(super) fn stack(
    context: &mut Context,
    key: OriginKey,
    target: Option<IpAddr>,
    socket: Socket,
) -> Result<Box<dyn Filter>, Fault> {
    let mut stack: Box<dyn Filter> = Box::new(socket);
    let origins = &context.pool.origins;
    let record = &origins[key];
    let (network, options) = (&mut context.network, &context.options.tls);
    if let Some(proxy) = record.route().proxy()
        && proxy.scheme == ProxyScheme::Https
    {
        let tls = Tls::to_proxy(network.tls(options)?, &proxy.host, stack);
        stack = Box::new(tls.map_err(Fault::of_proxy)?);
    }
    if let Route::Tunnel(proxy) = record.route() {
        stack = tunnel(proxy, record, target, stack)?;
    }
    if record.origin().is_tls() {
        let protocols = origins.protocol(key).offer();
        let host = &record.origin().host;
        let tls = Tls::new(network.tls(options)?, host, protocols, stack);
        stack = Box::new(tls?);
    }
    Ok(stack)
}

fn tunnel(
    proxy: &Arc<Proxy>,
    record: &OriginRecord,
    target: Option<IpAddr>,
    below: Box<dyn Filter>,
) -> Result<Box<dyn Filter>, Fault> {
    let (through, destination) = (Arc::clone(proxy), record.destination());
    if !proxy.scheme.is_socks() {
        let tunnel = Tunnel::new(
            through,
            &destination.host_and_port(),
            record.tunnel_login.clone(),
            below,
        )?;
        return Ok(Box::new(tunnel));
    }
    let target = match target.or_else(|| destination.ip()) {
        Some(address) => Target::Address(address),
        None => Target::Name(&destination.host),
    };
    let socks = Socks::new(through, target, destination.port, below)?;
    Ok(Box::new(socks))
}
