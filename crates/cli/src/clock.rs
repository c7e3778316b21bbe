//! The one place that asks the system for the time. It is taken once, and handed on as an argument.

use std::time::SystemTime;

#[expect(clippy::disallowed_methods, reason = "the one place")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
