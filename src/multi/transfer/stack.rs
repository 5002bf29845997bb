//! The layers of a connection, above the socket that is connected.

use std::net::IpAddr;
use std::sync::Arc;

use crate::conn::{Config, Filter, Socket, Socks, Tls, TlsOptions, Tunnel};
use crate::error::Fault;
use crate::http::{Origin, Proxy, ProxyScheme};
use crate::multi::origins::OriginKey;
use crate::multi::route::Route;
use crate::multi::{Multi, Sink};
use crate::socks::Target;

impl<S: Sink> Multi<S> {
    /// The layers of a connection to an origin: the socket; TLS where the proxy is https, and the
    /// tunnel through it; TLS above all where the URL is https. `target` is the origin's address
    /// that a proxy is to be told.
    pub(super) fn stack(
        &mut self,
        pool_key: OriginKey,
        target: Option<IpAddr>,
        socket: Socket,
    ) -> Result<Box<dyn Filter>, Fault> {
        let mut stack: Box<dyn Filter> = Box::new(socket);
        let (origin, route) = (
            self.pool.origins[pool_key].origin(),
            self.pool.origins[pool_key].route(),
        );
        let (config, options) = (&mut self.tls_config, &self.options.tls);
        if let Some(proxy) = route
            .proxy()
            .filter(|proxy| proxy.scheme == ProxyScheme::Https)
        {
            let tls = Tls::to_proxy(loaded(config, options)?, &proxy.host, stack);
            stack = Box::new(tls.map_err(Fault::of_proxy)?);
        }
        if let Route::Tunnel(proxy) = route {
            stack = tunnel(
                proxy,
                self.pool.origins[pool_key].destination(),
                target,
                stack,
            )?;
        }
        if origin.is_tls() {
            let protocols = self.pool.origins.protocol(pool_key).offer();
            let tls = Tls::new(loaded(config, options)?, &origin.host, protocols, stack);
            stack = Box::new(tls?);
        }
        Ok(stack)
    }
}

/// The configuration of TLS. It is read when the first https URL comes up: a run without any need not pay for it.
fn loaded<'c>(config: &'c mut Option<Config>, options: &TlsOptions) -> Result<&'c Config, Fault> {
    Ok(match config {
        Some(config) => config,
        none => none.insert(Config::load(options)?),
    })
}

fn tunnel(
    proxy: &Arc<Proxy>,
    place: &Origin,
    target: Option<IpAddr>,
    below: Box<dyn Filter>,
) -> Result<Box<dyn Filter>, Fault> {
    let through = Arc::clone(proxy);
    if !proxy.scheme.is_socks() {
        let tunnel = Tunnel::new(through, &place.host_and_port(), below)?;
        return Ok(Box::new(tunnel));
    }
    let target = match target.or_else(|| place.ip()) {
        Some(address) => Target::Address(address),
        None => Target::Name(&place.host),
    };
    Ok(Box::new(Socks::new(through, target, place.port, below)?))
}
