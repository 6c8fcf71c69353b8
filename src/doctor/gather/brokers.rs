use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;

use super::super::facts::{Broker, Hub, SignIn};
use super::{BROKERS_MAX, LIMITS, not_given, secret_path, within};
use crate::clock::{CertificateTime, SystemClock};
use crate::config::{BrokerUrl, Config};
use crate::domain::UnixMs;
use crate::source::mqtt::broker;

/// A sign-in and a farewell.
const REQUESTS_QUEUED_MAX: usize = 4;
/// Leaving in order is a courtesy.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

pub async fn look(config: &Config, hub: &Hub, system: &Arc<SystemClock>) -> Vec<Broker> {
    let heard = config.mqtt.iter().map(|section| {
        let name = format!("broker {}", section.name);
        (name, &section.url, &section.username, &section.password_file, &section.ca_file)
    });
    let told = config.notify.mqtt.iter().map(|section| {
        let name = format!("broker {}", section.name);
        (name, &section.url, &section.username, &section.password_file, &section.ca_file)
    });
    let tries =
        heard.chain(told).take(BROKERS_MAX).map(async |(name, url, username, password_file, ca_file)| {
            let password_file = password_file.as_deref().map(secret_path);
            if let Some(signed_in) = password_file.as_deref().and_then(|path| not_given(path, hub)) {
                return Broker { url: url.to_string(), signed_in, name };
            }
            let signed_in = sign_in(
                &name,
                url,
                username.as_deref(),
                (password_file.as_deref(), ca_file.as_deref()),
                CertificateTime::new(system.clone(), UnixMs(0)),
            );
            let signed_in = SignIn::Tried(within(LIMITS.broker, signed_in).await);
            Broker { url: url.to_string(), signed_in, name }
        });
    // All at once: a network that is away costs the time of one.
    join_all(tries).await
}

/// Under a client id of its own: the hub's would throw the hub out.
async fn sign_in(
    name: &str,
    url: &BrokerUrl,
    username: Option<&str>,
    files: (Option<&Path>, Option<&Path>),
    time: CertificateTime,
) -> Result<()> {
    let client_id = broker::client_id(&format!("doctor/{name}/{}", std::process::id()), "this section")?;
    let (password_file, ca_file) = files;
    let mut options = broker::Broker { url, client_id, username, password_file, ca_file }.options(&time)?;
    options.set_clean_session(true);
    let (client, mut events) = broker::connect(options, REQUESTS_QUEUED_MAX).await?;
    client.disconnect().await.context("leave the broker")?;
    let farewell = async { while events.poll().await.is_ok() {} };
    // A broker that does not close has answered all the same.
    let _ = tokio::time::timeout(FAREWELL_MAX, farewell).await;
    Ok(())
}
