//! Exponential back-off with full jitter.

/// First ceiling, 1 s.
pub const DELAY_MS_MIN: u64 = 1_000;
/// Last ceiling, 5 min.
pub const DELAY_MS_MAX: u64 = 300_000;

/// The delay before try `attempt` (0: the first repeat): uniform in 1..=min(1 s * 2^attempt, 5 min) ms; `random` is
/// uniform over u64. A server's Retry-After, where there is one, is the least.
pub fn delay_ms(attempt: u32, random: u64, retry_after_ms: Option<u64>) -> u64 {
    let ceiling = DELAY_MS_MIN.saturating_mul(1 << attempt.min(20)).min(DELAY_MS_MAX);
    (1 + random % ceiling).max(retry_after_ms.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_five_minutes_and_obeys_the_server() {
        for (attempt, random, retry_after, want) in [
            (0, 999, None, 1_000),
            (0, 0, None, 1),
            (3, 7_999, None, 8_000),
            (40, u64::MAX, None, 1 + u64::MAX % 300_000),
            (0, 5, Some(30_000), 30_000),
        ] {
            assert_eq!(delay_ms(attempt, random, retry_after), want, "attempt {attempt}");
        }
    }
}
