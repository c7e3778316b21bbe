//! The pages of an admin listener: health and metrics, to be read only.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;

use crate::metrics;

/// What a path answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Page {
    /// Health: 200 when it is well, else 503, with words for a person.
    Health {
        /// Whether it is well.
        well: bool,
        /// A line or a few, each ended by a newline.
        text: String,
    },
    /// Metrics, as rendered by [`metrics::Text`].
    Metrics(String),
}

/// Answers a request; `page` knows the paths, of which `paths` is the list for whoever asks for another.
pub fn respond<B>(
    request: &Request<B>,
    paths: &'static str,
    page: impl FnOnce(&str) -> Option<Page>,
) -> Response<Full<Bytes>> {
    const TEXT: &str = "text/plain; charset=utf-8";
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET and HEAD only\n".to_owned());
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match page(request.uri().path()) {
        Some(Page::Health { well: true, text }) => answer(StatusCode::OK, TEXT, text),
        Some(Page::Health { well: false, text }) => answer(StatusCode::SERVICE_UNAVAILABLE, TEXT, text),
        Some(Page::Metrics(text)) => answer(StatusCode::OK, metrics::CONTENT_TYPE, text),
        None => answer(StatusCode::NOT_FOUND, TEXT, format!("paths: {paths}\n")),
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(method: Method, path: &str) -> Response<Full<Bytes>> {
        let request = Request::builder().method(method).uri(path).body(()).unwrap();
        respond(&request, "/livez /sick /metrics", |path| match path {
            "/livez" => Some(Page::Health { well: true, text: "alive\n".to_owned() }),
            "/sick" => Some(Page::Health { well: false, text: "sick\n".to_owned() }),
            "/metrics" => Some(Page::Metrics(String::new())),
            _ => None,
        })
    }

    #[test]
    fn pages_are_read_only_and_have_their_status() {
        assert_eq!(ask(Method::GET, "/livez").status(), 200);
        assert_eq!(ask(Method::HEAD, "/sick").status(), 503);
        assert_eq!(ask(Method::GET, "/metrics").headers()[header::CONTENT_TYPE], metrics::CONTENT_TYPE);
        assert_eq!(ask(Method::GET, "/else").status(), 404);
        let refused = ask(Method::POST, "/livez");
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()[header::ALLOW]),
            (405, &HeaderValue::from_static("GET, HEAD"))
        );
    }
}
