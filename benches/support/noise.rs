//! What differs from reading to reading of a steady fridge.

// Standard deviations: ms, hundredths of a degree, hundredths of a percent, dBm.
pub const JITTER_MS: f64 = 200.0;
pub const TEMPERATURE_NOISE: f64 = 4.0;
pub const HUMIDITY_NOISE: f64 = 20.0;
pub const RSSI_NOISE: f64 = 3.0;

/// SplitMix64, and Box-Muller on top.
pub struct Noise(pub u64);

impl Noise {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// In (0, 1).
    pub fn uniform(&mut self) -> f64 {
        ((self.next() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    pub fn gaussian(&mut self) -> f64 {
        (-2.0 * self.uniform().ln()).sqrt() * (std::f64::consts::TAU * self.uniform()).cos()
    }
}
