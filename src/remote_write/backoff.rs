//! The time before the next try. It grows, has jitter and a maximum. This module only computes it; the sender sleeps.

use std::time::Duration;

/// The waits between the tries of one request. The defaults make five tries within about a second and a half; in a
/// longer outage messages wait on the queue, at no cost.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first wait, before jitter.
    pub first: Duration,
    /// No wait is longer, before jitter.
    pub longest: Duration,
    /// Tries of one request, the first included.
    pub tries: u32,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(5), tries: 5 }
    }
}

impl Backoff {
    /// Returns the wait after `tries` tries have failed; `None` if these were all. `random`, from 0 to 1, jitters the doubled wait by
    /// half of it. Functions that failed together then do not retry together.
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
    fn doubles_the_wait_up_to_the_longest_and_then_ends() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_millis(500), tries: 6 };
        let waits: Vec<_> = (1..7).map(|tries| backoff.wait(tries, 0.5).map(|wait| wait.as_millis())).collect();
        assert_eq!(waits, [Some(100), Some(200), Some(400), Some(500), Some(500), None]);
    }

    #[test]
    fn jitters_by_half_of_the_wait_in_either_direction() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait(1, 0.0), Some(Duration::from_millis(50)));
        assert_eq!(backoff.wait(1, 1.0), Some(Duration::from_millis(150)));
        assert_eq!(backoff.wait(u32::MAX, 1.0), None);
    }
}
