//! All that a person reads: the steps on stderr as they happen, what was asked for on stdout. The door of the program: whatever a
//! text holds, a method that prints a line prints one line, and nothing that a terminal obeys (see [`visible`]).

use std::fmt;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use imds_contract::{visible, visible_lines};

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
        note(&format!("{} {} {}", self.paint(GREEN, "✔"), line(text), self.paint(DIM, &time)));
    }

    /// Something that a person should know, and that is no failure.
    pub(crate) fn warning(&self, text: impl Display) {
        note(&format!("{} {}", self.paint(YELLOW, "!"), line(text)));
    }

    /// A step that failed.
    pub(crate) fn failure(&self, text: impl Display) {
        note(&format!("{} {}", self.paint(RED, "✘"), line(text)));
    }

    /// A line that belongs to the step before.
    pub(crate) fn detail(&self, text: impl Display) {
        note(&format!("    {}", line(text)));
    }

    /// Lines that belong to the step before.
    pub(crate) fn details(&self, lines: impl IntoIterator<Item = impl Display>) {
        lines.into_iter().for_each(|line| self.detail(line));
    }

    /// A line of a program's own output.
    pub(crate) fn log(&self, program: &str, text: &str) {
        note(&self.paint(DIM, &format!("  {} | {}", line(program), line(text))));
    }

    /// A line that stands alone.
    pub(crate) fn plain(&self, text: impl Display) {
        note(&line(text));
    }

    /// What somebody at a terminal waits for.
    pub(crate) fn progress(&self, text: &str) {
        if io::stderr().is_terminal() {
            note(&self.paint(DIM, &line(text)));
        }
    }

    /// What ended the program, in a line.
    pub(crate) fn error(&self, text: impl Display) {
        note(&format!("{} {}", self.paint(RED, "kubectl-imds:"), line(text)));
    }

    /// What ended the program; where a program said why, its lines too.
    pub(crate) fn failed(&self, error: &anyhow::Error) {
        self.error(format_args!("{error:#}"));
        for said in error.chain().filter_map(|cause| cause.downcast_ref::<ProgramFailed>()) {
            self.details(&said.lines);
        }
    }

    /// On stdout: a command line, as if typed.
    pub(crate) fn prompt(&self, text: &str) -> io::Result<()> {
        self.data(&format!("{} {}\n", self.paint(DIM, "$"), self.paint(BOLD, &line(text))))
    }

    /// On stdout: a line.
    pub(crate) fn answer(&self, text: &str) -> io::Result<()> {
        self.data(&format!("{}\n", line(text)))
    }

    /// On stdout: a text whose line breaks are ours, such as JSON.
    pub(crate) fn lines(&self, text: &str) -> io::Result<()> {
        self.data(&format!("{}\n", visible_lines(text)))
    }

    /// On stdout: what it comes to.
    pub(crate) fn verdict(&self, text: impl Display) -> io::Result<()> {
        self.data(&format!("{} {}\n", self.paint(GREEN, "✔"), line(text)))
    }

    /// On stdout: a finding; its word, where it is to be looked up; and what mends it, whose line breaks are ours.
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
        let mut text = format!("{mark} {}{}\n", line(sentence), self.word(word));
        for line in visible_lines(remedy.unwrap_or_default()).lines() {
            text.extend(["    ", line, "\n"]);
        }
        self.data(&text)
    }

    /// On stdout: what follows from the finding before.
    pub(crate) fn consequence(&self, sentence: &str, word: &str) -> io::Result<()> {
        self.data(&format!("    → {}{}\n", line(sentence), self.word(Some(word))))
    }

    fn word(&self, word: Option<&str>) -> String {
        word.map(|word| format!(" {}", self.paint(DIM, &format!("[{word}]")))).unwrap_or_default()
    }

    /// On stdout: a named text, in lines that a terminal shows whole.
    pub(crate) fn entry(&self, name: &str, text: &str) -> io::Result<()> {
        let lines = wrapped(&visible(text), WIDTH - NAME_WIDTH - 3);
        let names = std::iter::once(name).chain(std::iter::repeat(""));
        let lines = names.zip(lines).map(|(name, line)| format!("  {name:<NAME_WIDTH$} {line}\n"));
        self.data(&lines.collect::<String>())
    }

    /// On stdout: what the lines after it are about.
    pub(crate) fn heading(&self, text: &str) -> io::Result<()> {
        self.data(&format!("\n{}\n", self.paint(BOLD, &line(text))))
    }

    /// On stdout: data for other programs, byte for byte. Everything else that is printed goes through [`visible`].
    pub(crate) fn data(&self, data: &(impl AsRef<[u8]> + ?Sized)) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(data.as_ref()).and_then(|()| stdout.flush()) {
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

/// A text as one line.
fn line(text: impl Display) -> String {
    visible(&text.to_string()).into_owned()
}

fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// The error of a program that ended, with the lines that it said.
#[derive(Debug)]
pub(crate) struct ProgramFailed {
    what: String,
    lines: Vec<String>,
}

impl ProgramFailed {
    pub(crate) fn new(what: impl Display, lines: Vec<String>) -> Self {
        Self { what: what.to_string(), lines }
    }
}

impl Display for ProgramFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for ProgramFailed {}

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
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_long_text_is_broken_between_words() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one two-is-long x", 5), ["one", "two-is-long", "x"]);
        assert_eq!(wrapped("", 5), [""]);
    }

    #[test]
    fn json_is_shown_as_the_same_json() {
        let value = json!({"a\u{9b}": ["\u{1b}\n\u{202e}\u{e0041}\\u", {"b": "\u{7f}\"\u{2028}"}]});
        let text = format!("{value:#}");
        let shown = visible_lines(&text);
        assert_ne!(shown, text);
        assert!(shown.lines().all(|line| visible(line) == line), "{shown}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), value);
    }
}
