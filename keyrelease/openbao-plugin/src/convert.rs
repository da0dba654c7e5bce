//! Between the wire's messages and the types a plugin author sees.
//!
//! Three rules of the host are kept here, so that no author need know them: an absent issue time
//! is an error ("invalid nil Timestamp"), empty text is not JSON, and spans are nanoseconds.
//!
//! Untrusted: request data, which must be a JSON object or nothing.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost_types::Timestamp;
use serde_json::{Map, Value};

use crate::system::from_nanoseconds;
use crate::wire::{logical, pb};
use crate::{Alias, Auth, Body, Error, Lease, Operation, Request, Response, Secret, Spelling, TokenType};

/// A request for the handler, once the operation is known.
pub(crate) fn request(wire: pb::Request, operation: Operation) -> Result<Request, Error> {
    let connection = wire.connection.unwrap_or_default();
    let chain = connection.connection_state.and_then(|state| state.peer_certificates).unwrap_or_default();
    Ok(Request {
        id: wire.id,
        operation,
        path: wire.path,
        data: object(&wire.data)?,
        headers: wire.headers.into_iter().map(|(name, header)| (name, header.header)).collect(),
        entity_id: wire.entity_id,
        display_name: wire.display_name,
        client_token_accessor: wire.client_token_accessor,
        unauthenticated: wire.unauthenticated,
        mount_point: wire.mount_point,
        mount_accessor: wire.mount_accessor,
        remote_addr: connection.remote_addr,
        peer_certificates: chain.certificates.into_iter().map(|one| one.asn1_data).collect(),
        wrap_ttl: wire.wrap_info.map(|wrap| from_nanoseconds(wrap.ttl)).filter(|ttl| !ttl.is_zero()),
        auth: wire.auth.map(auth).transpose()?,
        secret: wire.secret.as_ref().map(secret).transpose()?,
    })
}

/// What the host gets for a handler's result.
pub(crate) fn reply(result: Result<Option<Response>, Error>, now: Timestamp) -> pb::HandleRequestReply {
    match result {
        Ok(response) => {
            pb::HandleRequestReply { response: response.map(|response| answer(response, now)), err: None }
        }
        Err(error) => refusal(error),
    }
}

/// What the host gets for the question which spelling of a path is the one; no response keeps it.
pub(crate) fn respelled(result: Result<Spelling, Error>) -> pb::HandleRequestReply {
    let (path, err) = match result {
        Ok(Spelling::Canonical) => (None, None),
        Ok(Spelling::Instead(path)) => (Some(path), None),
        Err(error) => (None, Some(proto_error(&error))),
    };
    let data = path.map(|path| text(Map::from_iter([("path".to_owned(), Value::String(path))])));
    pb::HandleRequestReply {
        response: data.map(|data| pb::Response { data, ..pb::Response::default() }),
        err,
    }
}

/// An error as the host's `ProtoError` alone, where no response may go with it.
pub(crate) fn proto_error(error: &Error) -> pb::ProtoError {
    let (err_type, err_code) = match error {
        Error::ReadOnly => (UNKNOWN, 0),
        Error::Internal(_) => (INTERNAL, 0),
        Error::Coded { status, .. } => (CODED, i64::from(*status)),
        Error::BadRequest(_) | Error::Refused { .. } => (BAD_REQUEST, 0),
        Error::UnsupportedOperation => (UNSUPPORTED_OPERATION, 0),
        Error::UnsupportedPath => (UNSUPPORTED_PATH, 0),
        Error::PermissionDenied(_) => (PERMISSION_DENIED, 0),
    };
    pb::ProtoError { err_type, err_msg: error.to_string(), err_code }
}

fn refusal(error: Error) -> pb::HandleRequestReply {
    let err = proto_error(&error);
    match error {
        // Here the host takes the words from the response and the status from the error.
        Error::PermissionDenied(message) => {
            pb::HandleRequestReply { response: Some(spoken(message, None)), err: Some(err) }
        }
        Error::BadRequest(message) => pb::HandleRequestReply {
            response: Some(spoken(message, None)),
            err: Some(pb::ProtoError { err_type: INVALID_REQUEST, ..err }),
        },
        // Here it takes both from the response, whose status is then 400.
        Error::Refused { message, data } => {
            pb::HandleRequestReply { response: Some(spoken(message, Some(data))), err: None }
        }
        Error::ReadOnly
        | Error::Internal(_)
        | Error::Coded { .. }
        | Error::UnsupportedOperation
        | Error::UnsupportedPath => pb::HandleRequestReply { response: None, err: Some(err) },
    }
}

