//! Streams to a TURN server: TCP, or TLS over it.
//!
//! TLS is there to get through firewalls that let nothing else pass. The server's certificate is not checked against
//! any authority: relayed voice is sealed end to end anyway, TURN's password never travels (RFC 8489 hashes it), and
//! friends' servers seldom have a certificate for the address they are given by.

use crate::net::platform::{Platform, Stream};
use crate::net::socket::PathSocket;
use crate::net::tls;
use protocol::path::RelayId;
use protocol::turn::StreamReader;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

/// Messages waiting to be written; more are dropped, as a full link would.
pub(super) const QUEUE: usize = 64;

/// Opens a stream to a server.
pub(super) async fn connect(
    platform: &dyn Platform,
    server: SocketAddr,
    host: &str,
    secure: bool,
) -> io::Result<Box<dyn Stream>> {
    let stream = platform.connect(server).await?;
    if !secure {
        return Ok(stream);
    }
    let name = ServerName::try_from(host.to_owned()).unwrap_or(ServerName::IpAddress(server.ip().into()));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(tls::unchecked()));
    Ok(Box::new(connector.connect(name, stream).await?))
}

/// Carries messages both ways until the stream ends, which `ended` then tells.
pub(super) fn carry(
    stream: Box<dyn Stream>,
    mut queue: mpsc::Receiver<Vec<u8>>,
    socket: Arc<PathSocket>,
    relay: RelayId,
    ended: Arc<Notify>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(stream);
        let writing = async {
            while let Some(message) = queue.recv().await {
                if write.write_all(&message).await.is_err() || write.flush().await.is_err() {
                    break;
                }
            }
        };
        let reading = async {
            let mut frames = StreamReader::default();
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = read.read(&mut chunk).await {
                frames.push(&chunk[..length]);
                loop {
                    match frames.next_frame() {
                        Ok(Some(frame)) => socket.deliver_frame(relay, &frame),
                        Ok(None) => break,
                        // It is no TURN server, or no more.
                        Err(_) => return,
                    }
                }
            }
        };
        tokio::select! {
            () = writing => {}
            () = reading => {}
        }
        ended.notify_one();
    })
}
