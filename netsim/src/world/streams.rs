//! TCP connections of the world's hosts: from a program's to a server's port, through everything that lies between.
//!
//! Programs connect and servers are connected to; nobody else listens, so a SYN to any other port is answered with a
//! reset. TLS is left out. A host that moves away keeps its connections, whose segments then have a source address
//! that is not its own and never leave it; they time out, as with a real system.

use super::events::Event;
use super::packet::{Header, Packet, TTL_DEFAULT};
use super::tcp::{Connection, Read, Segment};
use super::topology::HostId;
use super::{Service, World};
use crate::servers::{Output, next_frame};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Where systems begin to look for a free port.
const EPHEMERAL_PORT_MIN: u16 = 49152;

/// One end of a connection: whose, its address, and the other end's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StreamId {
    host: HostId,
    local: SocketAddr,
    remote: SocketAddr,
}

/// One end and who holds it.
#[derive(Debug)]
pub(super) struct Held {
    connection: Connection,
    holder: Holder,
    /// When it is looked at next.
    alarm: Option<Duration>,
}

#[derive(Debug)]
enum Holder {
    Program { waiting: Vec<Waker> },
    Service { unread: Vec<u8> },
    Nobody,
}

impl World {
    /// Begins to open a connection.
    pub(super) fn open_stream(&mut self, host: HostId, remote: SocketAddr) -> io::Result<StreamId> {
        if !self.hosts[host.0 as usize].running {
            return Err(io::ErrorKind::NetworkUnreachable.into());
        }
        let (ip, _, _) =
            self.interface_towards(host, remote.ip()).ok_or(io::ErrorKind::NetworkUnreachable)?;
        let given = &mut self.hosts[host.0 as usize].stream_ports_given;
        // In turn, so that no late segment of an old connection meets a new one.
        let port = EPHEMERAL_PORT_MIN + *given % (u16::MAX - EPHEMERAL_PORT_MIN);
        *given = given.wrapping_add(1);
        let id = StreamId { host, local: SocketAddr::new(ip, port), remote };
        let holder = Holder::Program { waiting: Vec::new() };
        self.streams.insert(id, Held { connection: Connection::ask(), holder, alarm: None });
        self.pump(id);
        Ok(id)
    }

    /// Ready when the handshake is done or has failed.
    pub(super) fn poll_open(&mut self, id: StreamId, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(held) = self.streams.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        match held.connection.broken() {
            Some(kind) => Poll::Ready(Err(kind.into())),
            None if held.connection.is_open() => Poll::Ready(Ok(())),
            None => held.wait(cx),
        }
    }

    pub(super) fn poll_read_stream(
        &mut self,
        id: StreamId,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(held) = self.streams.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        match held.connection.read(into) {
            Read::Bytes(count) => Poll::Ready(Ok(count)),
            Read::End => Poll::Ready(Ok(0)),
            Read::Broken(kind) => Poll::Ready(Err(kind.into())),
            Read::Later => held.wait(cx),
        }
    }

    pub(super) fn poll_write_stream(
        &mut self,
        id: StreamId,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(held) = self.streams.get_mut(&id) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        if let Some(kind) = held.connection.broken() {
            return Poll::Ready(Err(kind.into()));
        }
        let written = held.connection.write(bytes);
        if written == 0 && !bytes.is_empty() {
            return held.wait(cx);
        }
        self.pump(id);
        Poll::Ready(Ok(written))
    }

    /// The program will write nothing more.
    pub(super) fn close_stream(&mut self, id: StreamId) {
        if let Some(held) = self.streams.get_mut(&id) {
            held.connection.close();
            self.pump(id);
        }
    }

    /// The program has let go of it: the system says goodbye for it.
    pub(super) fn release_stream(&mut self, id: StreamId) {
        if let Some(held) = self.streams.get_mut(&id) {
            held.holder = Holder::Nobody;
            if held.connection.is_open() {
                held.connection.close();
            } else {
                held.connection.abort();
            }
            self.pump(id);
        }
    }

    /// A server's connections are gone with it; whoever still sends on one is told.
    pub(super) fn forget_streams(&mut self, host: HostId) {
        self.streams.retain(|id, _| id.host != host);
    }

    /// Ends of connections that are not over, or that somebody holds.
    pub fn stream_ends(&self) -> usize {
        self.streams.len()
    }

    /// A segment has reached a host.
    pub(super) fn on_segment(&mut self, host: HostId, packet: &Packet, segment: &Segment) {
        let id = StreamId { host, local: packet.to, remote: packet.from };
        let first = segment.syn && segment.acknowledged.is_none();
        if first && !self.streams.contains_key(&id) && self.listens(host, packet.to.port()) {
            let holder = Holder::Service { unread: Vec::new() };
            self.streams.insert(id, Held { connection: Connection::answer(), holder, alarm: None });
        } else if let Some(held) = self.streams.get_mut(&id) {
            held.connection.on_segment(self.now, segment, &packet.bytes);
        } else if !segment.rst {
            let acknowledged = Some(segment.sequence + u64::from(segment.syn));
            let sequence = segment.acknowledged.unwrap_or(0);
            let reset = Segment { sequence, acknowledged, rst: true, ..Segment::default() };
            self.send_segment(id, reset, Vec::new());
            return;
        }
        self.serve(id);
        self.pump(id);
    }