fn spoken(message: String, data: Option<Map<String, Value>>) -> pb::Response {
    let mut body = Map::from_iter([("error".to_owned(), Value::String(message))]);
    body.extend(data.map(|data| ("data".to_owned(), Value::Object(data))));
    pb::Response { data: text(body), ..pb::Response::default() }
}

fn answer(response: Response, now: Timestamp) -> pb::Response {
    pb::Response {
        secret: response.secret.map(|secret| pb::Secret {
            lease_options: Some(lease_options(secret.lease, now)),
            internal_data: text(secret.internal_data),
            lease_id: String::new(),
        }),
        auth: response.auth.map(|auth| authorised(auth, now)),
        data: body(response.body),
        warnings: response.warnings,
        wrap_info: response
            .wrap_ttl
            .map(|ttl| pb::ResponseWrapInfo { ttl: nanoseconds(ttl), ..pb::ResponseWrapInfo::default() }),
        ..pb::Response::default()
    }
}

fn body(body: Body) -> String {
    match body {
        Body::Data(data) => text(data),
        Body::Raw { status, content_type, bytes } => text(Map::from_iter([
            ("http_status_code".to_owned(), Value::from(status)),
            ("http_content_type".to_owned(), Value::String(content_type)),
            ("http_raw_body".to_owned(), Value::String(STANDARD.encode(bytes))),
        ])),
    }
}

fn authorised(auth: Auth, now: Timestamp) -> pb::Auth {
    pb::Auth {
        lease_options: Some(lease_options(auth.lease, now)),
        internal_data: text(auth.internal_data),
        display_name: auth.display_name,
        policies: auth.policies,
        metadata: auth.metadata.into_iter().collect(),
        period: nanoseconds(auth.period),
        num_uses: i64::from(auth.num_uses),
        alias: auth.alias.map(wire_alias),
        group_aliases: auth.group_aliases.into_iter().map(wire_alias).collect(),
        bound_cidrs: auth.bound_cidrs,
        explicit_max_ttl: nanoseconds(auth.explicit_max_ttl),
        token_type: match auth.token_type {
            TokenType::Default => 0,
            TokenType::Service => 1,
            TokenType::Batch => 2,
        },
        no_default_policy: auth.no_default_policy,
        entity_id: auth.entity_id,
        ..pb::Auth::default()
    }
}

fn auth(wire: pb::Auth) -> Result<Auth, Error> {
    Ok(Auth {
        lease: lease(wire.lease_options.as_ref()),
        policies: wire.policies,
        metadata: wire.metadata.into_iter().collect(),
        display_name: wire.display_name,
        alias: wire.alias.map(alias),
        group_aliases: wire.group_aliases.into_iter().map(alias).collect(),
        bound_cidrs: wire.bound_cidrs,
        num_uses: u32::try_from(wire.num_uses).unwrap_or(u32::MAX),
        period: from_nanoseconds(wire.period),
        explicit_max_ttl: from_nanoseconds(wire.explicit_max_ttl),
        token_type: match wire.token_type {
            1 => TokenType::Service,
            2 => TokenType::Batch,
            _ => TokenType::Default,
        },
        no_default_policy: wire.no_default_policy,
        entity_id: wire.entity_id,
        internal_data: object(&wire.internal_data)?,
    })
}

fn secret(wire: &pb::Secret) -> Result<Secret, Error> {
    Ok(Secret { lease: lease(wire.lease_options.as_ref()), internal_data: object(&wire.internal_data)? })
}

/// An alias as the host tells of it.
pub(crate) fn alias(wire: logical::Alias) -> Alias {
    Alias {
        mount_accessor: wire.mount_accessor,
        name: wire.name,
        metadata: wire.metadata.into_iter().collect(),
    }
}

