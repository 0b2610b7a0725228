//! Asking the router for a port: PCP (RFC 6887), NAT-PMP (RFC 6886) and UPnP-IGD.
//!
//! PCP and NAT-PMP go to the default router, UPnP to whoever answers a multicast; the search for one runs beside the
//! question to the other, and its answer is used when the other fails. A mapping is asked for a short time and renewed
//! at half of it, so that one that is never given back, after a crash, soon ends by itself. When it is lost it is asked
//! for again. After a change of the network it is looked after at once.
//!
//! What a router says is not believed blindly: an outside address that nobody outside can send to, or port 0, is no
//! mapping. Another private address, or a carrier's (RFC 6598), means one more NAT behind the router.
//!
//! Left out: IPv6 pinholes. A firewall in front of an IPv6 address lets answers in like a NAT does, and is punched
//! like one.

use super::routes::default_routes;
use crab_nat::{InternetProtocol, PortMappingOptions, PortMappingType, TimeoutConfig, natpmp};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{GetExternalIpError, PortMappingProtocol, RequestError, SearchOptions};
use protocol::local::is_local;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// What is asked for. The RFCs recommend two hours; a forgotten mapping should not live as long.
const LIFETIME: Duration = Duration::from_secs(20 * 60);

/// Three requests: after 0, 250 and 750 ms, given up after 1.75 s. A router answers within a few milliseconds.
const PATIENCE: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 2, max_retry_timeout: None };

/// A UPnP router may wait a second before it answers a search (MX), and then describes itself over HTTP.
const UPNP_PATIENCE: Duration = Duration::from_secs(3);

/// How long an answer in PCP or NAT-PMP is preferred to one by UPnP that is there already.
const PMP_HEAD_START: Duration = Duration::from_millis(100);

/// After a failure it is tried again this much later: somebody may have switched it on.
const RETRY: Duration = Duration::from_secs(300);

/// For a renewal, in which routers are asked two things.
const RENEWAL_PATIENCE: Duration = Duration::from_secs(10);

/// How long giving back may hold up whoever waits for it.
const RELEASE_PATIENCE: Duration = Duration::from_secs(1);

/// Of a failure's text.
const REASON_CHARS_MAX: usize = 100;

/// What a router calls the mapping in its list.
const DESCRIPTION: &str = "roundtable";

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The router is being asked.
    Asking,
    /// It forwards a port.
    Mapped {
        /// The address others can send to.
        external: SocketAddr,
        /// The protocol that brought it about.
        by: Protocol,
    },
    /// It does not.
    Unavailable(Unavailable),
}

impl State {
    /// The address others can send to.
    pub fn external(&self) -> Option<SocketAddr> {
        match self {
            Self::Mapped { external, .. } => Some(*external),
            Self::Asking | Self::Unavailable(_) => None,
        }
    }
}

/// What a router was asked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// RFC 6887.
    Pcp,
    /// RFC 6886.
    NatPmp,
    /// UPnP's Internet gateway device.
    Upnp,
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// Why no port is forwarded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// Nobody answers.
    #[error("the router answers neither PCP, NAT-PMP nor UPnP")]
    NoAnswer,
    /// It says no.
    #[error("the router refuses: {0}")]
    Refused(String),
    /// The port is forwarded from an address that is itself behind a NAT.
    #[error("the router is itself behind a NAT: its outside address is {0}")]
    BehindAnother(IpAddr),
    /// It has no outside address: not connected, or its provider gave it one of a carrier's own network.
    #[error("the router says that it has no public address")]
    NoPublicAddress,
    /// It claims what cannot be.
    #[error("the router names an outside address that nobody can send to: {0}")]
    Nonsense(SocketAddr),
}

/// A wish for a port, until it is dropped or closed.
#[derive(Debug)]
pub struct PortMapping {
    /// How it stands.
    pub state: watch::Receiver<State>,
    stop: Option<oneshot::Sender<()>>,
    look: Arc<Notify>,
    task: JoinHandle<()>,
}

