//! A hub's past that is the same every time.

use std::path::Path;

use crate::kitchen;
use crate::past::{MINUTE_MS, Past};

/// A hub's folder with so many sensors and about so many of their readings, one each minute, that nobody took yet.
pub fn fill(state: &Path, sensors: usize, readings: u32) {
    let minutes = readings / sensors as u32;
    let mut past = Past::begin(state, sensors, (i64::from(minutes) + 1) * MINUTE_MS);
    for minute in 0..minutes {
        for sensor in 0..sensors {
            let hundredths = 200 + ((minute * 7 + sensor as u32 * 31) % 200) as i32;
            past.hear(&kitchen::line(minute, sensor, hundredths));
        }
        past.pass(MINUTE_MS);
    }
    past.end();
}
