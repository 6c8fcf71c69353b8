//! An authority, a certificate of localhost by it, and another authority; secrets in files.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use crate::support::Scratch;

pub struct Keys {
    scratch: Scratch,
    pub acceptor: TlsAcceptor,
}

impl Keys {
    pub fn make() -> Self {
        let scratch = Scratch::new("keys");
        let authority = |file: &str| {
            let mut params = CertificateParams::new([]).expect("no names are right");
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("make a key");
            scratch.write(file, &params.self_signed(&key).expect("sign").pem());
            Issuer::new(params, key)
        };
        let issuer = authority("ca.pem");
        authority("other.pem");
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name is right");
        params.not_after = date_time_ymd(2099, 1, 1);
        let key = KeyPair::generate().expect("make a key");
        let certificate = params.signed_by(&key, &issuer).expect("sign");
        let private = PrivateKeyDer::try_from(key.serialize_der()).expect("a key in PKCS #8");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring does TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .expect("the key is the certificate's");
        Self { scratch, acceptor: TlsAcceptor::from(Arc::new(config)) }
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.scratch.join(file)
    }

    /// A file only its owner can read.
    pub fn secret(&self, file: &str, text: &str) -> PathBuf {
        let path = self.scratch.write(file, text);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("close a file");
        path
    }
}
