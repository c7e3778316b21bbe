//! Log lines for two readers: one JSON object a line on standard error, a message complete in itself first, then the
//! same keys everywhere. A thin backend of the `log` crate, because the sidecar runs in every Pod: a subscriber
//! framework would cost it some hundred kilobytes.
//!
//! A line that can't be written at once is dropped, and counted: one thread does everything, and a log collector that
//! hangs must not keep clients from their answers.

use std::fmt::Write as _;
use std::io::{self, Stderr};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use log::kv::{self, Key, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Sends every record of at least this level to standard error. Later calls change nothing.
pub fn to_stderr(level: LevelFilter) {
    let logger = Logger { stream: io::stderr(), lost: AtomicU64::new(0), now: system_time };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(level);
    }
}

/// One record as one line: `{"time":"…","level":"info","message":"…","key":"value"}` with a newline at its end.
pub fn line(record: &Record<'_>, time: SystemTime) -> String {
    let mut line = String::with_capacity(256);
    let _ = write!(line, r#"{{"time":"{}","level":""#, humantime::format_rfc3339_millis(time));
    line.push_str(match record.level() {
        log::Level::Error => "error",
        log::Level::Warn => "warn",
        log::Level::Info => "info",
        log::Level::Debug => "debug",
        log::Level::Trace => "trace",
    });
    line.push_str(r#"","message":"#);
    push_json_string(&mut line, format_args!("{}", record.args()));
    let _ = record.key_values().visit(&mut Fields(&mut line));
    line.push_str("}\n");
    line
}

/// What a pipe takes at once where `poll` says that it takes anything (`PIPE_BUF` of Linux).
const AT_ONCE: usize = 4096;

struct Logger {
    stream: Stderr,
    /// Lines that have been dropped since the last that was written.
    lost: AtomicU64,
    now: fn() -> SystemTime,
}

impl Logger {
    fn write(&self, record: &Record<'_>) {
        if write_at_once(&self.stream, line(record, (self.now)()).as_bytes()).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write_how_many_were_lost(&self) {
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost == 0 {
            return;
        }
        let lines = [("lines", lost)];
        let record = Record::builder()
            .args(format_args!("lines of the log were lost: they could not be written at once"))
            .level(log::Level::Warn)
            .key_values(&lines)
            .build();
        if write_at_once(&self.stream, line(&record, (self.now)()).as_bytes()).is_err() {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.write_how_many_were_lost();
            self.write(record);
        }
    }

    fn flush(&self) {}
}

/// One write a line, so that lines of several threads do not mix; or an error where that would have to wait.
fn write_at_once(mut stream: impl io::Write + AsFd, line: &[u8]) -> io::Result<()> {
    for part in line.chunks(AT_ONCE) {
        let mut ready = [PollFd::new(&stream, PollFlags::OUT)];
        if poll(&mut ready, Some(&Timespec::default()))? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        stream.write_all(part)?;
    }
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the time of a log line decides nothing")]
fn system_time() -> SystemTime {
    SystemTime::now()
}

struct Fields<'a>(&'a mut String);

impl<'kvs> VisitSource<'kvs> for Fields<'_> {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), kv::Error> {
        self.0.push(',');
        push_json_string(self.0, format_args!("{key}"));
        self.0.push(':');
        if let Some(number) = value.to_u64() {
            let _ = write!(self.0, "{number}");
        } else {
            push_json_string(self.0, format_args!("{value}"));
        }
        Ok(())
    }
}

fn push_json_string(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.push('"');
    let _ = Escaped(out).write_fmt(text);
    out.push('"');
}

/// Writes text as the inside of a JSON string.
struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            match character {
                '"' => self.0.push_str("\\\""),
                '\\' => self.0.push_str("\\\\"),
                '\n' => self.0.push_str("\\n"),
                control if control.is_control() => write!(self.0, "\\u{:04x}", u32::from(control))?,
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::Level;

    #[test]
    fn a_line_is_one_json_object_whatever_the_text_holds() {
        let fields = [("role", "a\"b\\c\u{1}\n".to_owned()), ("failures", "3".to_owned())];
        let record = Record::builder()
            .args(format_args!("can't reach STS: \"refused\""))
            .level(Level::Warn)
            .key_values(&fields)
            .build();
        assert_eq!(
            line(&record, SystemTime::UNIX_EPOCH),
            concat!(
                r#"{"time":"1970-01-01T00:00:00.000Z","level":"warn","message":"can't reach STS: \"refused\"","#,
                r#""role":"a\"b\\c\u0001\n","failures":"3"}"#,
                "\n"
            )
        );
    }

    #[test]
    fn what_can_not_be_written_at_once_is_an_error_and_waits_for_nobody() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut written = 0;
        while write_at_once(&writer, &[b'x'; 1000]).is_ok() {
            written += 1000;
            assert!(written < 100_000_000, "a pipe is full at some time");
        }
        io::Read::read_exact(&mut reader, &mut vec![0; written]).unwrap();
        write_at_once(&writer, &[b'x'; 2 * AT_ONCE]).unwrap();
        drop(reader);
        write_at_once(&writer, b"x").unwrap_err();
    }

    #[test]
    fn numbers_stay_numbers() {
        let fields = [("seconds", 90_u64)];
        let record = Record::builder().args(format_args!("x")).level(Level::Info).key_values(&fields).build();
        assert!(line(&record, SystemTime::UNIX_EPOCH).ends_with("\"message\":\"x\",\"seconds\":90}\n"));
    }
}
