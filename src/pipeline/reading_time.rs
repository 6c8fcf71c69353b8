//! Which time a reading gets: the network's, the sensor's own, or the hub's at reception. Pure.

use crate::domain::UnixMs;

/// Sensors that keep a history hold at most about this much of it (3,200 records, one each 40 min); a time before that
/// comes from a clock that was never set.
pub const HISTORY_MS_MAX: i64 = 92 * 24 * 60 * MINUTE_MS;
/// A sensor's clock may be ahead by this much: it is set by the network and drifts. The receiver refuses whole batches
/// with a reading more than 5 min in the future.
const SENSOR_AHEAD_MS_MAX: i64 = MINUTE_MS;
const MINUTE_MS: i64 = 60_000;

/// What is known about a measurement's time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// The hub's wall time when the frame came; None while its clock is not trusted.
    pub reception: Option<UnixMs>,
    /// `Frame::network_time`.
    pub network: Option<UnixMs>,
    /// `Frame::is_delayed`.
    pub is_delayed: bool,
    /// `Measurement::at`: it was measured before the frame was sent.
    pub inside: Option<UnixMs>,
    /// How old such a value may be and still be the present one; None where the frame holds a newer one of its probe, so
    /// that it is an entry of a history.
    pub present_ms: Option<i64>,
}

impl Times {
    /// When the frame was sent, as far as anybody knows: ages inside it count from there. Of what a gateway kept, the hub's
    /// time at reception says nothing.
    pub fn sent(self) -> Option<UnixMs> {
        let unchecked = self.network.filter(|_| self.reception.is_none());
        self.believed_network().or(unchecked).or_else(|| self.reception.filter(|_| !self.is_delayed))
    }

    /// The network's time where the hub can check it.
    fn believed_network(self) -> Option<UnixMs> {
        let (network, reception) = (self.network?, self.reception?);
        (network <= reception && is_recent(network, reception)).then_some(network)
    }
}

/// The time that a reading is stored with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadingTime {
    /// The hub's own at reception: `hub_log.own_ms` stays NULL and follows the placement of the boot.
    Reception,
    /// Before the reception, and nobody knows when: always late. The hub's own at reception is the latest it can be.
    Delayed,
    /// The network's, which may be long before reception (a broker's queue).
    Network(UnixMs),
    /// Measured a while before the frame was sent, and the newest the sensor has: some say of each value how old it is.
    Aged(UnixMs),
    /// From a history inside the frame: always late.
    History(UnixMs),
}

/// A history entry whose time cannot be believed. It is no reading: at the hub's time it would be a lie. The frame
/// stays among the raw ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("history entry at {} ms is in the future; the sensor's clock is wrong", .0.0)]
    Future(UnixMs),
    #[error("history entry at {} ms is older than a sensor remembers; its clock was never set", .0.0)]
    TooOld(UnixMs),
    #[error("history entry at {} ms cannot be compared: neither the hub nor the network knows the time", .0.0)]
    NothingToCompare(UnixMs),
}

impl ReadingTime {
    pub fn of(times: Times) -> Result<Self, TimeError> {
        if let Some(inside) = times.inside {
            return believe_history(inside, times);
        }
        Ok(match times.believed_network() {
            Some(network) => Self::Network(network),
            None if times.is_delayed => Self::Delayed,
            None => Self::Reception,
        })
    }

    /// `hub_log.own_ms`.
    pub fn own(self) -> Option<UnixMs> {
        match self {
            Self::Reception | Self::Delayed => None,
            Self::Network(at) | Self::Aged(at) | Self::History(at) => Some(at),
        }
    }

    /// The rules judge the present: a history entry is late, and so is what is older than the newest judged reading of
    /// its probe.
    pub fn is_late(self, newest_judged: Option<UnixMs>) -> bool {
        match self {
            Self::Reception => false,
            Self::Network(at) | Self::Aged(at) => newest_judged.is_some_and(|newest| at < newest),
            Self::Delayed | Self::History(_) => true,
        }
    }
}

