//! At which address others reach this machine.
//!
//! A relayed address is what clients tell each other, so it has to be the one that the outside sees: the one given
//! with `--external`, else the one listened on, else the only public one of this machine. Guessing further would
//! make a relay that looks well and connects nobody.

use super::server::External;
use protocol::local::is_local;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Why the address is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AddressError {
    /// This machine has no public address: it is behind a NAT, or in a local network.
    #[error("this machine has no public address of its own; say with --external where others reach it")]
    NonePublic,
    /// It has several.
    #[error("this machine has several public addresses ({}); choose one with --external", list(.0))]
    SeveralPublic(Vec<IpAddr>),
    /// Two addresses of one family were given.
    #[error("--external names {0} and {1}; one address of each family is enough")]
    TwoOfAFamily(IpAddr, IpAddr),
    /// An address that no one can be reached at.
    #[error("--external names {0}, which is no address of a machine")]
    NoAddress(IpAddr),
}

/// The addresses to tell, from those given, the one listened on, and those of the interfaces.
///
/// # Errors
/// If there is none, or a choice.
pub fn external(
    given: &[IpAddr],
    listen: SocketAddr,
    interfaces: &[IpAddr],
) -> Result<External, AddressError> {
    if !given.is_empty() {
        return given.iter().try_fold(External::default(), |known, ip| add(known, *ip));
    }
    if !listen.ip().is_unspecified() {
        return add(External::default(), listen.ip());
    }
    let public = |v4: bool| {
        let all = interfaces.iter().copied().filter(move |ip| ip.is_ipv4() == v4 && is_public(*ip));
        all.collect::<Vec<_>>()
    };
    let (v4, v6) = (public(true), if listen.is_ipv6() { public(false) } else { Vec::new() });
    // Several IPv6 addresses are usual, of which most change daily; one that stays has to be named.
    let known = [(&v4, true), (&v6, v4.is_empty())].into_iter().try_fold(
        External::default(),
        |known, (found, needed)| match found.as_slice() {
            [one] => add(known, *one),
            [] => Ok(known),
            several if needed => Err(AddressError::SeveralPublic(several.to_vec())),
            _ => Ok(known),
        },
    )?;
    if known == External::default() { Err(AddressError::NonePublic) } else { Ok(known) }
}

/// The addresses of this machine's interfaces.
pub fn interfaces() -> Vec<IpAddr> {
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.iter().map(if_addrs::Interface::ip).collect()
}

fn add(known: External, ip: IpAddr) -> Result<External, AddressError> {
    match ip.to_canonical() {
        ip if ip.is_unspecified() || ip.is_multicast() => Err(AddressError::NoAddress(ip)),
        IpAddr::V4(new) => match known.v4 {
            Some(old) if old != new => Err(AddressError::TwoOfAFamily(old.into(), new.into())),
            _ => Ok(External { v4: Some(new), ..known }),
        },
        IpAddr::V6(new) => match known.v6 {
            Some(old) if old != new => Err(AddressError::TwoOfAFamily(old.into(), new.into())),
            _ => Ok(External { v6: Some(new), ..known }),
        },
    }
}

/// Whether the Internet leads there, as far as the address tells.
fn is_public(ip: IpAddr) -> bool {
    let special = match ip {
        IpAddr::V4(v4) => is_shared(v4) || v4.is_documentation() || v4.is_broadcast(),
        // Link-local, unique local and the like are all outside of 2000::/3.
        IpAddr::V6(v6) => v6.segments()[0] & 0xe000 != 0x2000 || is_documentation(v6),
    };
    !(special || is_local(ip) || ip.is_unspecified() || ip.is_multicast())
}

/// RFC 6598: between a customer and the provider's NAT.
fn is_shared(ip: Ipv4Addr) -> bool {
    ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64
}

fn is_documentation(ip: Ipv6Addr) -> bool {
    ip.segments()[..2] == [0x2001, 0xdb8]
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::{AddressError, External, external};
    use std::net::IpAddr;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn found(given: &[&str], listen: &str, interfaces: &[&str]) -> Result<External, AddressError> {
        external(&addresses(given), listen.parse().unwrap(), &addresses(interfaces))
    }

    #[test]
    fn the_only_public_address_is_the_one_to_tell() {
        let interfaces = ["127.0.0.1", "10.0.0.2", "100.64.1.1", "5.9.0.1", "::1", "fe80::1", "2a01:4f8::1"];
        let v4 = Some("5.9.0.1".parse().unwrap());
        let v6 = Some("2a01:4f8::1".parse().unwrap());
        assert_eq!(found(&[], "0.0.0.0:3478", &interfaces), Ok(External { v4, v6: None }));
        assert_eq!(found(&[], "[::]:3478", &interfaces), Ok(External { v4, v6 }));
        assert_eq!(found(&[], "[::]:3478", &["2a01:4f8::1"]), Ok(External { v4: None, v6 }));
        // Temporary IPv6 addresses do not stand in the way of IPv4.
        assert_eq!(found(&[], "[::]:1", &["5.9.0.1", "2a01::1", "2a01::2"]), Ok(External { v4, v6: None }));
    }

    #[test]
    fn what_is_given_or_listened_on_is_not_guessed() {
        let v4 = Some("10.0.0.2".parse().unwrap());
        assert_eq!(found(&[], "10.0.0.2:1", &["5.9.0.1"]), Ok(External { v4, v6: None }));
        assert_eq!(found(&["10.0.0.2"], "0.0.0.0:1", &["5.9.0.1"]), Ok(External { v4, v6: None }));
    }

    #[test]
    fn where_there_is_a_choice_or_nothing_to_choose_it_is_said() {
        assert_eq!(found(&[], "0.0.0.0:1", &["127.0.0.1", "192.168.1.2"]), Err(AddressError::NonePublic));
        assert_eq!(found(&[], "0.0.0.0:1", &["2a01:4f8::1"]), Err(AddressError::NonePublic));
        let both = ["5.9.0.1", "5.9.0.2"];
        assert_eq!(found(&[], "0.0.0.0:1", &both), Err(AddressError::SeveralPublic(addresses(&both))));
        assert!(matches!(found(&both, "0.0.0.0:1", &[]), Err(AddressError::TwoOfAFamily(..))));
        assert!(matches!(found(&["0.0.0.0"], "0.0.0.0:1", &[]), Err(AddressError::NoAddress(_))));
    }
}
