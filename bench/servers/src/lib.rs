//! What the bare servers share: the recorded answer, and how hyper gives it.
//!
//! None of them looks at what is asked: each says what a server of its kind costs before it does anything.

use std::convert::Infallible;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};

/// What ends a program here.
pub type Failure = Box<dyn Error>;

/// Binds a port of loopback.
pub fn bind(port: &str) -> Result<TcpListener, Failure> {
    let socket = tokio::net::TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse()?)))?;
    Ok(socket.listen(1024)?)
}

/// Accepts connections and runs what `connect` makes of each: no limits, no drain.
pub async fn accept<F>(listener: TcpListener, connect: impl Fn(TcpStream) -> F) -> Result<(), Failure>
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(connect(stream));
    }
}

/// Serves the answer on one connection, with hyper's defaults.
pub async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, answer: &Answer) {
    let service = hyper::service::service_fn(async |request: Request<Incoming>| {
        // A body is read, as by any server, and nothing is made of it.
        let _ = request.into_body().collect().await;
        Ok::<_, Infallible>(answer.response())
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A recorded answer: what hyper needs of it.
#[derive(Debug)]
pub struct Answer {
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
}

impl Answer {
    /// Reads head and body as they were on the wire. The headers that hyper writes by itself are left to it.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Failure> {
        let raw = std::fs::read(path)?;
        let end = raw
            .windows(4)
            .position(|bytes| bytes == b"\r\n\r\n")
            .ok_or("the answer has no end of its head")?;
        let (head, body) = raw.split_at(end);
        let mut headers = Vec::new();
        for line in std::str::from_utf8(head)?.lines().skip(1) {
            let (name, value) = line.split_once(':').ok_or("a header of the answer has no colon")?;
            let name = HeaderName::from_bytes(name.as_bytes())?;
            if ![header::DATE, header::CONTENT_LENGTH, header::CONNECTION].contains(&name) {
                headers.push((name, HeaderValue::from_str(value.trim())?));
            }
        }
        Ok(Self { headers, body: Bytes::copy_from_slice(body.get(4..).unwrap_or_default()) })
    }

    fn response(&self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body.clone()));
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}