fn believe_history(inside: UnixMs, times: Times) -> Result<ReadingTime, TimeError> {
    let now = times.reception.or(times.network).ok_or(TimeError::NothingToCompare(inside))?;
    // What a gateway kept for nobody knows how long holds nothing of the present.
    let may_be_present = !times.is_delayed || times.believed_network().is_some();
    if inside.0 > now.0.saturating_add(SENSOR_AHEAD_MS_MAX) {
        Err(TimeError::Future(inside))
    } else if may_be_present && times.present_ms.is_some_and(|limit| now.0.saturating_sub(inside.0) <= limit)
    {
        Ok(ReadingTime::Aged(inside.min(now)))
    } else if is_recent(inside, now) {
        Ok(ReadingTime::History(inside.min(now)))
    } else {
        Err(TimeError::TooOld(inside))
    }
}

fn is_recent(at: UnixMs, now: UnixMs) -> bool {
    now.0.saturating_sub(at.0) <= HISTORY_MS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000_000;
    const DAY: i64 = 24 * 60 * MINUTE_MS;

    /// Times relative to `NOW`.
    #[track_caller]
    fn check(
        reception: Option<i64>,
        network: Option<i64>,
        inside: Option<i64>,
        want: Result<ReadingTime, TimeError>,
    ) {
        let at = |offset: Option<i64>| offset.map(|offset| UnixMs(NOW + offset));
        let times =
            Times { reception: at(reception), network: at(network), inside: at(inside), ..Times::default() };
        assert_eq!(ReadingTime::of(times), want, "{reception:?} {network:?} {inside:?}");
    }

    fn at(offset: i64) -> UnixMs {
        UnixMs(NOW + offset)
    }

    #[test]
    fn the_networks_time_counts_when_the_hub_can_check_it() {
        let network = |offset| Ok(ReadingTime::Network(at(offset)));
        let reception = Ok(ReadingTime::Reception);
        check(Some(0), None, None, reception);
        check(None, None, None, reception);
        check(Some(0), Some(-300), None, network(-300));
        check(Some(0), Some(0), None, network(0));
        check(Some(0), Some(1), None, reception);
        check(None, Some(-300), None, reception);
        check(Some(0), Some(-2 * DAY), None, network(-2 * DAY));
        check(Some(0), Some(-93 * DAY), None, reception);
        check(Some(0), Some(-NOW), None, reception);
    }

    #[test]
    fn a_history_entry_keeps_the_sensors_time_when_its_clock_is_plausible() {
        let history = |offset| Ok(ReadingTime::History(at(offset)));
        check(Some(0), None, Some(-DAY), history(-DAY));
        check(Some(0), Some(-500), Some(-DAY), history(-DAY));
        check(None, Some(0), Some(-DAY), history(-DAY));
        // A clock a little ahead: never after the reception.
        check(Some(0), None, Some(MINUTE_MS), history(0));
        check(Some(0), None, Some(MINUTE_MS + 1), Err(TimeError::Future(at(MINUTE_MS + 1))));
        check(Some(0), None, Some(-92 * DAY), history(-92 * DAY));
        check(Some(0), None, Some(-92 * DAY - 1), Err(TimeError::TooOld(at(-92 * DAY - 1))));
        check(Some(0), None, Some(-NOW), Err(TimeError::TooOld(UnixMs(0))));
        check(None, None, Some(-DAY), Err(TimeError::NothingToCompare(at(-DAY))));
        check(Some(i64::MAX - NOW), None, Some(-NOW), Err(TimeError::TooOld(UnixMs(0))));
    }

    #[test]
    fn what_a_gateway_kept_is_of_the_networks_time_or_of_none() {
        for (reception, network, want) in [
            (Some(0), None, ReadingTime::Delayed),
            (None, None, ReadingTime::Delayed),
            (Some(0), Some(-MINUTE_MS), ReadingTime::Network(at(-MINUTE_MS))),
            // Which cannot be checked.
            (None, Some(-MINUTE_MS), ReadingTime::Delayed),
            (Some(0), Some(1), ReadingTime::Delayed),
        ] {
            let times = Times {
                reception: reception.map(at),
                network: network.map(at),
                is_delayed: true,
                ..Times::default()
            };
            assert_eq!(ReadingTime::of(times), Ok(want), "{reception:?} {network:?}");
        }
    }

    #[test]
    fn ages_count_from_when_the_frame_was_sent() {
        for (reception, network, is_delayed, want) in [
            (Some(0), None, false, Some(0)),
            (Some(0), Some(-300), false, Some(-300)),
            (Some(0), Some(1), false, Some(0)),
            (None, Some(-300), false, Some(-300)),
            (None, None, false, None),
            (Some(0), None, true, None),
            (Some(0), Some(-MINUTE_MS), true, Some(-MINUTE_MS)),
            (Some(0), Some(1), true, None),
            (Some(0), Some(-93 * DAY), true, None),
            (None, Some(-MINUTE_MS), true, Some(-MINUTE_MS)),
            (None, None, true, None),
        ] {
            let times = Times {
                reception: reception.map(at),
                network: network.map(at),
                is_delayed,
                ..Times::default()
            };
            assert_eq!(times.sent(), want.map(at), "{reception:?} {network:?} {is_delayed}");
        }
    }

    #[test]
    fn a_frame_kept_for_nobody_knows_how_long_holds_nothing_present() {
        let limit = 30 * MINUTE_MS;
        for (reception, network, want) in [
            (Some(0), Some(-2), ReadingTime::Aged(at(-MINUTE_MS))),
            (Some(0), None, ReadingTime::History(at(-MINUTE_MS))),
            (Some(0), Some(1), ReadingTime::History(at(-MINUTE_MS))),
            (None, Some(0), ReadingTime::History(at(-MINUTE_MS))),
        ] {
            let times = Times {
                reception: reception.map(at),
                network: network.map(at),
                is_delayed: true,
                inside: Some(at(-MINUTE_MS)),
                present_ms: Some(limit),
            };
            assert_eq!(ReadingTime::of(times), Ok(want), "{reception:?} {network:?}");
        }
    }

    #[test]
    fn a_value_that_is_not_older_than_its_probe_may_be_silent_is_the_present_one() {
        let limit = 30 * MINUTE_MS;
        for (reception, network, inside, want) in [
            (Some(0), None, -limit, ReadingTime::Aged(at(-limit))),
            (Some(0), None, -limit - 1, ReadingTime::History(at(-limit - 1))),
            (Some(0), None, MINUTE_MS, ReadingTime::Aged(at(0))),
            (None, Some(0), -limit, ReadingTime::Aged(at(-limit))),
        ] {
            let known = |offset: Option<i64>| offset.map(at);
            let times = Times {
                reception: known(reception),
                network: known(network),
                inside: Some(at(inside)),
                present_ms: Some(limit),
                ..Times::default()
            };
            assert_eq!(ReadingTime::of(times), Ok(want), "{reception:?} {network:?} {inside}");
        }
    }

    #[test]
    fn histories_and_what_is_overtaken_are_late() {
        for (time, newest, want) in [
            (ReadingTime::Reception, Some(5), false),
            (ReadingTime::Delayed, None, true),
            (ReadingTime::Network(at(4)), None, false),
            (ReadingTime::Network(at(4)), Some(5), true),
            (ReadingTime::Network(at(5)), Some(5), false),
            (ReadingTime::Aged(at(4)), None, false),
            (ReadingTime::Aged(at(4)), Some(5), true),
            (ReadingTime::Aged(at(5)), Some(5), false),
            (ReadingTime::History(at(6)), Some(5), true),
            (ReadingTime::History(at(6)), None, true),
        ] {
            assert_eq!(time.is_late(newest.map(at)), want, "{time:?} {newest:?}");
        }
        assert_eq!((ReadingTime::Reception.own(), ReadingTime::Delayed.own()), (None, None));
        assert_eq!(ReadingTime::Network(at(1)).own(), Some(at(1)));
    }
}
