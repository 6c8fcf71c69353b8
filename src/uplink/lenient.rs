//! TLS for the one request that may go to a certificate outside its validity: asking the time. It carries nothing, and
//! its answer is signed by the key pinned at enrolment.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use crate::clock::CertificateTime;
use crate::tls;

pub fn client_config(ca_file: Option<&Path>, time: CertificateTime) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let strict = WebPkiServerVerifier::builder_with_provider(Arc::new(tls::roots(ca_file)?), provider)
        .build()
        .context("set up TLS")?;
    let mut config = tls::client_config(ca_file, time)?;
    config.dangerous().set_certificate_verifier(Arc::new(AnyTime(strict)));
    Ok(config)
}

/// Checks everything, at a time at which the certificate is valid.
#[derive(Debug)]
struct AnyTime(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyTime {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let at = |now| self.0.verify_server_cert(end_entity, intermediates, name, ocsp, now);
        match at(now) {
            Err(Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
                at(not_after)
            }
            Err(Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. })) => {
                at(not_before)
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};
    use rustls::pki_types::pem::PemObject;

    use super::*;

    #[test]
    fn only_validity_may_fail() {
        let mut authority = CertificateParams::new(vec![]).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let authority_key = KeyPair::generate().unwrap();
        let authority_certificate = authority.self_signed(&authority_key).unwrap();
        let issuer = rcgen::Issuer::new(authority, authority_key);
        let mut server = CertificateParams::new(vec!["hub.test".into()]).unwrap();
        server.not_before = date_time_ymd(2020, 1, 1);
        server.not_after = date_time_ymd(2021, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = server.signed_by(&key, &issuer).unwrap();
        let foreign = server.self_signed(&key).unwrap();

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(&path, authority_certificate.pem()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let roots = Arc::new(tls::roots(Some(&path)).unwrap());
        let strict = WebPkiServerVerifier::builder_with_provider(roots, provider).build().unwrap();
        let lenient = AnyTime(Arc::clone(&strict));
        let verify = |verifier: &dyn ServerCertVerifier, pem: &str, name: &str, year: u64| {
            let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).unwrap();
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs((year - 1970) * 31_557_600));
            verifier
                .verify_server_cert(&certificate, &[], &name.to_owned().try_into().unwrap(), &[], now)
                .is_ok()
        };
        for year in [1971, 2000, 2090] {
            assert!(!verify(strict.as_ref(), &certificate.pem(), "hub.test", year));
            assert!(verify(&lenient, &certificate.pem(), "hub.test", year));
            assert!(!verify(&lenient, &certificate.pem(), "other.test", year));
            assert!(!verify(&lenient, &foreign.pem(), "hub.test", year));
        }
    }
}