fn wire_alias(alias: Alias) -> logical::Alias {
    logical::Alias {
        mount_accessor: alias.mount_accessor,
        name: alias.name,
        metadata: alias.metadata.into_iter().collect(),
        ..logical::Alias::default()
    }
}

fn lease_options(lease: Lease, now: Timestamp) -> pb::LeaseOptions {
    pb::LeaseOptions {
        ttl: nanoseconds(lease.ttl),
        renewable: lease.renewable,
        increment: nanoseconds(lease.increment),
        issue_time: Some(now),
        max_ttl: nanoseconds(lease.max_ttl),
    }
}

fn lease(wire: Option<&pb::LeaseOptions>) -> Lease {
    wire.map_or_else(Lease::default, |wire| Lease {
        ttl: from_nanoseconds(wire.ttl),
        max_ttl: from_nanoseconds(wire.max_ttl),
        renewable: wire.renewable,
        increment: from_nanoseconds(wire.increment),
    })
}

/// Text that is always JSON: the host refuses the empty string.
pub(crate) fn text(object: Map<String, Value>) -> String {
    Value::Object(object).to_string()
}

fn object(text: &str) -> Result<Map<String, Value>, Error> {
    // A call without a body says "null", and some internal ones say nothing.
    if matches!(text, "" | "null") {
        return Ok(Map::new());
    }
    serde_json::from_str(text).map_err(|error| Error::BadRequest(format!("a JSON object is needed: {error}")))
}

fn nanoseconds(span: Duration) -> i64 {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

// The host's `ErrType…` numbers. Both 4 and 7 are 400: 4 wraps its message in "1 error occurred",
// and 7 says "invalid request" unless a response says more.
const UNKNOWN: u32 = 0;
const INTERNAL: u32 = 2;
const CODED: u32 = 3;
const UNSUPPORTED_OPERATION: u32 = 5;
const UNSUPPORTED_PATH: u32 = 6;
const BAD_REQUEST: u32 = 4;
const INVALID_REQUEST: u32 = 7;
const PERMISSION_DENIED: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp { seconds: 1, nanos: 0 };

    #[test]
    fn a_lease_always_carries_its_issue_time_and_json() {
        let response = Response::default().with_secret(Secret::default());
        let wire = reply(Ok(Some(response)), NOW).response.unwrap();
        let secret = wire.secret.unwrap();
        assert_eq!(secret.lease_options.unwrap().issue_time, Some(NOW));
        assert_eq!(secret.internal_data, "{}");
        assert_eq!(wire.data, "{}");
        let wire = reply(Ok(Some(Response::auth(Auth::default()))), NOW).response.unwrap();
        let auth = wire.auth.unwrap();
        assert_eq!(auth.lease_options.unwrap().issue_time, Some(NOW));
        assert_eq!(auth.internal_data, "{}");
    }

    #[test]
    fn the_read_only_text_passes_unchanged_and_untyped() {
        let err = reply(Err(Error::from(crate::HostError::ReadOnly)), NOW).err.unwrap();
        assert_eq!((err.err_type, err.err_msg.as_str()), (0, "cannot write to readonly storage"));
    }

    #[test]
    fn a_coded_error_has_no_response_beside_it_or_its_status_is_lost() {
        let wire = reply(Err(Error::busy()), NOW);
        assert_eq!(wire.response, None);
        assert_eq!(wire.err.unwrap().err_code, 503);
    }

    #[test]
    fn a_token_comes_back_for_renewal_as_it_went_out() {
        let auth = Auth {
            lease: Lease { ttl: Duration::from_mins(1), renewable: true, ..Lease::default() },
            policies: vec!["p".into()],
            alias: Some(Alias { name: "chip".into(), ..Alias::default() }),
            token_type: TokenType::Batch,
            internal_data: Map::from_iter([("k".into(), Value::from(1))]),
            num_uses: 3,
            ..Auth::default()
        };
        let back = super::auth(authorised(auth.clone(), NOW)).unwrap();
        assert_eq!(back, auth);
    }

    #[test]
    fn a_body_that_is_no_object_is_a_bad_request() {
        let wire = pb::Request { data: "[1]".into(), ..pb::Request::default() };
        assert!(matches!(request(wire, Operation::Read), Err(Error::BadRequest(_))));
    }
}
