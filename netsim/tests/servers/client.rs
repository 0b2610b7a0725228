//! A TURN client driven by hand.

use std::net::SocketAddr;
use std::time::Duration;

use netsim::nat::Transport;
use netsim::servers::{Output, TurnConfig, TurnServer};
use stun_rs::attributes::stun::{ErrorCode, MessageIntegrity, Nonce, Realm, UserName};
use stun_rs::attributes::turn::{
    ChannelNumber, Data, LifeTime, RequestedTrasport, XorPeerAddress, XorRelayedAddress,
};
use stun_rs::methods::{ALLOCATE, CHANNEL_BIND, CREATE_PERMMISSION, DATA, REFRESH, SEND};
use stun_rs::{
    Algorithm, AlgorithmId, DecoderContextBuilder, HMACKey, MessageClass, MessageDecoder,
    MessageDecoderBuilder, MessageEncoder, MessageMethod, StunAttribute, StunMessage, StunMessageBuilder,
    TransactionId, protocols,
};

use crate::at;

pub(crate) const SERVER: &str = "198.51.100.1:3478";
pub(crate) const RELAY: &str = "198.51.100.1";

/// A server with the users alice and bob, whose passwords are their names backwards.
pub(crate) fn config() -> TurnConfig {
    TurnConfig {
        relay: vec![RELAY.parse().unwrap()],
        users: [("alice", "ecila"), ("bob", "bob")].map(|(u, p)| (u.to_owned(), p.to_owned())).into(),
        ..TurnConfig::default()
    }
}

pub(crate) fn server(config: &TurnConfig) -> TurnServer {
    TurnServer::new(config, 1).unwrap()
}

pub(crate) fn encode(
    method: MessageMethod,
    class: MessageClass,
    transaction: u8,
    attributes: Vec<StunAttribute>,
) -> Vec<u8> {
    let builder =
        StunMessageBuilder::new(method, class).with_transaction_id(TransactionId::from([transaction; 12]));
    let message = attributes.into_iter().fold(builder, StunMessageBuilder::with_attribute).build();
    let mut bytes = vec![0; 4096];
    let size = MessageEncoder::default().encode(&mut bytes, &message).unwrap();
    bytes.truncate(size);
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> StunMessage {
    MessageDecoder::default().decode(bytes).unwrap().0
}

pub(crate) fn error(message: &StunMessage) -> u16 {
    assert_eq!(message.class(), MessageClass::ErrorResponse);
    message.get::<ErrorCode>().unwrap().expect_error_code().error_code().error_code()
}

/// `Ok` for a success response, otherwise the error's code.
pub(crate) fn outcome(message: StunMessage) -> Result<StunMessage, u16> {
    match message.class() {
        MessageClass::SuccessResponse => Ok(message),
        _ => Err(error(&message)),
    }
}

/// What a client got from a server: through a channel, or as an indication from a peer.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Channel(u16, Vec<u8>),
    Data(SocketAddr, Vec<u8>),
}

#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) from: SocketAddr,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
    pub(crate) challenge: Option<(Realm, Nonce)>,
    pub(crate) relayed: Option<SocketAddr>,
    pub(crate) transport: Transport,
    pub(crate) transaction: u8,
}

impl Client {
    pub(crate) fn new(user: &'static str, password: &'static str, from: &str) -> Client {
        Client {
            from: at(from),
            user,
            password,
            challenge: None,
            relayed: None,
            transport: Transport::Udp,
            transaction: 0,
        }
    }

    pub(crate) fn alice() -> Client {
        Client::new("alice", "ecila", "203.0.113.1:5000")
    }

    pub(crate) fn bob() -> Client {
        Client::new("bob", "bob", "203.0.113.2:6000")
    }

    /// A client with an allocation made at `now`.
    pub(crate) fn allocated(mut self, server: &mut TurnServer, now: Duration) -> Client {
        self.allocate(server, now, vec![]).unwrap();
        self
    }

    fn key(&self) -> HMACKey {
        let (realm, _) = self.challenge.as_ref().unwrap();
        let algorithm = Algorithm::from(AlgorithmId::MD5);
        HMACKey::new_long_term(self.user, realm.as_str(), self.password, algorithm).unwrap()
    }

    /// The bytes of a request, with credentials once the server has asked for them.
    pub(crate) fn bytes(&mut self, method: MessageMethod, mut attributes: Vec<StunAttribute>) -> Vec<u8> {
        self.transaction = self.transaction.wrapping_add(1);
        if let Some((realm, nonce)) = self.challenge.clone() {
            attributes.push(UserName::new(self.user).unwrap().into());
            attributes.extend([realm.into(), nonce.into()]);
            attributes.push(MessageIntegrity::new(self.key()).into());
        }
        encode(method, MessageClass::Request, self.transaction, attributes)
    }

    pub(crate) fn send(&self, server: &mut TurnServer, now: Duration, bytes: &[u8]) -> Vec<Output> {
        server.handle(now, self.transport, at(SERVER), self.from, bytes)
    }