impl PortMapping {
    /// Asks for a UDP port that leads to `port` on this machine. Call within a tokio runtime.
    pub fn start(port: NonZeroU16) -> Self {
        let (told, state) = watch::channel(State::Asking);
        let (stop, stopped) = oneshot::channel();
        let look = Arc::new(Notify::new());
        let task = tokio::spawn(keep(port, told, look.clone(), stopped));
        Self { state, stop: Some(stop), look, task }
    }

    /// The network has changed: the router may be another one, or have forgotten us.
    pub fn network_changed(&self) {
        self.look.notify_one();
    }

    /// Resolves when the state has changed since this was asked the last time.
    pub async fn changed(&mut self) -> State {
        if self.state.changed().await.is_err() {
            // The task has ended: nothing will change any more.
            std::future::pending::<()>().await;
        }
        self.state.borrow_and_update().clone()
    }

    /// Gives the port back, and waits for it a moment. Dropping gives it back too, if the runtime lives on.
    pub async fn close(mut self) {
        drop(self.stop.take());
        let _ = timeout(RELEASE_PATIENCE, &mut self.task).await;
    }
}

/// A mapping that is there.
struct Held {
    router: SocketAddr,
    /// Our address in front of it, which the mapping leads to.
    local: IpAddr,
    external: SocketAddr,
    by: By,
}

enum By {
    Pmp(crab_nat::PortMapping),
    Upnp(Gateway<Tokio>),
}

async fn keep(
    port: NonZeroU16,
    told: watch::Sender<State>,
    look: Arc<Notify>,
    mut stopped: oneshot::Receiver<()>,
) {
    loop {
        let asked = tokio::select! {
            asked = ask(port) => asked,
            _ = &mut stopped => return,
        };
        let pause = match asked {
            Ok(mut held) => {
                told.send_replace(held.state());
                tokio::select! {
                    reason = held.renew_until_lost(port, &look) => {
                        told.send_replace(State::Unavailable(reason));
                        // Where it is not lost for the router, nobody needs it any more.
                        let _ = timeout(RELEASE_PATIENCE, held.release()).await;
                        Duration::ZERO
                    }
                    _ = &mut stopped => return held.release().await,
                }
            }
            Err(reason) => {
                tracing::debug!(%reason, "no port mapping");
                told.send_replace(State::Unavailable(reason));
                RETRY
            }
        };
        tokio::select! {
            () = sleep(pause) => {}
            () = look.notified() => {}
            _ = &mut stopped => return,
        }
    }
}

async fn ask(port: NonZeroU16) -> Result<Held, Unavailable> {
    let mut search = std::pin::pin!(timeout(UPNP_PATIENCE, search_gateway(SearchOptions::default())));
    let mut over_pmp = std::pin::pin!(ask_pmp(port));
    // Routers that speak none of the one kind are mostly silent then, so nobody waits for the end of it.
    let (pmp, gateway) = tokio::select! {
        pmp = &mut over_pmp => (Some(pmp), None),
        found = &mut search => (timeout(PMP_HEAD_START, &mut over_pmp).await.ok(), Some(found)),
    };
    let held = match (pmp, gateway) {
        (Some(Ok(held)), _) => held,
        (Some(Err(reason)), gateway) => {
            let gateway = match gateway {
                Some(found) => found,
                None => search.await,
            };
            let Ok(Ok(gateway)) = gateway else { return Err(reason) };
            ask_upnp_in_time(gateway, port).await?
        }
        (None, Some(Ok(Ok(gateway)))) => match ask_upnp_in_time(gateway, port).await {
            Ok(held) => held,
            Err(_) => over_pmp.await?,
        },
        (None, _) => over_pmp.await?,
    };
    match believe(held.external) {
        Ok(()) => Ok(held),
        Err(reason) => {
            let _ = timeout(RELEASE_PATIENCE, held.release()).await;
            Err(reason)
        }
    }
}

