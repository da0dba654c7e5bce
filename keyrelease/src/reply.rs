//! Answers in OpenBao's shapes.

use openbao_plugin::{Error, Response};
use protocol::release::{Refusal, RefusedCheck};
use serde::Serialize;
use serde_json::{Map, Value, json};

use attest::Refused;

use crate::record::DecisionId;

/// A value as the `data` of an answer.
pub(crate) fn data(value: &impl Serialize) -> Result<Response, Error> {
    match serde_json::to_value(value) {
        Ok(Value::Object(object)) => Ok(Response::data(object)),
        Ok(_) => Err(Error::Internal("answer is not an object".to_owned())),
        Err(error) => Err(Error::Internal(error.to_string())),
    }
}

/// HTTP 403 with the failing checks.
pub(crate) fn refusal(id: DecisionId, refused: &Refused) -> Result<Response, Error> {
    let failing: Vec<RefusedCheck> = refused.appraisal().failing().map(RefusedCheck::from).collect();
    let refusal = Refusal { decision: id.to_string(), failing };
    let body = json!({ "errors": [refused.to_string()], "data": refusal });
    let bytes = serde_json::to_vec(&body).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Response::raw(403, "application/json", bytes))
}

/// The body of a request as a typed value; unknown fields are refused by the type.
pub(crate) fn body<T: serde::de::DeserializeOwned>(data: Map<String, Value>) -> Result<T, Error> {
    // serde_json's message names the field and the types, and quotes the value only for wrong enums.
    serde_json::from_value(Value::Object(data)).map_err(|error| {
        let told = error.to_string();
        // `bao write PATH number=2` sends a text.
        let hint = if told.starts_with("invalid type: string") { AS_JSON } else { "" };
        Error::BadRequest(format!("body: {told}{hint}"))
    })
}

const AS_JSON: &str = " (numbers, lists and objects are given as JSON: bao write PATH @FILE)";

/// A name in a path: one spelling, nothing that means something to a path, a file or a template.
pub(crate) fn name(name: &str) -> Result<&str, Error> {
    plain(name, 64)
}

/// The name of a node: as long as Kubernetes' may be.
pub(crate) fn node_name(name: &str) -> Result<&str, Error> {
    plain(name, 253)
}

fn plain(name: &str, most: usize) -> Result<&str, Error> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let good = !name.is_empty() && name.len() <= most && !name.starts_with('.') && name.chars().all(allowed);
    if good {
        Ok(name)
    } else {
        let found: String = name.chars().take(80).collect();
        Err(Error::BadRequest(format!("name: expected 1 to {most} of A-Z a-z 0-9 - _ ., found {found:?}")))
    }
}

/// The caller's fault: nothing could be judged.
pub(crate) fn bad_request(error: impl std::fmt::Display) -> Error {
    Error::BadRequest(error.to_string())
}
