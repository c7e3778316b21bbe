//! The figures as a table of Markdown.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cases::{Scenario, Which};
use crate::measures::Measures;

/// From when on the busiest second counts: in the first minute of a restart it is the first, whatever the schedule.
const AFTER: Duration = Duration::from_mins(1);

/// One row a scenario, one column a schedule. `measures` tells what came of each.
pub(crate) fn table<'a>(measures: impl Fn(Scenario, Which) -> Option<&'a Measures>) -> String {
    let mut text = String::from("| |");
    for which in Which::ALL {
        let _ = write!(text, " {} |", which.name());
    }
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(Which::ALL.len()));
    for scenario in Scenario::ALL {
        let _ = write!(text, "\n| {} |", scenario.name());
        for which in Which::ALL {
            let cell = measures(scenario, which).map(cell).unwrap_or_default();
            let _ = write!(text, " {cell} |");
        }
    }
    text.push('\n');
    text
}

fn cell(measures: &Measures) -> String {
    let (longest, goes_on) = measures.longest_without();
    let at_least = if goes_on { "≥ " } else { "" };
    format!(
        "{}/s · {:.1}<br>{at_least}{} · {}",
        number(measures.peak(AFTER)),
        measures.refused_a_pod(),
        time(longest),
        share(measures.stale_share())
    )
}

/// With the thousands apart.
fn number(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 100.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

fn share(share: f64) -> String {
    match 100.0 * share {
        0.0 => "0 %".to_owned(),
        percent if percent < 0.1 => "< 0.1 %".to_owned(),
        percent if percent < 10.0 => format!("{percent:.1} %"),
        percent => format!("{percent:.0} %"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [number(7), number(999), number(1_000), number(1_234_567)],
            ["7", "999", "1,000", "1,234,567"]
        );
        assert_eq!([time(Duration::from_millis(70)), time(Duration::from_secs(200))], ["0 s", "3 min"]);
        assert_eq!(
            [share(0.0), share(0.0004), share(0.0216), share(1.0)],
            ["0 %", "< 0.1 %", "2.2 %", "100 %"]
        );
    }
}