async fn ask_pmp(port: NonZeroU16) -> Result<Held, Unavailable> {
    let router = router().ok_or(Unavailable::NoAnswer)?;
    let address = SocketAddr::from((router, crab_nat::GATEWAY_PORT));
    let client = towards(address).ok_or(Unavailable::NoAnswer)?;
    let options = PortMappingOptions {
        external_port: Some(port),
        lifetime_seconds: Some(LIFETIME.as_secs() as u32),
        timeout_config: Some(PATIENCE),
    };
    let udp = InternetProtocol::Udp;
    let mapping = match crab_nat::PortMapping::new(router.into(), client.ip(), udp, port, options).await {
        Ok(mapping) => mapping,
        // A router that knows NAT-PMP alone should answer PCP with "unsupported version", but may be silent.
        Err(_) => {
            natpmp::port_mapping(router.into(), udp, port, options).await.map_err(|error| match error {
                natpmp::Failure::Timeout | natpmp::Failure::Socket(_) => Unavailable::NoAnswer,
                other => Unavailable::Refused(short(&other)),
            })?
        }
    };
    let external = match mapping.mapping_type() {
        PortMappingType::Pcp { external_ip, .. } => external_ip.to_canonical(),
        PortMappingType::NatPmp => match natpmp::external_address(router.into(), Some(PATIENCE)).await {
            Ok(external) => external.into(),
            Err(error) => {
                let _ = mapping.try_drop().await;
                return Err(Unavailable::Refused(short(&error)));
            }
        },
    };
    let external = SocketAddr::new(external, mapping.external_port().get());
    Ok(Held { router: address, local: client.ip(), external, by: By::Pmp(mapping) })
}

/// A router, or whatever answered the search, may take the connection and say nothing.
async fn ask_upnp_in_time(gateway: Gateway<Tokio>, port: NonZeroU16) -> Result<Held, Unavailable> {
    timeout(UPNP_PATIENCE, ask_upnp(gateway, port)).await.unwrap_or(Err(Unavailable::NoAnswer))
}

async fn ask_upnp(gateway: Gateway<Tokio>, port: NonZeroU16) -> Result<Held, Unavailable> {
    let refused = |error: &dyn std::fmt::Display| Unavailable::Refused(short(error));
    let local = towards(gateway.addr).ok_or(Unavailable::NoAnswer)?;
    let local = SocketAddr::new(local.ip(), port.get());
    let ip = gateway.get_external_ip().await.map_err(|error| match error {
        // It says nothing where it has nothing to say.
        GetExternalIpError::RequestError(RequestError::InvalidResponse(_)) => Unavailable::NoPublicAddress,
        other => refused(&other),
    })?;
    // Such a router would refuse the mapping, and not say why.
    believe(SocketAddr::new(ip, port.get()))?;
    let (udp, lease) = (PortMappingProtocol::UDP, LIFETIME.as_secs() as u32);
    // The same port outside first: other programs may have been told it.
    let external = match gateway.add_port(udp, port.get(), local, lease, DESCRIPTION).await {
        Ok(()) => port.get(),
        Err(_) => {
            gateway.add_any_port(udp, local, lease, DESCRIPTION).await.map_err(|error| refused(&error))?
        }
    };
    let external = SocketAddr::new(ip, external);
    Ok(Held { router: gateway.addr, local: local.ip(), external, by: By::Upnp(gateway) })
}

impl Held {
    fn state(&self) -> State {
        let by = match &self.by {
            By::Pmp(mapping) => match mapping.mapping_type() {
                PortMappingType::Pcp { .. } => Protocol::Pcp,
                PortMappingType::NatPmp => Protocol::NatPmp,
            },
            By::Upnp(_) => Protocol::Upnp,
        };
        State::Mapped { external: self.external, by }
    }

