//! TLS: the hub's client with a server in this process, in both versions; and a stranger's certificate refused.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConnection, RootCertStore, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::Bench;
use super::certificate::{self, Identity};
use crate::clock::CertificateTime;
use crate::domain::UnixMs;
use crate::tls;

/// A handshake has at most this many turns; what needs more is stuck.
const TURNS_MAX: usize = 16;
const MESSAGE: &[u8] = b"-18.50 C";

pub fn check(bench: &Bench) -> Result<String> {
    let time = CertificateTime::new(bench.clock.clone(), UnixMs(0));
    let own = certificate::make()?;
    let mut suites = Vec::new();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let (mut client, mut server) = parties(&own, &own, &time, version)?;
        shake_hands(&mut client, &mut server)
            .with_context(|| format!("{:?} with itself", version.version))?;
        say(&mut client, &mut server)?;
        let suite = client.negotiated_cipher_suite().context("name the cipher suite")?;
        suites.push(format!("{:?}", suite.suite()));
    }
    let stranger = certificate::make()?;
    let (mut client, mut server) = parties(&own, &stranger, &time, &rustls::version::TLS13)?;
    if shake_hands(&mut client, &mut server).is_ok() {
        bail!("a server with a certificate that nobody vouches for was believed; do not use this build");
    }
    Ok(format!("handshakes by {}; a stranger is refused", suites.join(" and ")))
}

/// A client that trusts `trusted` alone, and a server that shows `shown`.
fn parties(
    trusted: &Identity,
    shown: &Identity,
    time: &CertificateTime,
    version: &'static SupportedProtocolVersion,
) -> Result<(ClientConnection, ServerConnection)> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(trusted.certificate.clone())).context("trust the server's certificate")?;
    let client = tls::client_config_of(roots, time.clone())?;
    let name = ServerName::try_from(certificate::NAME).context("name the server")?;
    let client = ClientConnection::new(Arc::new(client), name).context("make a TLS client")?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(shown.key.clone()).map_err(anyhow::Error::msg)?;
    let server = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .context("set up TLS")?
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(shown.certificate.clone())], key)
        .context("give the server its certificate")?;
    let server = ServerConnection::new(Arc::new(server)).context("make a TLS server")?;
    Ok((client, server))
}

fn shake_hands(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<()> {
    for _ in 0..TURNS_MAX {
        if !client.is_handshaking() && !server.is_handshaking() {
            return Ok(());
        }
        carry(client, server)?;
        carry(server, client)?;
    }
    bail!("the handshake does not end")
}

fn say(client: &mut ClientConnection, server: &mut ServerConnection) -> Result<()> {
    use std::io::{Read as _, Write as _};
    client.writer().write_all(MESSAGE).context("encrypt a message")?;
    carry(client, server)?;
    let mut heard = [0; MESSAGE.len()];
    server.reader().read_exact(&mut heard).context("decrypt a message")?;
    if heard != MESSAGE {
        bail!("a message was decrypted to another; this build does not fit the processor");
    }
    Ok(())
}

/// What one party has to send, to the other.
fn carry<A, B>(from: &mut rustls::ConnectionCommon<A>, to: &mut rustls::ConnectionCommon<B>) -> Result<()> {
    let mut wire = Vec::new();
    while from.wants_write() {
        from.write_tls(&mut wire).context("write TLS")?;
    }
    let mut rest = wire.as_slice();
    while !rest.is_empty() {
        to.read_tls(&mut rest).context("read TLS")?;
        to.process_new_packets().context("shake hands")?;
    }
    Ok(())
}
