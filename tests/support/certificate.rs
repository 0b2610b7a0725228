//! A certificate that nobody vouches for, as files in PEM.

use std::{fs, net::IpAddr, path::Path};

/// Writes a certificate for an address, and its key. Returns the certificate in DER.
pub(crate) fn write_certificate(address: IpAddr, certificate: &Path, key: &Path) -> Vec<u8> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let signed = rcgen::CertificateParams::new([address.to_string()]).expect("a name").self_signed(&pair);
    let signed = signed.expect("a certificate");
    let files =
        [(certificate, "CERTIFICATE", signed.der().to_vec()), (key, "PRIVATE KEY", pair.serialize_der())];
    for (path, what, der) in files {
        let text = data_encoding::BASE64.encode(&der);
        let lines: String = text
            .as_bytes()
            .chunks(64)
            .fold(String::new(), |all, line| all + str::from_utf8(line).expect("BASE64 is ASCII") + "\n");
        fs::write(path, format!("-----BEGIN {what}-----\n{lines}-----END {what}-----\n"))
            .expect("the test's directory is writable");
    }
    signed.der().to_vec()
}
