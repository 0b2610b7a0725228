//! A TUN interface: what the kernel sends to it is read from a file, one packet at a time, and the other way round.
#![allow(unsafe_code)]

use rustix::ioctl::{Setter, ioctl, opcode};
use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
};

/// `TUNSETIFF` of `linux/if_tun.h`.
const TUNSETIFF: rustix::ioctl::Opcode = opcode::write::<i32>(b'T', 202);
/// `IFF_TUN | IFF_NO_PI`: packets of IP with nothing in front of them.
const FLAGS: u16 = 0x0001 | 0x1000;

/// `struct ifreq` of `linux/if.h`, 40 bytes on a machine of 64 bits.
#[repr(C)]
struct Request {
    name: [u8; 16],
    flags: u16,
    rest: [u8; 22],
}

/// Makes one, in the namespace of this thread. It goes when the file is closed. Reading never waits.
pub(super) fn open(name: &str) -> io::Result<OwnedFd> {
    let file = File::options().read(true).write(true).open("/dev/net/tun")?;
    let mut request = Request { name: [0; 16], flags: FLAGS, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, which `Request` is as large as and laid out like.
    unsafe { ioctl(file.as_fd(), Setter::<TUNSETIFF, Request>::new(request)) }?;
    rustix::io::ioctl_fionbio(&file, true)?;
    Ok(file.into())
}
