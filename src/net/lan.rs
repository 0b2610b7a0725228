//! Finding hosts on the same local network, by multicast DNS (RFC 6762, RFC 6763) under `_roundtable._udp`.
//!
//! A host announces its name, its port, the beginning of its id and whether a password opens its door: nothing that lets
//! anybody in. What others announce is read with suspicion: names are made safe to show, addresses
//! must be such that the host can be in our network, and no more than [`FOUND_MAX`] are kept.

use mdns_sd::{ResolvedService, ServiceDaemon, ServiceEvent, ServiceInfo};
use protocol::id::PeerId;
use protocol::local::is_local;
use protocol::name::DisplayName;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What a service is called on the network.
const SERVICE: &str = "_roundtable._udp.local.";

/// Hosts that are listed. A network with more is flooded by somebody.
const FOUND_MAX: usize = 32;

/// Addresses kept of one host.
const ADDRESSES_MAX: usize = 4;

/// Characters of an id that are announced: enough to tell hosts of the same name apart.
const ID_CHARS: usize = 8;

/// A host on this network, as it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it calls itself; possibly empty, and two may have the same.
    pub name: DisplayName,
    /// The first characters of its id.
    pub id: String,
    /// Whether a password lets people in; else it takes a ticket.
    pub takes_password: bool,
    /// Where it listens, IPv4 first. Never empty.
    pub addresses: Vec<SocketAddr>,
}

/// An announcement. It ends when this is dropped.
pub struct Announcement {
    daemon: ServiceDaemon,
    name: String,
}

/// How long the last words of an announcement may hold up its end.
const GOODBYE_PATIENCE: Duration = Duration::from_millis(300);

/// Announces a host that listens there, on all interfaces when the address is unspecified.
pub fn advertise(
    name: &DisplayName,
    id: &PeerId,
    takes_password: bool,
    listen: SocketAddr,
) -> io::Result<Announcement> {
    let id = id.short();
    let daemon = ServiceDaemon::new().map_err(io::Error::other)?;
    // The id makes instance and host unique, so that two of one name do not have to contend for it.
    let password = if takes_password { "1" } else { "0" };
    let properties = [("name", name.as_str()), ("id", id.as_str()), ("password", password)];
    let all = listen.ip().is_unspecified();
    let address = if all { String::new() } else { listen.ip().to_canonical().to_string() };
    let host = format!("roundtable-{id}.local.");
    let service = ServiceInfo::new(SERVICE, &id, &host, &*address, listen.port(), &properties[..])
        .map_err(io::Error::other)?;
    let service = if all { service.enable_addr_auto() } else { service };
    let name = service.get_fullname().to_owned();
    daemon.register(service).map_err(io::Error::other)?;
    Ok(Announcement { daemon, name })
}

impl Drop for Announcement {
    fn drop(&mut self) {
        // Others are told at once; those who miss it forget us within two minutes.
        if let Ok(done) = self.daemon.unregister(&self.name) {
            let _ = done.recv_timeout(GOODBYE_PATIENCE);
        }
        let _ = self.daemon.shutdown();
    }
}

impl std::fmt::Debug for Announcement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Announcement").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The hosts that answer within `patience`, by name.
pub async fn browse(patience: Duration) -> io::Result<Vec<Found>> {
    let daemon = ServiceDaemon::new().map_err(io::Error::other)?;
    let events = daemon.browse(SERVICE).map_err(io::Error::other)?;
    let deadline = Instant::now() + patience;
    let mut found: BTreeMap<String, Found> = BTreeMap::new();
    while let Ok(Ok(event)) = timeout_at(deadline, events.recv_async()).await {
        match event {
            ServiceEvent::ServiceResolved(service) => {
                let room = found.len() < FOUND_MAX || found.contains_key(&service.fullname);
                if let Some(host) = read(&service).filter(|_| room) {
                    found.insert(service.fullname.clone(), host);
                }
            }
            ServiceEvent::ServiceRemoved(_, name) => drop(found.remove(&name)),
            // The library's enum grows; searching has no other news.
            _ => {}
        }
    }
    let _ = daemon.shutdown();
    let mut found: Vec<Found> = found.into_values().collect();
    found.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    Ok(found)
}

