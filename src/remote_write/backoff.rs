//! How long to wait before the next try: growing, jittered, capped. Arithmetic only; who sleeps is elsewhere.

use std::time::Duration;

/// Waits between the tries of one request.
///
/// Five tries within about a second and a half: what takes longer is the queue's to wait for, at no cost.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first wait, before jitter.
    pub first: Duration,
    /// No wait is longer, before jitter.
    pub longest: Duration,
    /// Tries of one request, the first included.
    pub tries: u32,
}

// === impl Backoff ===

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(5), tries: 5 }
    }
}

impl Backoff {
    /// The wait after `tries` tries have failed; `None` where they were enough. `random` is from 0 to 1: the wait lies
    /// between half and one and a half of the one that doubles each time, so that functions that failed together do
    /// not come back together.
    #[must_use]
    pub fn wait(&self, tries: u32, random: f64) -> Option<Duration> {
        if tries >= self.tries {
            return None;
        }
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1)));
        Some(doubled.min(self.longest).mul_f64(0.5 + random.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_millis(500), tries: 6 };
        let waits: Vec<_> = (1..7).map(|tries| backoff.wait(tries, 0.5).map(|wait| wait.as_millis())).collect();
        assert_eq!(waits, [Some(100), Some(200), Some(400), Some(500), Some(500), None]);
    }

    #[test]
    fn jitter_is_half_the_wait_to_either_side() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(1, 0.0), Some(Duration::from_millis(50)));
        assert_eq!(backoff.wait(1, 1.0), Some(Duration::from_millis(150)));
        assert_eq!(backoff.wait(u32::MAX, 1.0), None);
    }
}