    /// One request, without retries.
    pub(crate) fn try_once(
        &mut self,
        server: &mut TurnServer,
        now: Duration,
        method: MessageMethod,
        attributes: Vec<StunAttribute>,
    ) -> Result<StunMessage, u16> {
        let bytes = self.bytes(method, attributes);
        let outputs = self.send(server, now, &bytes);
        let [Output::Send { transport, from, to, bytes }] = outputs.try_into().expect("one answer");
        assert_eq!((transport, from, to), (self.transport, at(SERVER), self.from));
        let answer = decode(&bytes);
        if answer.get::<MessageIntegrity>().is_some() {
            let context = DecoderContextBuilder::default().with_key(self.key()).with_validation().build();
            let decoder = MessageDecoderBuilder::default().with_context(context).build();
            decoder.decode(&bytes).expect("the server signs with the same key");
        } else {
            assert_eq!(answer.class(), MessageClass::ErrorResponse, "only refusals come unsigned");
        }
        if let (Some(realm), Some(nonce)) = (answer.get::<Realm>(), answer.get::<Nonce>()) {
            self.challenge = Some((realm.expect_realm().clone(), nonce.expect_nonce().clone()));
        }
        outcome(answer)
    }

    /// A request that answers one challenge.
    pub(crate) fn request(
        &mut self,
        server: &mut TurnServer,
        now: Duration,
        method: MessageMethod,
        attributes: Vec<StunAttribute>,
    ) -> Result<StunMessage, u16> {
        match self.try_once(server, now, method, attributes.clone()) {
            Err(401 | 438) => self.try_once(server, now, method, attributes),
            other => other,
        }
    }

    pub(crate) fn allocate(
        &mut self,
        server: &mut TurnServer,
        now: Duration,
        more: Vec<StunAttribute>,
    ) -> Result<StunMessage, u16> {
        let mut attributes = vec![RequestedTrasport::new(protocols::UDP).into()];
        attributes.extend(more);
        let answer = self.request(server, now, ALLOCATE, attributes)?;
        let relayed = answer.get::<XorRelayedAddress>().unwrap().expect_xor_relayed_address();
        self.relayed = Some(*relayed.socket_address());
        Ok(answer)
    }

    /// The lifetime granted, in seconds.
    pub(crate) fn refresh(
        &mut self,
        server: &mut TurnServer,
        now: Duration,
        seconds: u32,
    ) -> Result<u32, u16> {
        let answer = self.request(server, now, REFRESH, vec![LifeTime::from(seconds).into()])?;
        Ok(answer.get::<LifeTime>().unwrap().expect_life_time().as_u32())
    }

    pub(crate) fn permit(
        &mut self,
        server: &mut TurnServer,
        now: Duration,
        peer: SocketAddr,
    ) -> Result<(), u16> {
        let peer = XorPeerAddress::from(peer).into();
        self.request(server, now, CREATE_PERMMISSION, vec![peer]).map(|_| ())
    }

    pub(crate) fn bind(
        &mut self,
        server: &mut TurnServer,
        now: Duration,
        number: u16,
        peer: SocketAddr,
    ) -> Result<(), u16> {
        let attributes = vec![ChannelNumber::new(number).into(), XorPeerAddress::from(peer).into()];
        self.request(server, now, CHANNEL_BIND, attributes).map(|_| ())
    }

    pub(crate) fn indicate(
        &self,
        server: &mut TurnServer,
        now: Duration,
        peer: SocketAddr,
        payload: &[u8],
    ) -> Vec<Output> {
        let attributes = vec![XorPeerAddress::from(peer).into(), Data::new(payload).into()];
        self.send(server, now, &encode(SEND, MessageClass::Indication, 0, attributes))
    }

    pub(crate) fn on_channel(
        &self,
        server: &mut TurnServer,
        now: Duration,
        number: u16,
        payload: &[u8],
    ) -> Vec<Output> {
        let mut bytes = number.to_be_bytes().to_vec();
        bytes.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
        bytes.extend(payload);
        self.send(server, now, &bytes)
    }

    /// What of the outputs is for this client.
    pub(crate) fn received(&self, outputs: &[Output]) -> Vec<Received> {
        let mine = outputs.iter().filter(|Output::Send { to, .. }| *to == self.from);
        mine.map(|Output::Send { transport, from, bytes, .. }| {
            assert_eq!((*transport, *from), (self.transport, at(SERVER)));
            if bytes[0] >= 0x40 {
                let length = usize::from(u16::from_be_bytes([bytes[2], bytes[3]]));
                return Received::Channel(
                    u16::from_be_bytes([bytes[0], bytes[1]]),
                    bytes[4..4 + length].to_vec(),
                );
            }
            let message = decode(bytes);
            assert_eq!((message.method(), message.class()), (DATA, MessageClass::Indication));
            let peer = message.get::<XorPeerAddress>().unwrap().expect_xor_peer_address();
            let data = message.get::<Data>().unwrap().expect_data();
            Received::Data(*peer.socket_address(), data.as_bytes().to_vec())
        })
        .collect()
    }
}