    pub(super) fn on_stream_alarm(&mut self, id: StreamId) {
        let now = self.now;
        let running = self.hosts[id.host.0 as usize].running;
        let Some(held) = self.streams.get_mut(&id) else { return };
        if held.alarm.take_if(|alarm| *alarm <= now).is_none() {
            return;
        }
        if held.connection.timer().is_some_and(|timer| timer <= now) {
            // A machine that sleeps has no timers.
            if running { held.connection.on_timer(now) } else { held.connection.postpone(now) }
        }
        self.serve(id);
        self.pump(id);
    }

    /// What a server wants sent.
    pub(super) fn send_outputs(&mut self, host: HostId, outputs: Vec<Output>) {
        for Output::Send { transport, from, to, bytes } in outputs {
            match transport {
                crate::nat::Transport::Udp => {
                    let packet =
                        Packet { header: Header::Udp, from, to, ttl: TTL_DEFAULT, bytes, origin: host };
                    // A server always has an interface; what it sends may get lost like anything else.
                    let _ = self.send(host, from.port(), packet);
                }
                crate::nat::Transport::Tcp => {
                    let id = StreamId { host, local: from, remote: to };
                    match self.streams.get_mut(&id).filter(|held| held.connection.room() >= bytes.len()) {
                        Some(held) => {
                            held.connection.write(&bytes);
                            self.pump(id);
                        }
                        // As coturn does: better no voice than old voice.
                        None => *self.dropped.entry("stream full or gone").or_default() += 1,
                    }
                }
            }
        }
    }

    fn listens(&self, host: HostId, port: u16) -> bool {
        self.hosts[host.0 as usize].service.as_ref().is_some_and(|service| service.listens(port))
    }

    /// Gives a server what has come on its end, frame by frame.
    fn serve(&mut self, id: StreamId) {
        let Some(Held { connection, holder: Holder::Service { unread }, .. }) = self.streams.get_mut(&id)
        else {
            return;
        };
        let mut buffer = [0; 4096];
        let ended = loop {
            match connection.read(&mut buffer) {
                Read::Bytes(count) => unread.extend(&buffer[..count]),
                Read::Later => break false,
                Read::End | Read::Broken(_) => break true,
            }
        };
        let mut frames = Vec::new();
        let garbage = loop {
            match next_frame(unread) {
                Ok(Some(size)) => frames.push(unread.drain(..size).collect::<Vec<u8>>()),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        let (now, server) = (self.now, id.host.0 as usize);
        let mut service = self.hosts[server].service.take();
        let mut outputs = Vec::new();
        for frame in frames {
            outputs.extend(service.iter_mut().flat_map(|s| s.on_frame(now, id.local, id.remote, &frame)));
        }
        self.hosts[server].service = service;
        self.send_outputs(id.host, outputs);
        if (ended || garbage)
            && let Some(held) = self.streams.get_mut(&id)
        {
            held.holder = Holder::Nobody;
            if garbage {
                held.connection.abort();
            } else {
                held.connection.close();
            }
            if let Some(Service::Turn(turn)) = &mut self.hosts[server].service {
                turn.on_closed(id.local, id.remote);
            }
        }
    }

    /// Sends what is to be sent, tells the program, and sees to the next alarm.
    fn pump(&mut self, id: StreamId) {
        let now = self.now;
        while let Some((segment, bytes)) =
            self.streams.get_mut(&id).and_then(|held| held.connection.poll_segment(now))
        {
            self.send_segment(id, segment, bytes);
        }
        let Some(held) = self.streams.get_mut(&id) else { return };
        if let Holder::Program { waiting } = &mut held.holder
            && !waiting.is_empty()
        {
            waiting.drain(..).for_each(Waker::wake);
            self.woken.insert(id.host);
        }
        if held.connection.is_over() && matches!(held.holder, Holder::Nobody) {
            self.streams.remove(&id);
            return;
        }
        if let Some(timer) = held.connection.timer()
            && held.alarm.is_none_or(|alarm| timer < alarm)
        {
            held.alarm = Some(timer);
            self.events.push(timer, Event::Stream(id));
        }
    }

    fn send_segment(&mut self, id: StreamId, segment: Segment, bytes: Vec<u8>) {
        let header = Header::Tcp(segment);
        let StreamId { host, local: from, remote: to } = id;
        let packet = Packet { header, from, to, ttl: TTL_DEFAULT, bytes, origin: host };
        if !self.addresses(host).contains(&from.ip()) {
            return self.drop_packet(&packet, "no such address");
        }
        // A network that cannot be reached is a segment lost.
        let _ = self.send(host, from.port(), packet);
    }
}

impl Held {
    fn wait<T>(&mut self, cx: &Context<'_>) -> Poll<T> {
        if let Holder::Program { waiting } = &mut self.holder
            && !waiting.iter().any(|waker| waker.will_wake(cx.waker()))
        {
            waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }
}
