//! Wiring of the power supply: its changes become jobs of the core.

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::config::PowerSection;
use crate::pipeline::Core;
use crate::pipeline::driver::CoreHandle;
use crate::power::{News, Power, watch as supply};

/// Watches what is configured, if anything is.
pub fn spawn(
    section: &PowerSection,
    tasks: &mut JoinSet<Result<&'static str>>,
    core: &CoreHandle,
    clock: &Arc<dyn Clock>,
    shutdown: &watch::Receiver<bool>,
) {
    if !section.is_watched() {
        return;
    }
    let reader = supply::Configured::new(section);
    let power = Power::new(i64::from(section.debounce_s) * 1_000, section.battery_low);
    let (core, clock, shutdown) = (core.clone(), clock.clone(), shutdown.clone());
    tasks.spawn(async move {
        supply::run(reader, power, clock, shutdown, |news| {
            let core = core.clone();
            async move {
                let event = match news {
                    News::Event(event) => event,
                    News::Known => return core.call(Core::power_is_known).await,
                    News::Unknown(why) => return core.call(|core| core.power_is_unknown(why)).await,
                };
                // The store's trouble is told and tried again where it is; the watch goes on.
                if let Err(error) = core.call(move |core| core.power_changed(event)).await? {
                    tracing::error!(%error, "failed to write down the change of power: {error:#}");
                }
                Ok(())
            }
        })
        .await?;
        Ok("power")
    });
}