/// `None` for what cannot be a host of ours.
fn read(service: &ResolvedService) -> Option<Found> {
    let text = |key| service.get_property_val_str(key).unwrap_or_default();
    let ips: Vec<IpAddr> = service.get_addresses().iter().map(|scoped| scoped.to_ip_addr()).collect();
    let id: String = text("id").chars().filter(char::is_ascii_alphanumeric).take(ID_CHARS).collect();
    let addresses = reachable(ips, service.get_port());
    let (name, takes_password) = (DisplayName::new(text("name")), text("password") == "1");
    (!addresses.is_empty()).then_some(Found { name, id, takes_password, addresses })
}

/// Those addresses at which a host of the same network can be. Public ones are passed over unless there is nothing
/// else: networks without private addresses are rare, and elsewhere they could name any victim.
fn reachable(ips: Vec<IpAddr>, port: u16) -> Vec<SocketAddr> {
    let link_local = |ip: &IpAddr| matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let possible = |ip: &IpAddr| {
        !ip.is_loopback()
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && !link_local(ip)
            && *ip != IpAddr::from(std::net::Ipv4Addr::BROADCAST)
    };
    let mut ips: Vec<IpAddr> = ips.into_iter().map(|ip| ip.to_canonical()).filter(possible).collect();
    ips.sort_unstable();
    ips.dedup();
    if ips.iter().any(|ip| is_local(*ip)) {
        ips.retain(|ip| is_local(*ip));
    }
    let usable = ips.into_iter().filter(|_| port != 0).take(ADDRESSES_MAX);
    usable.map(|ip| SocketAddr::new(ip, port)).collect()
}

#[cfg(test)]
mod tests {
    use super::reachable;
    #[cfg(target_os = "linux")]
    use super::{DisplayName, Duration, PeerId, SocketAddr, advertise, browse};
    #[cfg(target_os = "linux")]
    use crate::net::testing::{in_own_network, run};
    use std::net::IpAddr;

    fn kept(texts: &[&str], port: u16) -> Vec<String> {
        let ips: Vec<IpAddr> = texts.iter().map(|text| text.parse().unwrap()).collect();
        reachable(ips, port).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_announcement_cannot_name_a_victim() {
        assert_eq!(
            kept(&["127.0.0.1", "::1", "224.0.0.1", "fe80::1", "0.0.0.0", "255.255.255.255"], 4700),
            [""; 0]
        );
        assert_eq!(kept(&["203.0.113.1", "192.168.1.7", "192.168.1.7"], 4700), ["192.168.1.7:4700"]);
        assert_eq!(kept(&["192.168.1.7"], 0), [""; 0]);
        assert_eq!(kept(&["10.0.0.5", "10.0.0.1", "10.0.0.4", "10.0.0.3", "10.0.0.2"], 1).len(), 4);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn hosts_of_one_network_find_each_other_until_the_announcement_ends() {
        const SELF: &str =
            "net::lan::tests::hosts_of_one_network_find_each_other_until_the_announcement_ends";
        if !in_own_network(SELF) {
            return;
        }
        run("ip link add out type veth peer name far; ip link set far up; ip link set out up");
        run("ip addr add 192.168.77.1/24 dev out");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listen = |port| SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, port));
            let ada =
                advertise(&DisplayName::new("Ada\u{202e}\u{1b}[2J"), &PeerId([7; 32]), true, listen(4700))
                    .unwrap();
            let _eve = advertise(&DisplayName::new("Eve"), &PeerId([9; 32]), false, listen(4701)).unwrap();
            let names = |found: &[super::Found]| {
                found.iter().map(|one| format!("{} {}", one.name, one.addresses[0])).collect::<Vec<_>>()
            };
            let found = browse(Duration::from_secs(2)).await.unwrap();
            assert_eq!(names(&found), ["Ada [2J 192.168.77.1:4700", "Eve 192.168.77.1:4701"], "{found:?}");
            assert_eq!(found.iter().map(|one| one.takes_password).collect::<Vec<_>>(), [true, false]);
            drop(ada);
            tokio::time::sleep(Duration::from_millis(1200)).await;
            assert_eq!(names(&browse(Duration::from_secs(2)).await.unwrap()), ["Eve 192.168.77.1:4701"]);
        });
    }
}
