//! Downlinks: by which gateway, in which window, and not before what they rely on is stored.

use super::Lns;
use crate::domain::MonoMs;
use crate::lorawan::duty::Duty;
use crate::lorawan::gateway::{Context, Downlink, Reception, Window};
use crate::lorawan::ids::Eui;
use crate::lorawan::region::{Region, Slot};
use crate::lorawan::session::SessionChange;

/// A gateway must have a downlink this long before its window: the way there, and the 40 ms a packet forwarder needs to
/// set up its radio.
pub const TX_LEAD_MS: i64 = 100;

/// Why a device gets no answer although it wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Withheld {
    #[error("both receive windows were over; the hub or the way to the gateway is too slow")]
    TooLate,
    #[error("the gateway's time in this band is used up (duty cycle)")]
    DutyCycle,
    #[error("no gateway that heard it can send")]
    NoGateway,
    #[error("the device's downlink counter is used up; it must join again")]
    CounterExhausted,
}

/// Changes, and the downlink that relies on them: a counter or nonce that was sent and then forgotten makes the device deaf to
/// this hub. Therefore the downlink is only to be had after [`Sealed::committed`].
#[must_use = "the changes must be stored"]
#[derive(Debug, Default)]
pub struct Sealed {
    changes: Vec<SessionChange>,
    downlink: Option<Downlink>,
}

impl Sealed {
    pub(super) fn new(changes: Vec<SessionChange>, downlink: Option<Downlink>) -> Self {
        Self { changes, downlink }
    }

    /// What must be stored. With none, nothing needs a commit of its own.
    pub fn changes(&self) -> &[SessionChange] {
        &self.changes
    }

    /// Somebody waits for an answer: commit now, the window is a second away.
    pub fn is_urgent(&self) -> bool {
        self.downlink.is_some()
    }

    /// Call it when the changes are committed (synced to disk), and only then. Drop it when they are not: the device repeats
    /// itself, and a number that was skipped does no harm.
    pub fn committed(self) -> Option<Downlink> {
        self.downlink
    }
}

/// A gateway and the windows it still can send in.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub gateway: Eui,
    context: Context,
    heard_at: MonoMs,
    pub windows: Vec<Window>,
}

impl Route {
    pub fn into_downlink(self, dev_eui: Eui, phy: Vec<u8>) -> Downlink {
        Downlink {
            dev_eui,
            gateway: self.gateway,
            context: self.context,
            phy,
            heard_at: self.heard_at,
            windows: self.windows,
        }
    }
}

/// Bytes of a downlink that is not made yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub least: usize,
    pub most: usize,
}

impl Lns {
    /// The best gateway that can send in a window; `delays_ms` of the first and the second.
    pub(super) fn route(
        &self,
        heard: &[Reception],
        delays_ms: [u32; 2],
        size: Size,
        now: MonoMs,
    ) -> Result<Route, Withheld> {
        let mut why = Withheld::NoGateway;
        for reception in heard {
            let Some(context) = reception.context else {
                continue;
            };
            let all = self.slots(reception, delays_ms, size.least);
            let in_time: Vec<Window> =
                all.into_iter().filter(|window| is_in_time(reception.at, window, now)).collect();
            let (region, gateway) = (self.config.region, reception.gateway);
            let allowed = |window: &Window| allows(&self.duty, region, gateway, window, size.most, now);
            if in_time.is_empty() {
                why = Withheld::TooLate;
            } else if !in_time.iter().any(allowed) {
                why = Withheld::DutyCycle;
            } else {
                return Ok(Route { gateway, context, heard_at: reception.at, windows: in_time });
            }
        }
        Err(why)
    }

    fn slots(&self, reception: &Reception, delays_ms: [u32; 2], bytes: usize) -> Vec<Window> {
        let region = self.config.region;
        let dr = region.uplink_dr(reception.rate);
        let rx1 = dr.and_then(|dr| region.rx1(Slot { hz: reception.hz, dr }));
        [(1, rx1, delays_ms[0]), (2, Some(region.rx2()), delays_ms[1])]
            .into_iter()
            .filter_map(|(number, slot, delay_ms)| {
                let slot = slot.filter(|slot| region.fits(slot.dr, bytes))?;
                Some(Window {
                    number,
                    delay_ms,
                    hz: slot.hz,
                    dr: slot.dr,
                    rate: region.data_rate(slot.dr)?,
                    eirp_dbm: region.eirp_dbm_max(slot.hz).min(self.config.eirp_dbm_max),
                })
            })
            .collect()
    }
}

pub(super) fn next_window(
    duty: &mut Duty,
    region: Region,
    downlink: &mut Downlink,
    now: MonoMs,
) -> Option<Window> {
    let bytes = downlink.phy.len();
    while !downlink.windows.is_empty() {
        let window = downlink.windows.remove(0);
        if is_in_time(downlink.heard_at, &window, now)
            && allows(duty, region, downlink.gateway, &window, bytes, now)
        {
            if let Some(band) = region.duty_band(window.hz) {
                duty.charge(downlink.gateway, band, window.rate.airtime_us(bytes), now);
            }
            return Some(window);
        }
    }
    None
}

/// All windows left at once, for a gateway that chooses by itself: it takes the first if it can, which is the one counted.
pub(super) fn all_windows(
    duty: &mut Duty,
    region: Region,
    downlink: &mut Downlink,
    now: MonoMs,
) -> Vec<Window> {
    let mut windows: Vec<Window> = next_window(duty, region, downlink, now).into_iter().collect();
    let bytes = downlink.phy.len();
    let left = std::mem::take(&mut downlink.windows);
    windows.extend(left.into_iter().filter(|window| {
        is_in_time(downlink.heard_at, window, now)
            && allows(duty, region, downlink.gateway, window, bytes, now)
    }));
    windows
}

fn is_in_time(heard_at: MonoMs, window: &Window, now: MonoMs) -> bool {
    now.0 + TX_LEAD_MS <= heard_at.0 + i64::from(window.delay_ms)
}

fn allows(duty: &Duty, region: Region, gateway: Eui, window: &Window, bytes: usize, now: MonoMs) -> bool {
    let airtime_us = window.rate.airtime_us(bytes);
    region.duty_band(window.hz).is_none_or(|band| duty.allows(gateway, band, airtime_us, now))
}
