//! `[metrics]`: figures for those who watch many hubs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;

use super::check::{Findings, secret};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSection {
    pub enabled: bool,
    /// Where `/metrics` is answered.
    pub listen: SocketAddr,
    /// The token that a caller must show: a path, or a bare name of a systemd credential.
    pub token_file: Option<PathBuf>,
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self { enabled: true, listen: (Ipv4Addr::LOCALHOST, 9717).into(), token_file: None }
    }
}

pub(super) fn check(section: &MetricsSection, found: &mut Findings) {
    if !section.enabled {
        return;
    }
    let is_local = section.listen.ip().to_canonical().is_loopback();
    let listen = section.listen;
    found.require(section.listen.port() != 0, || format!("[metrics] listen = {listen} needs a port"));
    found.require(is_local || section.token_file.is_some(), || {
        format!(
            "[metrics] listen = {listen} is reached from the network and needs token_file: \
             `head -c 32 /dev/urandom | base64 > FILE`, owned by the hub's user with mode 0600; or listen on 127.0.0.1"
        )
    });
    found.prefer(is_local, || {
        format!(
            "[metrics] listen = {listen}: the token crosses the network readable by all; \
             use a network of its own, or a proxy with TLS before 127.0.0.1"
        )
    });
    secret("[metrics] token_file", section.token_file.as_deref(), found);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_needs_a_token() {
        for (listen, token, errors, warnings) in [
            ("127.0.0.1:9717", false, 0, 0),
            ("[::1]:9717", false, 0, 0),
            ("[::ffff:127.0.0.1]:9717", false, 0, 0),
            ("127.0.0.1:0", false, 1, 0),
            ("0.0.0.0:9717", false, 1, 1),
            ("[::]:9717", false, 1, 1),
            ("192.168.7.1:9717", false, 1, 1),
            // And the file is not there yet.
            ("192.168.7.1:9717", true, 0, 2),
        ] {
            let section = MetricsSection {
                listen: listen.parse().unwrap(),
                token_file: token.then(|| "/missing/token".into()),
                ..MetricsSection::default()
            };
            let mut found = Findings::default();
            check(&section, &mut found);
            assert_eq!((found.errors.len(), found.warnings.len()), (errors, warnings), "{listen}: {found:?}");
            let mut found = Findings::default();
            check(&MetricsSection { enabled: false, ..section }, &mut found);
            assert_eq!(found, Findings::default(), "{listen}");
        }
    }
}
