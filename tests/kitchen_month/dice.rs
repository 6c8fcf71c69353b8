//! Seeded chance. Each process of a unit draws from its own stream, so that a twin without a failure is the same month
//! otherwise.

#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(parts: &[u64]) -> Self {
        Self(
            parts
                .iter()
                .fold(0x9E37_79B9_7F4A_7C15, |sum, part| mix(sum ^ part.wrapping_mul(0xD134_2543_DE82_EF95))),
        )
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// From `low` to `high`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.between(0.0, 1.0) < probability
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[(self.next() % of.len() as u64) as usize]
    }

    /// Bell-shaped around 0, of spread 1.
    pub fn bell(&mut self) -> f64 {
        (0..6).map(|_| self.between(-0.5, 0.5)).sum::<f64>() * std::f64::consts::SQRT_2
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}
