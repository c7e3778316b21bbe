//! All that a person reads: the steps on stderr as they happen, what was asked for on stdout.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Where the program speaks. A reader that went away (`| head`) is no error; on stdout, everything else is.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    colour: bool,
}

/// How it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    Tick,
    Exclamation,
    Cross,
}

/// Of a text that is broken into lines, in characters.
const WIDTH: usize = 100;
const NAME_WIDTH: usize = 9;

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

    /// What somebody at a terminal waits for.
    pub(crate) fn progress(&self, text: &str) {
        if io::stderr().is_terminal() {
            note(&self.paint(DIM, text));
        }
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

    /// On stdout: a finding; its word, where it is to be looked up, and what mends it.
    pub(crate) fn finding(
        &self,
        mark: Mark,
        sentence: &str,
        word: Option<&str>,
        remedy: Option<&str>,
    ) -> io::Result<()> {
        let mark = match mark {
            Mark::Tick => self.paint(GREEN, "✔"),
            Mark::Exclamation => self.paint(YELLOW, "!"),
            Mark::Cross => self.paint(RED, "✘"),
        };
        let word = word.map(|word| format!(" {}", self.paint(DIM, &format!("[{word}]"))));
        let mut text = format!("{mark} {sentence}{}\n", word.unwrap_or_default());
        for line in remedy.unwrap_or_default().lines() {
            text.extend(["    ", line, "\n"]);
        }
        self.data(&text)
    }

    /// On stdout: a named text, in lines that a terminal shows whole.
    pub(crate) fn entry(&self, name: &str, text: &str) -> io::Result<()> {
        let lines = wrapped(text, WIDTH - NAME_WIDTH - 3);
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        let lines = names.zip(lines).map(|(name, line)| format!("  {name:<NAME_WIDTH$} {line}\n"));
        self.data(&lines.collect::<String>())
    }

    /// On stdout: what the lines after it are about.
    pub(crate) fn heading(&self, text: &str) -> io::Result<()> {
        self.data(&format!("\n{}\n", self.paint(BOLD, text)))
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

/// The words in lines of at most so many characters, where no word is longer.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.extend([" ", word]);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two-is-long x", 5), ["one", "two-is-long", "x"]);
        assert_eq!(wrapped("", 5), [""]);
    }
}
