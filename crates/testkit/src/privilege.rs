//! What a test does where the machine withholds something it needs: it skips with a line on stderr that nothing captures,
//! or fails where `REQUIRE_PRIVILEGED=1` says that nothing may be skipped.

use std::fmt::Display;
use std::io::Write;

/// Set to `1` to turn every skip into a failure.
pub const REQUIRE_PRIVILEGED: &str = "REQUIRE_PRIVILEGED";

/// The file that a line is added to for each skip, where it is set.
pub const SKIPPED_FILE: &str = "SKIPPED_FILE";

/// The value, or `None` with a loud word on the test that is skipped: the test then returns.
///
/// # Panics
///
/// Where `given` is an error and [`REQUIRE_PRIVILEGED`] is `1`.
pub fn require<T, E: Display>(needed: &str, given: Result<T, E>) -> Option<T> {
    let must = std::env::var_os(REQUIRE_PRIVILEGED).is_some_and(|value| value == "1");
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    given.map_err(|reason| skip(&skipped(test, format!("{needed}: {reason}").trim_end(), must))).ok()
}

fn skip(line: &str) {
    // Not eprintln!: the test harness would keep it to itself while the test "passes".
    let _ = writeln!(std::io::stderr(), "{line}");
    // `./test` counts the lines of this file.
    if let Some(path) = std::env::var_os(SKIPPED_FILE) {
        let file = std::fs::OpenOptions::new().append(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{line}"));
    }
}

fn skipped(test: &str, reason: &str, must: bool) -> String {
    assert!(!must, "{test} needs {reason}; {REQUIRE_PRIVILEGED}=1 lets nothing be skipped");
    format!("SKIPPED {test}: needs {reason}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_handed_on() {
        assert_eq!(require::<_, String>("a number", Ok(7)), Some(7));
    }

    #[test]
    fn a_skip_names_the_test_and_the_reason() {
        assert_eq!(skipped("my_test", "a thing: gone", false), "SKIPPED my_test: needs a thing: gone");
    }

    #[test]
    #[should_panic(expected = "my_test needs a thing: gone")]
    fn what_is_missing_fails_where_nothing_may_be_skipped() {
        skipped("my_test", "a thing: gone", true);
    }
}
