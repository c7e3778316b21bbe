//! As much of an HTTP client as a shell script's: one request, one connection, one answer.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What most AWS clients allow.
const TIMEOUT: Duration = Duration::from_secs(1);

/// No answer of IMDS comes near.
const LARGEST_ANSWER: u64 = 64 * 1024;

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

/// Sends a request without a body. `headers` are whole lines.
pub(crate) async fn request(
    server: SocketAddr,
    method: &str,
    path: &str,
    headers: &[String],
) -> io::Result<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n");
    for header in headers {
        head.extend([header, "\r\n"]);
    }
    head.push_str("\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.take(LARGEST_ANSWER).read_to_end(&mut answer).await?;
        parse(&String::from_utf8_lossy(&answer))
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer, or one cut short"))
    };
    timeout(TIMEOUT, exchange).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let (status_line, fields) = head.split_once("\r\n").unwrap_or((head, ""));
    let status = status_line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let length = fields.lines().find_map(|field| {
        let (name, value) = field.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    })?;
    (body.len() == length).then(|| Answer { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        let answer = parse("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nrole").unwrap();
        assert_eq!(answer, Answer { status: 200, body: "role".to_owned() });
        for wrong in [
            "",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nrole",
            "HTTP/1.1 200 OK\r\n\r\nrole",
            "HTTP/1.1 ok\r\nContent-Length: 0\r\n\r\n",
            "SSH-2.0\r\n\r\n",
        ] {
            assert_eq!(parse(wrong), None, "{wrong:?}");
        }
    }
}
