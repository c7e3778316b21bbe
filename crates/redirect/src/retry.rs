//! More than one try. In a Pod with `restartPolicy: Never` kubelet gives no second one: the Pod has failed, and its Job has one Pod less.

use std::time::Duration;

use crate::error::Error;

/// Milliseconds before the second try, and so on: three seconds in all.
const PAUSES: [u64; 5] = [100, 200, 400, 800, 1600];

/// The first success, or the last error. Another try comes only after an error that may pass.
pub fn with_retries<T>(
    mut attempt: impl FnMut() -> Result<T, Error>,
    mut pause: impl FnMut(Duration),
) -> Result<T, Error> {
    for milliseconds in PAUSES {
        match attempt() {
            Err(error) if error.may_pass() => pause(Duration::from_millis(milliseconds)),
            outcome => return outcome,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    fn refused(errno: Errno) -> Error {
        Error::Refused { attempt: String::new(), errno }
    }

    #[test]
    fn what_may_pass_is_tried_again_for_three_seconds() {
        for error in [|| refused(Errno::AGAIN), || refused(Errno::NOBUFS), || Error::Different(Vec::new())] {
            let (mut tries, mut waited) = (0, Duration::ZERO);
            let outcome: Result<(), _> = with_retries(
                || {
                    tries += 1;
                    Err(error())
                },
                |pause| waited += pause,
            );
            assert!(outcome.is_err());
            assert_eq!((tries, waited), (6, Duration::from_millis(3100)));
        }
        let mut tries = 0;
        let second = with_retries(
            || {
                tries += 1;
                if tries == 2 { Ok(tries) } else { Err(refused(Errno::BUSY)) }
            },
            |_| (),
        );
        assert_eq!(second.unwrap(), 2);
    }

    #[test]
    fn what_stays_as_it_is_is_told_at_once() {
        let lasting =
            [refused(Errno::PERM), Error::NoNftables(Errno::NOENT), Error::NoNetAdmin { granted: false }];
        for error in lasting {
            let mut error = Some(error);
            let outcome: Result<(), _> =
                with_retries(|| Err(error.take().expect("one try")), |_| panic!("it waits"));
            assert!(outcome.is_err());
        }
    }
}
