//! `simulate`: the kitchen's sensors on somebody else's line, for trying out a hub.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use tokio_serial::{SerialPortBuilderExt as _, SerialStream};

use super::kitchen::{SimulatedUnit, UNITS};
use super::sensors::{Play, reyax_address};
use super::{listen_for_stop, say};
use crate::clock::{Clock, ScaledClock, SystemClock};
use crate::config::BrokerUrl;
use crate::source::stopped;

/// What Reyax modules speak by factory setting.
const BAUD: u32 = 115_200;
/// A line that nobody reads must end the play with a word, not hang.
const WRITE_MAX: Duration = Duration::from_secs(30);
/// Events under way to the broker.
const EVENTS_QUEUED_MAX: usize = 64;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub struct SimulateArgs {
    /// Play a Reyax module into this serial port or pseudo-terminal.
    #[arg(long, value_name = "PATH", required_unless_present = "mqtt", conflicts_with = "mqtt")]
    serial: Option<PathBuf>,
    /// Play ChirpStack v4 into this broker, at QoS 1.
    #[arg(long, value_name = "mqtt://HOST:PORT")]
    mqtt: Option<String>,
    /// Minutes to play; without it, until Ctrl-C.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    minutes: Option<u32>,
    /// How many times faster than real sensors.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    fast: u32,
    /// Another seed, other noise.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

pub fn simulate(args: &SimulateArgs) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start the runtime")?;
    runtime.block_on(async {
        let mut stop = listen_for_stop()?;
        tokio::select! {
            played = play(args) => played,
            () = stopped(&mut stop) => Ok(()),
        }
    })
}

async fn play(args: &SimulateArgs) -> Result<()> {
    // Without an end the story repeats itself; u32 minutes are 8,000 years.
    let play = Play { seed: args.seed, minutes: args.minutes.unwrap_or(u32::MAX), fast: args.fast };
    let real: Arc<dyn Clock> = Arc::new(SystemClock::new()?);
    let clock = ScaledClock::catching_up(real.clone(), args.fast, 0);
    clock.run_at(args.fast);
    let clock: Arc<dyn Clock> = Arc::new(clock);
    let sent = match (&args.serial, &args.mqtt) {
        (Some(path), _) => into_port(path, play, clock).await?,
        (None, Some(url)) => into_broker(url, play, clock, &*real).await?,
        (None, None) => bail!("nothing to play into: give --serial or --mqtt"),
    };
    say(&format!("{sent} messages sent"))
}

async fn into_port(path: &Path, play: Play, clock: Arc<dyn Clock>) -> Result<u64> {
    let open = || format!("open serial port {}", path.display());
    let text = path.to_str().with_context(|| format!("{}: the path is not UTF-8", open()))?;
    let mut port = tokio_serial::new(text, BAUD).open_native_async().with_context(open)?;
    tell_devices(|index, unit| {
        let address = reyax_address(index);
        format!("{address} --source serial --port NAME --model {} --unit {:?}", unit.model, unit.name)
    })?;
    let mut sent = 0;
    play.run(clock, async |transmission| {
        sent += 1;
        write_line(&mut port, &transmission.reyax_line()).await
    })
    .await?;
    Ok(sent)
}

/// Writes one line to a port.
pub async fn write_line(port: &mut SerialStream, line: &[u8]) -> Result<()> {
    tokio::time::timeout(WRITE_MAX, port.write_all(line))
        .await
        .with_context(|| format!("write to the serial port: nobody read it for {} s", WRITE_MAX.as_secs()))?
        .context("write to the serial port")
}

async fn into_broker(url: &str, play: Play, clock: Arc<dyn Clock>, real: &dyn Clock) -> Result<u64> {
    let url = BrokerUrl::try_from(url.to_owned()).map_err(anyhow::Error::msg)?;
    if url.is_tls {
        bail!("play into {url}: the simulator speaks mqtt:// only; use a broker of your own, without TLS");
    }
    tell_devices(|_, unit| format!("{} --model {} --unit {:?}", unit.eui, unit.model, unit.name))?;
    let mut options =
        MqttOptions::new(format!("frostguard-simulate-{}", std::process::id()), &url.host, url.port);
    options.set_keep_alive(KEEP_ALIVE);
    let (client, mut connection) = AsyncClient::new(options, EVENTS_QUEUED_MAX);
    let (count_taken, mut taken) = watch::channel(0u64);
    let talk = async {
        loop {
            if let Event::Incoming(Packet::PubAck(_)) = connection.poll().await? {
                count_taken.send_modify(|taken| *taken += 1);
            }
        }
    };
    let publish = async {
        let mut sent = 0;
        play.run(clock, async |transmission| {
            sent += 1;
            let (topic, event) = transmission.chirpstack_event(real.wall());
            client.publish(topic, QoS::AtLeastOnce, false, event).await.context("publish to the broker")
        })
        .await?;
        taken.wait_for(|taken| *taken >= sent).await.context("wait for the broker")?;
        Ok(sent)
    };
    tokio::select! {
        played = publish => played,
        broken = talk => {
            let broken: Result<std::convert::Infallible, rumqttc::ConnectionError> = broken;
            match broken {
                Err(error) => Err(error).with_context(|| format!("talk to the broker {url}")),
            }
        }
    }
}

fn tell_devices(pairing: impl Fn(usize, &SimulatedUnit) -> String) -> Result<()> {
    say("a hub hears these sensors after:")?;
    UNITS
        .iter()
        .enumerate()
        .try_for_each(|(index, unit)| say(&format!("  frostguard-hub devices add {}", pairing(index, unit))))
}
