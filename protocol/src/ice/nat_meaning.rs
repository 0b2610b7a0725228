//! What a NAT's behaviour means for the one behind it.

use super::Mapping;

impl Mapping {
    /// One sentence for a person.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Unknown => {
                "how your router chooses ports is not known; two servers at different addresses have to answer"
            }
            Self::None => {
                "no router changes your address: others reach you directly unless a firewall forbids it"
            }
            Self::EndpointIndependent => {
                "your router keeps one port for all destinations: direct calls work with almost everybody"
            }
            Self::Sequential { .. } => {
                "your router takes another port for each destination, one after the other: direct calls often work, \
                 by foretelling the port"
            }
            Self::Random => {
                "your router takes a random port for each destination: direct calls work with open networks and often \
                 with home routers; with others like yours the call is relayed"
            }
        }
    }
}
