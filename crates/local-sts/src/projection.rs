//! A token file that is kept fresh as kubelet keeps a projected token fresh.

use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::token_file::{Mode, TokenFile};
use crate::{Claims, Issuer};

/// However long a token lives, kubelet renews it after a day. Source: Kubernetes, `pkg/kubelet/token`.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// The second that a token may lack, and the time to write it.
const ROUNDING: Duration = Duration::from_millis(1500);

/// What to put where.
#[derive(Debug, Clone)]
pub struct Projection {
    /// The directory of the token file.
    pub directory: PathBuf,
    /// Who may read it.
    pub mode: Mode,
    /// Whom the token names, and how long it lives.
    pub claims: Claims,
}

pub(crate) struct Projected {
    /// Kept by whoever writes: the file bears one writer at a time.
    file: Mutex<TokenFile>,
    claims: Claims,
}

impl Projected {
    pub(crate) fn new(projection: Projection) -> io::Result<Self> {
        let Projection { directory, mode, claims } = projection;
        Ok(Self { file: Mutex::new(TokenFile::new(&directory, mode)?), claims })
    }

    /// The path that a program is given.
    pub(crate) fn path(&self) -> PathBuf {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).path()
    }

    /// Mints a token and puts it in place.
    pub(crate) fn renew(&self, issuer: &Issuer, now: SystemTime) -> io::Result<()> {
        let token = issuer.mint(&self.claims, now);
        self.file.lock().unwrap_or_else(PoisonError::into_inner).write(&token, now)
    }

    /// From one renewal to the next: 80 % of the token's life; a failed one is soon tried again.
    pub(crate) fn wait_after(&self, renewal: &io::Result<()>) -> Duration {
        let life = self.claims.lifetime;
        let wait = match renewal {
            // A token counts in whole seconds, rounded down: a very short one may have a second less than it was given.
            Ok(()) => (life * 4 / 5).min(life.saturating_sub(ROUNDING)),
            Err(_) => life / 20,
        };
        wait.clamp(Duration::from_millis(100), LONGEST_WAIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_renewed_at_80_percent_of_its_life_and_after_a_day_at_the_latest() {
        let directory = tempfile::tempdir().unwrap();
        let wait = |lifetime, renewal: &io::Result<()>| {
            let claims = Claims { lifetime, ..Claims::new("default", "web", "nginx") };
            let directory = directory.path().to_owned();
            Projected::new(Projection { directory, mode: Mode::Owner, claims }).unwrap().wait_after(renewal)
        };
        assert_eq!(wait(Duration::from_hours(1), &Ok(())), Duration::from_mins(48));
        assert_eq!(
            wait(Duration::from_hours(1), &Err(io::Error::other("disk full"))),
            Duration::from_mins(3)
        );
        assert_eq!(wait(Duration::from_hours(365 * 24), &Ok(())), Duration::from_hours(24));
        assert_eq!(wait(Duration::from_secs(2), &Ok(())), Duration::from_millis(500), "well before its end");
    }
}