    async fn renew_until_lost(&mut self, port: NonZeroU16, look: &Notify) -> Unavailable {
        loop {
            let granted = match &self.by {
                // A router that grants a second must not be asked all the time.
                By::Pmp(mapping) => Duration::from_secs(mapping.lifetime().max(60).into()),
                By::Upnp(_) => LIFETIME,
            };
            tokio::select! {
                () = sleep(granted.min(LIFETIME) / 2) => {}
                () = look.notified() => {}
            }
            match timeout(RENEWAL_PATIENCE, self.renew(port)).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return Unavailable::Refused(reason),
                Err(_) => return Unavailable::NoAnswer,
            }
        }
    }

    async fn renew(&mut self, port: NonZeroU16) -> Result<(), String> {
        if towards(self.router).map(|local| local.ip()) != Some(self.local) {
            return Err("we have another address now".into());
        }
        match &mut self.by {
            By::Pmp(mapping) => {
                mapping.renew().await.map_err(|error| short(&error))?;
                let external = match mapping.mapping_type() {
                    PortMappingType::Pcp { external_ip, .. } => external_ip.to_canonical(),
                    // The provider may have given the router another address.
                    PortMappingType::NatPmp => match self.router.ip() {
                        IpAddr::V4(router) => natpmp::external_address(router.into(), Some(PATIENCE))
                            .await
                            .map_err(|error| short(&error))?
                            .into(),
                        IpAddr::V6(_) => self.external.ip(),
                    },
                };
                let external = SocketAddr::new(external, mapping.external_port().get());
                if external == self.external { Ok(()) } else { Err(format!("it is {external} now")) }
            }
            By::Upnp(gateway) => {
                let (lease, local) = (LIFETIME.as_secs() as u32, SocketAddr::new(self.local, port.get()));
                let udp = PortMappingProtocol::UDP;
                let added = gateway.add_port(udp, self.external.port(), local, lease, DESCRIPTION).await;
                added.map_err(|error| short(&error))?;
                let ip = gateway.get_external_ip().await.map_err(|error| short(&error))?;
                if ip == self.external.ip() { Ok(()) } else { Err(format!("its address is {ip} now")) }
            }
        }
    }

    async fn release(self) {
        match self.by {
            By::Pmp(mapping) => drop(mapping.try_drop().await),
            By::Upnp(gateway) => {
                let _ = gateway.remove_port(PortMappingProtocol::UDP, self.external.port()).await;
            }
        }
    }
}

/// A failure in one line: what a router says of it may be anything.
fn short(error: &dyn std::fmt::Display) -> String {
    // Characters that reorder a line are no better than those that move the cursor.
    let visible = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    error.to_string().chars().filter(visible).take(REASON_CHARS_MAX).collect()
}

/// Whether somebody on the internet can send there.
fn believe(external: SocketAddr) -> Result<(), Unavailable> {
    let ip = external.ip();
    let nobodys = match ip {
        IpAddr::V4(v4) => v4.is_broadcast() || v4.octets()[0] == 0,
        IpAddr::V6(_) => false,
    };
    if ip.is_unspecified() {
        return Err(Unavailable::NoPublicAddress);
    }
    if external.port() == 0 || nobodys || ip.is_loopback() || ip.is_multicast() {
        return Err(Unavailable::Nonsense(external));
    }
    if is_local(ip) || is_shared(ip) { Err(Unavailable::BehindAnother(ip)) } else { Ok(()) }
}

/// The IPv4 router that leads out.
fn router() -> Option<Ipv4Addr> {
    default_routes().into_iter().find_map(|route| match route.router {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(_) => None,
    })
}

/// The local address that leads to another one. Nothing is sent.
fn towards(address: SocketAddr) -> Option<SocketAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect(address).ok()?;
    socket.local_addr().ok()
}

/// Carriers' own addresses (RFC 6598).
fn is_shared(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V4(v4) if v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64)
}

#[cfg(all(test, target_os = "linux"))]
#[path = "port_mapping_tests.rs"]
mod tests;
