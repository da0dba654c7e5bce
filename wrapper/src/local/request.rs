//! What a client of the local socket asks for.
//!
//! Core: the bytes that came so far in, a [`Parsed`] out. GET of a few fixed paths, no query, no body, one request on
//! each connection. Names are compared as they stand; nothing is decoded.
//!
//! Untrusted: every byte.

/// The longest head of a request, in bytes; what no client of ours needs.
pub const LONGEST: usize = 4096;
/// Headers in one.
const HEADERS: usize = 32;

/// What was asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Wish {
    /// Which values there are.
    Names,
    /// One value.
    Secret(String),
    /// How things stand.
    Status,
    /// The same for Prometheus.
    Metrics,
    /// What nobody has.
    Unknown,
}

/// What can be said of a request that may not have come whole.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Parsed {
    /// More must come.
    Part,
    /// It is whole.
    Whole(Wish),
    /// It is answered with an error.
    Bad(Fault),
}

/// Why a request is not understood.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fault {
    /// Not HTTP/1.1, or 1.0.
    #[error("malformed request")]
    Malformed,
    /// A head that does not end.
    #[error("request longer than {LONGEST} bytes, or with more than {HEADERS} headers")]
    TooLong,
    /// Nothing can be sent to us.
    #[error("expected GET without a body")]
    Method,
}

/// Reads what came so far.
#[must_use]
pub fn parse(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST => return Parsed::Part,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            return Parsed::Bad(Fault::TooLong);
        }
        Err(_) => return Parsed::Bad(Fault::Malformed),
    }
    let sends = |header: &httparse::Header<'_>| {
        let length = header.name.eq_ignore_ascii_case("content-length") && header.value != b"0";
        length || header.name.eq_ignore_ascii_case("transfer-encoding")
    };
    if request.method != Some("GET") || request.headers.iter().any(sends) {
        return Parsed::Bad(Fault::Method);
    }
    Parsed::Whole(wish(request.path.unwrap_or_default()))
}

fn wish(path: &str) -> Wish {
    match path {
        "/v1/secrets" => Wish::Names,
        "/v1/status" => Wish::Status,
        "/metrics" => Wish::Metrics,
        path => path.strip_prefix("/v1/secrets/").map_or(Wish::Unknown, |name| Wish::Secret(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(path: &str) -> Parsed {
        parse(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
    }

    #[test]
    fn each_path_is_a_wish() {
        for (path, expected) in [
            ("/v1/secrets", Wish::Names),
            ("/v1/secrets/PGPASSWORD", Wish::Secret("PGPASSWORD".to_owned())),
            ("/v1/status", Wish::Status),
            ("/metrics", Wish::Metrics),
            ("/", Wish::Unknown),
            ("/metrics?x=1", Wish::Unknown),
            ("/v1/secrets?list=true", Wish::Unknown),
        ] {
            assert_eq!(asked(path), Parsed::Whole(expected), "{path}");
        }
    }

    #[test]
    fn a_request_that_has_not_come_whole_is_waited_for() {
        let whole = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
        for len in 0..whole.len() {
            assert_eq!(parse(&whole[..len]), Parsed::Part, "{len}");
        }
        assert_eq!(parse(whole), Parsed::Whole(Wish::Metrics));
    }

    #[test]
    fn a_head_without_an_end_is_cut_off() {
        let endless = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(LONGEST));
        assert_eq!(parse(&endless.as_bytes()[..LONGEST - 1]), Parsed::Part);
        assert_eq!(parse(endless.as_bytes()), Parsed::Bad(Fault::TooLong));
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(33));
        assert_eq!(parse(many.as_bytes()), Parsed::Bad(Fault::TooLong));
    }

    #[test]
    fn nothing_can_be_sent_to_us() {
        for request in [
            "POST /v1/secrets/X HTTP/1.1\r\n\r\n",
            "HEAD /metrics HTTP/1.1\r\n\r\n",
            "GET /metrics HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
            "GET /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        ] {
            assert_eq!(parse(request.as_bytes()), Parsed::Bad(Fault::Method), "{request}");
        }
        assert_eq!(parse(b"\x16\x03\x01\x02\x00"), Parsed::Bad(Fault::Malformed));
        assert_eq!(parse(b"GET /metrics\r\n\r\n"), Parsed::Bad(Fault::Malformed));
    }
}
