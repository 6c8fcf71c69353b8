//! Plays the kitchen's sensors: each sends once a minute, spread over the minute as real ones are.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::encode;
use super::kitchen::UNITS;
use crate::clock::Clock;
use crate::domain::{MonoMs, UnixMs};

const MINUTE_MS: i64 = 60_000;
/// Signal strength of the first sensor in dBm; each next one hangs farther away.
const RSSI_NEAREST: i32 = -54;

/// One transmission of one sensor.
#[derive(Clone, Debug)]
pub struct Transmission {
    /// The sensor's place in the kitchen, from 0.
    index: usize,
    eui: &'static str,
    f_port: u8,
    /// Counts the sensor's transmissions.
    counter: u32,
    payload: Vec<u8>,
}

impl Transmission {
    /// As a Reyax RYLR module prints it.
    pub fn reyax_line(&self) -> Vec<u8> {
        encode::reyax_line(reyax_address(self.index), &self.payload, self.rssi())
    }

    /// Topic and event of ChirpStack v4, which received it at `time`.
    pub fn chirpstack_event(&self, time: UnixMs) -> (String, String) {
        encode::chirpstack_v4(&encode::Uplink {
            eui: self.eui,
            f_port: self.f_port,
            counter: self.counter,
            payload: &self.payload,
            rssi: self.rssi(),
            time,
        })
    }

    fn rssi(&self) -> i32 {
        RSSI_NEAREST - 4 * self.index as i32
    }
}

/// The address of a sensor on a Reyax network, which has no EUIs: from 1. `index`: its place in the kitchen.
pub fn reyax_address(index: usize) -> u16 {
    index as u16 + 1
}

/// How long, how fast, and which noise.
#[derive(Clone, Copy, Debug)]
pub struct Play {
    pub seed: u64,
    pub minutes: u32,
    /// The clock runs so many times faster than the real one.
    pub fast: u32,
}

impl Play {
    /// Sends every transmission at its time by `clock`; returns when all minutes are over or `send` fails.
    pub async fn run(
        self,
        clock: Arc<dyn Clock>,
        mut send: impl AsyncFnMut(Transmission) -> Result<()>,
    ) -> Result<()> {
        let start = clock.mono();
        for minute in 0..self.minutes {
            for (index, unit) in UNITS.iter().enumerate() {
                let at = i64::from(minute) * MINUTE_MS + index as i64 * MINUTE_MS / UNITS.len() as i64;
                self.wait_until(&*clock, MonoMs(start.0 + at)).await;
                let Some(values) = unit.message(self.seed, minute) else { continue };
                let (f_port, payload) = encode::encode(unit.model, &values)
                    .with_context(|| format!("encode what the sensor in {} says", unit.name))?;
                send(Transmission { index, eui: unit.eui, f_port, counter: minute + 1, payload }).await?;
            }
        }
        self.wait_until(&*clock, MonoMs(start.0 + i64::from(self.minutes) * MINUTE_MS)).await;
        Ok(())
    }

    /// Waits in real time for a moment of the clock, which may run faster.
    async fn wait_until(self, clock: &dyn Clock, at: MonoMs) {
        loop {
            let left_ms = at.0 - clock.mono().0;
            if left_ms <= 0 {
                return;
            }
            let real_us = (left_ms as u64).saturating_mul(1_000) / u64::from(self.fast.max(1));
            // The timer's own grain; never zero, so that the loop always gives way.
            tokio::time::sleep(Duration::from_micros(real_us.max(500))).await;
        }
    }
}
