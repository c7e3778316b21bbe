//! All that a person reads: the steps on stderr as they happen, what was asked for on stdout.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Where the program speaks. A reader that went away (`| head`) is no error; on stdout, everything else is.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    colour: bool,
}

const GREEN: &str = "32";
const YELLOW: &str = "33";
const RED: &str = "31";
const DIM: &str = "2";
const BOLD: &str = "1";

#[expect(clippy::unused_self, reason = "whoever holds the output speaks through it, coloured or not")]
impl Output {
    /// Coloured where both streams are a terminal, unless `NO_COLOR` is set (no-color.org).
    pub(crate) fn new() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colour: wanted && io::stderr().is_terminal() && io::stdout().is_terminal() }
    }

    /// A step that went well.
    pub(crate) fn step(&self, stopwatch: Stopwatch, text: impl Display) {
        let time = format!("({} ms)", stopwatch.elapsed().as_millis());
        note(&format!("{} {text} {}", self.paint(GREEN, "✔"), self.paint(DIM, &time)));
    }

    /// Something that a person should know, and that is no failure.
    pub(crate) fn warning(&self, text: impl Display) {
        note(&format!("{} {text}", self.paint(YELLOW, "!")));
    }

    /// A step that failed.
    pub(crate) fn failure(&self, text: impl Display) {
        note(&format!("{} {text}", self.paint(RED, "✘")));
    }

    /// What belongs to the step before.
    pub(crate) fn detail(&self, text: impl Display) {
        for line in text.to_string().lines() {
            note(&format!("    {line}"));
        }
    }

    /// A line of a program's own output.
    pub(crate) fn log(&self, program: &str, line: &str) {
        note(&self.paint(DIM, &format!("  {program} | {line}")));
    }

    /// A line that stands alone.
    pub(crate) fn plain(&self, text: impl Display) {
        note(&text.to_string());
    }

    /// What ended the program.
    pub(crate) fn error(&self, text: &str) {
        note(&format!("{} {text}", self.paint(RED, "kubectl-imds:")));
    }

    /// On stdout: a command line, as if typed.
    pub(crate) fn prompt(&self, text: &str) -> io::Result<()> {
        self.data(&format!("{} {}\n", self.paint(DIM, "$"), self.paint(BOLD, text)))
    }

    /// On stdout: the answer to it.
    pub(crate) fn answer(&self, text: &str) -> io::Result<()> {
        self.data(&format!("{text}\n"))
    }

    /// On stdout: what it comes to.
    pub(crate) fn verdict(&self, text: impl Display) -> io::Result<()> {
        self.data(&format!("{} {text}\n", self.paint(GREEN, "✔")))
    }

    /// On stdout: data, as it is.
    pub(crate) fn data(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Measures a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "the time is told to a person; nothing depends on it")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}
