//! The routers that lead out of this machine's networks.
//!
//! Read from the kernel's own tables, which only Linux offers as text. Elsewhere nothing is known, and whoever needs a
//! router has to guess.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A default route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DefaultRoute {
    /// The cheapest is used.
    pub metric: u32,
    /// Of which interface.
    pub interface: String,
    /// The router. Often link-local in IPv6, and then of use on this interface only.
    pub router: IpAddr,
}

/// Routers kept of each family. A machine has one or two.
const ROUTERS_MAX: usize = 8;

/// The default routes of both families, IPv4 first, the cheapest first.
pub fn default_routes() -> Vec<DefaultRoute> {
    // The calling thread's: that of the process is another once a thread has moved to another network namespace.
    let read =
        |table: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
    let mut routes = read_v4(&read("route"));
    routes.extend(read_v6(&read("ipv6_route")));
    routes
}

/// Flags of a route (route(8)): it is up and leads to a router.
const UP_AND_GATEWAY: u32 = 0x3;

fn read_v4(table: &str) -> Vec<DefaultRoute> {
    let read = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, destination, router, flags, _, _, metric, mask, ..] = fields[..] else { return None };
        let is_default =
            hex(destination)? == 0 && hex(mask)? == 0 && hex(flags)? & UP_AND_GATEWAY == UP_AND_GATEWAY;
        // The kernel prints the four bytes as they lie in memory.
        let router = Ipv4Addr::from(hex(router)?.to_ne_bytes());
        is_default.then_some(DefaultRoute {
            metric: metric.parse().ok()?,
            interface: interface.into(),
            router: router.into(),
        })
    };
    cheapest(table.lines().filter_map(read))
}

fn read_v6(table: &str) -> Vec<DefaultRoute> {
    let read = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [_, length, _, _, router, metric, _, _, flags, interface] = fields[..] else { return None };
        let is_default = hex(length)? == 0 && hex(flags)? & UP_AND_GATEWAY == UP_AND_GATEWAY;
        let router = Ipv6Addr::from(u128::from_str_radix(router, 16).ok()?);
        is_default.then_some(DefaultRoute {
            metric: hex(metric)?,
            interface: interface.into(),
            router: router.into(),
        })
    };
    cheapest(table.lines().filter_map(read))
}

fn hex(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 16).ok()
}

fn cheapest(routes: impl Iterator<Item = DefaultRoute>) -> Vec<DefaultRoute> {
    let mut routes: Vec<DefaultRoute> = routes.collect();
    routes.sort();
    routes.dedup();
    routes.truncate(ROUTERS_MAX);
    routes
}

#[cfg(test)]
mod tests {
    use super::{read_v4, read_v6};

    #[test]
    fn the_cheapest_default_route_comes_first_and_others_are_passed_over() {
        let router = u32::from_ne_bytes([192, 0, 2, 1]);
        let table = format!(
            "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
             wlan0\t00000000\t{router:08X}\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
             eth0\t00000000\t{router:08X}\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             tun0\t00000000\t00000000\t0001\t0\t0\t50\t00000000\t0\t0\t0\n\
             eth0\t000200C0\t00000000\t0001\t0\t0\t100\t00FFFFFF\t0\t0\t0\n\
             short line\n"
        );
        let found: Vec<_> =
            read_v4(&table).into_iter().map(|r| (r.metric, r.interface, r.router.to_string())).collect();
        let expected = |metric, interface: &str| (metric, interface.to_owned(), "192.0.2.1".to_owned());
        assert_eq!(found, [expected(100, "eth0"), expected(600, "wlan0")]);
    }

    #[test]
    fn an_ipv6_router_is_read() {
        let zero = "0".repeat(32);
        let router = "fe800000000000000000000000000001";
        let table = format!(
            "{zero} 00 {zero} 00 {router} 00000400 00000003 00000000 00000003     eth0\n\
             {zero} 00 {zero} 00 {zero} ffffffff 00000001 00000000 00200200       lo\n"
        );
        let found = read_v6(&table);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].router.to_string(), found[0].metric), ("fe80::1".into(), 1024));
    }
}
