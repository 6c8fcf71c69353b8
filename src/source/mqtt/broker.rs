//! What every connection to a broker needs, whether readings are heard there or alerts told.

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, bail};
use ring::digest::{SHA256, digest};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, MqttOptions, NetworkOptions, Packet,
    StateError, TlsConfiguration, Transport,
};

use crate::clock::CertificateTime;
use crate::config::{BrokerUrl, Secret};

/// TCP, TLS and CONNACK together; a broker behind a slow link answers within a few seconds.
const CONNECT_S_MAX: u64 = 15;

/// A configured broker.
pub struct Broker<'a> {
    pub url: &'a BrokerUrl,
    pub client_id: String,
    pub username: Option<&'a str>,
    pub password_file: Option<&'a Path>,
    pub ca_file: Option<&'a Path>,
}

impl Broker<'_> {
    /// Password and authorities are read anew for each connection, so that a renewed one needs no restart. `time` judges
    /// the broker's certificate.
    pub fn options(&self, time: &CertificateTime) -> Result<MqttOptions> {
        let host = &self.url.host;
        // rumqttc joins host and port by a colon.
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let mut options = MqttOptions::new(&self.client_id, host, self.url.port);
        if let Some(username) = self.username {
            let password = self.password_file.map(Secret::read).transpose()?;
            options.set_credentials(username, password.as_ref().map_or("", Secret::reveal));
        }
        if self.url.is_tls {
            let tls = crate::tls::client_config(self.ca_file, time.clone())?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::from(tls)));
        }
        Ok(options)
    }
}

/// Connects and signs in. What the client is given goes out while `EventLoop` is polled.
pub async fn connect(options: MqttOptions, requests_queued_max: usize) -> Result<(AsyncClient, EventLoop)> {
    let (client, mut events) = AsyncClient::new(options, requests_queued_max);
    limit_connecting(&mut events);
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok((client, events)),
            Ok(_) => {}
            Err(error) => return Err(explain(error)),
        }
    }
}

pub fn limit_connecting(events: &mut EventLoop) {
    let mut network = NetworkOptions::new();
    network.set_connection_timeout(CONNECT_S_MAX);
    events.set_network_options(network);
}

/// The same over restarts and different on each machine, as machine-id(5) wants it: not the id itself. At most 23 letters
/// and digits, which every broker takes. `salt`: what tells the hub's clients apart; `section`: where an id can be set.
pub fn client_id(salt: &str, section: &str) -> Result<String> {
    let path = "/etc/machine-id";
    let machine =
        std::fs::read_to_string(path).with_context(|| format!("read {path}; set client_id in {section}"))?;
    if machine.trim().len() < 32 {
        bail!("{path} holds no id; set client_id in {section}");
    }
    let hash = digest(&SHA256, format!("frostguard mqtt client\n{}\n{salt}", machine.trim()).as_bytes());
    let number = hash.as_ref()[..6].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    Ok(format!("frostguard{number:012x}"))
}

/// Why a connection was lost, as a sentence with a remedy where there is one.
pub fn explain(error: ConnectionError) -> Error {
    match error {
        ConnectionError::ConnectionRefused(
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized,
        ) => {
            anyhow!("the broker refuses the user or the password; see username and password_file")
        }
        ConnectionError::NetworkTimeout => {
            anyhow!("no answer within {CONNECT_S_MAX} s")
        }
        ConnectionError::MqttState(StateError::ConnectionAborted) => {
            anyhow!(
                "the broker closed the connection; if this repeats, another client uses the same client_id"
            )
        }
        // It repeats its causes itself.
        other => anyhow!("{other}"),
    }
}
