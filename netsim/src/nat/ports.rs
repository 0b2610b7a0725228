//! Which external port a new mapping gets (RFC 4787 section 4.2.1), and port blocks (RFC 7422).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{NatConfig, PortAssignment, PortRange};

/// Random draws before the search goes on port by port, so that an almost full range still ends.
const DRAWS_MAX: u32 = 32;

/// Chooses ports; which ones are free, the caller says.
#[derive(Debug)]
pub(super) struct Ports {
    assignment: PortAssignment,
    step: u32,
    range: PortRange,
    /// Position in the range of the port given out last.
    last: u32,
}

impl Ports {
    pub(super) fn new(config: &NatConfig, rng: &mut ChaCha8Rng) -> Self {
        let range = config.port_range;
        Ports {
            assignment: config.ports,
            step: u32::from(config.port_step.get()),
            range,
            // A router that has just booted starts anywhere.
            last: rng.random_range(0..range.size()),
        }
    }

    /// A free port of `range` for an inside port, or `None` if all are taken.
    pub(super) fn pick(
        &mut self,
        range: PortRange,
        inside: u16,
        rng: &mut ChaCha8Rng,
        free: impl Fn(u16) -> bool,
    ) -> Option<u16> {
        match self.assignment {
            PortAssignment::Preserving if range.contains(inside) && free(inside) => Some(inside),
            PortAssignment::Preserving | PortAssignment::Random => random(range, rng, free),
            PortAssignment::Sequential => self.next(range, free),
        }
    }

    /// The port that an inside port would keep, whether or not it is free.
    pub(super) fn preferred(&self, inside: u16) -> Option<u16> {
        match self.assignment {
            PortAssignment::Preserving => Some(inside).filter(|port| self.range.contains(*port)),
            PortAssignment::Random | PortAssignment::Sequential => None,
        }
    }

    fn next(&mut self, range: PortRange, free: impl Fn(u16) -> bool) -> Option<u16> {
        let (last, size) = (u64::from(self.last), u64::from(range.size()));
        // In steps first; then one by one, as the steps may miss ports when they divide the size.
        let stepping = (1..=size).map(|n| last + n * u64::from(self.step));
        let single = (1..=size).map(|n| last + n);
        for index in stepping.chain(single) {
            let index = u32::try_from(index % size).expect("a remainder below a u32");
            let port = range.at(index);
            if free(port) {
                self.last = index;
                return Some(port);
            }
        }
        None
    }
}

fn random(range: PortRange, rng: &mut ChaCha8Rng, free: impl Fn(u16) -> bool) -> Option<u16> {
    for _ in 0..DRAWS_MAX {
        let port = range.at(rng.random_range(0..range.size()));
        if free(port) {
            return Some(port);
        }
    }
    let start = rng.random_range(0..range.size());
    (0..range.size()).map(|offset| range.at(start + offset)).find(|port| free(*port))
}

/// One block of ports for each inside host and external address, as long as the host has mappings there.
#[derive(Debug)]
pub(super) struct Blocks {
    range: PortRange,
    /// Ports a block; the whole range is one block when there are no blocks.
    size: u32,
    owners: BTreeMap<(IpAddr, IpAddr), Block>,
    taken: BTreeSet<(IpAddr, u32)>,
}

#[derive(Debug)]
struct Block {
    index: u32,
    mappings: u32,
}

impl Blocks {
    /// `None` where hosts share the whole range.
    pub(super) fn new(config: &NatConfig) -> Option<Self> {
        let range = config.port_range;
        let size = u32::from(config.port_block?.get()).min(range.size());
        Some(Blocks { range, size, owners: BTreeMap::new(), taken: BTreeSet::new() })
    }

    /// The ports of `inside` on `external`: those it has, or those it would get; `None` if no block is left.
    pub(super) fn range(&self, external: IpAddr, inside: IpAddr, rng: &mut ChaCha8Rng) -> Option<PortRange> {
        let index = match self.owners.get(&(external, inside)) {
            Some(block) => block.index,
            None => {
                let count = self.range.size() / self.size;
                let start = rng.random_range(0..count);
                (0..count)
                    .map(|offset| (start + offset) % count)
                    .find(|index| !self.taken.contains(&(external, *index)))?
            }
        };
        let first = self.range.at(index * self.size);
        let last = self.range.at(index * self.size + self.size - 1);
        Some(PortRange::new(first, last).expect("a block lies within a range that is not empty"))
    }

    /// A mapping at `port` was made for `inside`.
    pub(super) fn on_mapped(&mut self, external: IpAddr, inside: IpAddr, port: u16) {
        let index = (u32::from(port) - u32::from(self.range.at(0))) / self.size;
        self.owners.entry((external, inside)).or_insert(Block { index, mappings: 0 }).mappings += 1;
        self.taken.insert((external, index));
    }

    /// One of its mappings is gone; with the last one goes the block.
    pub(super) fn on_unmapped(&mut self, external: IpAddr, inside: IpAddr) {
        let block = self.owners.get_mut(&(external, inside)).expect("a mapping's host has a block");
        block.mappings -= 1;
        if block.mappings == 0 {
            let index = block.index;
            self.owners.remove(&(external, inside));
            self.taken.remove(&(external, index));
        }
    }

    pub(super) fn clear(&mut self) {
        self.owners.clear();
        self.taken.clear();
    }
}
