//! TLS 1.3 that hides and names nobody; towards TURN servers also 1.2.
//!
//! Each run has its own self-signed certificate. Neither side checks names; who the peer is, Noise says
//! over the first stream, bound to this very TLS session by its exporter. No tickets, no early data: nothing
//! of one connection helps or marks another.

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};
use std::sync::Arc;

/// What both sides must speak; versions are settled inside.
const ALPN: &[u8] = b"roundtable";

/// Sent as SNI: the same for everybody.
pub const SERVER_NAME: &str = "roundtable";

/// TLS of both directions.
pub struct Tls {
    /// For connections we accept.
    pub server: Arc<QuicServerConfig>,
    /// For connections we open.
    pub client: Arc<QuicClientConfig>,
}

/// A fresh certificate and the two configurations.
pub fn fresh() -> Tls {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // Ed25519: certificates of constant size, so that a simulated run repeats byte for byte.
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("the system's random numbers work");
    let params = rcgen::CertificateParams::new([SERVER_NAME.to_string()]).expect("a valid DNS name");
    let certificate = params.self_signed(&key).expect("a key that can sign");
    let chain = vec![certificate.der().clone()];
    let private = PrivatePkcs8KeyDer::from(key.serialize_der());

    let mut server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring speaks TLS 1.3")
        .with_no_client_auth()
        .with_single_cert(chain, private.into())
        .expect("a certificate made for this key");
    server.alpn_protocols = vec![ALPN.to_vec()];
    server.send_tls13_tickets = 0;

    let mut client = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("ring speaks TLS 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyName(provider)))
        .with_no_client_auth();
    client.alpn_protocols = vec![ALPN.to_vec()];
    client.resumption = rustls::client::Resumption::disabled();

    Tls {
        server: Arc::new(QuicServerConfig::try_from(server).expect("ring has QUIC's initial cipher suite")),
        client: Arc::new(QuicClientConfig::try_from(client).expect("ring has QUIC's initial cipher suite")),
    }
}

/// TLS towards a TURN server, whose name is not checked: what it relays is sealed end to end.
pub fn unchecked() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring speaks TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyName(provider)))
        .with_no_client_auth()
}

/// Accepts any certificate whose holder signs the handshake with its key.
#[derive(Debug)]
struct AnyName(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
