//! The one TLS stack's client side: rustls with ring, its certificates judged by `CertificateTime`.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::clock::CertificateTime;

/// A client that trusts the authorities of `ca_file` (PEM) and no others; without one, those of the system.
pub fn client_config(ca_file: Option<&Path>, time: CertificateTime) -> Result<ClientConfig> {
    client_config_of(roots(ca_file)?, time)
}

/// A client that trusts `roots`.
pub fn client_config_of(roots: RootCertStore, time: CertificateTime) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(time))
        .with_safe_default_protocol_versions()
        .context("set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}

/// The authorities of `ca_file`; without one, those of the system.
pub fn roots(ca_file: Option<&Path>) -> Result<RootCertStore> {
    match ca_file {
        Some(path) => roots_of_file(path),
        None => roots_of_system(),
    }
}

fn roots_of_file(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).with_context(|| format!("open {}", path.display()))?;
    for certificate in certificates {
        let certificate = certificate.with_context(|| format!("read {}: it must be PEM", path.display()))?;
        roots.add(certificate).with_context(|| format!("take a certificate of {}", path.display()))?;
    }
    if roots.is_empty() {
        bail!("{} holds no certificate; it must be PEM", path.display());
    }
    Ok(roots)
}

fn roots_of_system() -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    // Some may be in a form that is not understood; the others do.
    let (_, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        bail!(
            "find the system's certificate authorities; install the package ca-certificates or set ca_file"
        );
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::domain::{MonoMs, UnixMs};

    #[test]
    fn files_without_certificates_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let clock = Arc::new(TestClock::new(MonoMs(0), UnixMs(0)));
        let load = || client_config(Some(&path), CertificateTime::new(clock.clone(), UnixMs(0)));
        assert!(format!("{:#}", load().unwrap_err()).contains("ca.pem"));
        std::fs::write(&path, "no certificate").unwrap();
        assert!(load().unwrap_err().to_string().contains("holds no certificate"));
        let own = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        std::fs::write(&path, own.cert.pem()).unwrap();
        load().unwrap();
    }
}
