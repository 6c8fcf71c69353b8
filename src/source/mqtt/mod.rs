//! Readings from an MQTT broker: ChirpStack, The Things Stack, Zigbee2MQTT.
//!
//! The session is kept by the broker (fixed client id, `clean_session = false`), and every message is acknowledged only
//! when the pipeline has committed what became of it. So what was published at QoS 1 survives a crash at either end.

pub mod broker;
mod message;
mod session;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use rumqttc::MqttOptions;

use super::presence::{Presence, Retry};
use super::{Source, SourceContext, stopped};
use crate::clock::CertificateTime;
use crate::codec::Codecs;
use crate::config::MqttSection;
use crate::domain;
use broker::Broker;
use session::{Ended, Session};

/// A broker on the premises is back within seconds after its restart; one that is down for long is asked once a minute.
const RECONNECT_MAX: Duration = Duration::from_mins(1);
/// A connection that lasted this long was a good one: the next try is made at once. A shorter one may be two clients that
/// throw each other out by the same client id.
const STABLE_MIN: Duration = Duration::from_secs(30);
/// Uplinks have a few KiB, with metadata of many gateways some tens.
const PACKET_BYTES_MAX: usize = 1 << 20;
/// A larger packet would be delivered again and again: it is taken once with this limit, refused and acknowledged.
const PACKET_BYTES_MAX_ONCE: usize = 16 << 20;

/// A configured broker.
pub struct Mqtt {
    config: MqttSection,
    codecs: Arc<Codecs>,
    time: CertificateTime,
}

impl Mqtt {
    /// `codecs` tell which of the models that a network server names are known; `time` judges the broker's certificate.
    pub fn new(config: MqttSection, codecs: Arc<Codecs>, time: CertificateTime) -> Self {
        Self { config, codecs, time }
    }

    fn options(&self, packet_bytes_max: usize) -> Result<MqttOptions> {
        let config = &self.config;
        let client_id = match &config.client_id {
            Some(id) => id.clone(),
            None => broker::client_id(&config.name, &format!("the [[mqtt]] section {}", config.name))?,
        };
        let broker = Broker {
            url: &config.url,
            client_id,
            username: config.username.as_deref(),
            password_file: config.password_file.as_deref(),
            ca_file: config.ca_file.as_deref(),
        };
        let mut options = broker.options(&self.time)?;
        options
            .set_clean_session(false)
            .set_manual_acks(true)
            .set_keep_alive(Duration::from_secs(config.keep_alive_s.into()))
            .set_max_packet_size(packet_bytes_max, packet_bytes_max);
        Ok(options)
    }
}

impl Source for Mqtt {
    async fn run(self, context: SourceContext) -> Result<()> {
        let SourceContext { number, out, mut acks, clock, counters, mut shutdown } = context;
        let name = &self.config.name;
        let mut presence = Presence::new(domain::Source::Mqtt, name, out, counters.clone());
        let mut retry = Retry::new(RECONNECT_MAX);
        let mut packet_bytes_max = PACKET_BYTES_MAX;
        for connection in 1.. {
            let began = tokio::time::Instant::now();
            let session = Session {
                config: &self.config,
                codecs: &self.codecs,
                source: number,
                connection,
                clock: clock.as_ref(),
                counters: &counters,
                presence: &mut presence,
            };
            let ended = match self.options(packet_bytes_max) {
                Ok(options) => session.run(options, &mut acks, &mut shutdown).await,
                Err(error) => Ended::Lost(error),
            };
            packet_bytes_max = PACKET_BYTES_MAX;
            let reason = match ended {
                Ended::Stopped => return Ok(()),
                Ended::PipelineGone(error) => return Err(error),
                Ended::TooLarge(error) => {
                    counters.add("mqtt.packet_too_large", name, 1);
                    packet_bytes_max = PACKET_BYTES_MAX_ONCE;
                    error
                }
                Ended::Lost(error) => error,
            };
            counters.add("mqtt.connections_lost", name, 1);
            presence.down(&reason.context(format!("broker {}", self.config.url))).await?;
            if began.elapsed() >= STABLE_MIN {
                retry.succeeded();
            }
            tokio::select! {
                () = stopped(&mut shutdown) => return Ok(()),
                () = retry.pause() => {}
            }
        }
        bail!("connections are numbered up to 2^64")
    }
}
