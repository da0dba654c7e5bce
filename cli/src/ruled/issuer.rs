//! What a change of a workload issuer, or of the policies that may seal, would change, in words.
//!
//! Both are the JSON that their paths take. Every fact is a line: what only the new content has is gained, what only the
//! old one has is lost. A key goes by its thumbprint of RFC 7638, which the issuer's operator can compute too.
//!
//! Untrusted: both contents. The server judges whether they are good.

use std::collections::BTreeSet;

use attest::Crypto;
use attest::crypto::AwsLcRs;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::answer::NotJudged;
use crate::layout;

/// The facts of a document; none if there is no document.
pub(super) fn facts(document: &str) -> Result<BTreeSet<String>, NotJudged> {
    if document.is_empty() {
        return Ok(BTreeSet::new());
    }
    let bad = |error: serde_json::Error| NotJudged::new("content.malformed", error.to_string());
    let fields: Map<String, Value> = serde_json::from_str(document).map_err(bad)?;
    let mut facts = BTreeSet::new();
    for (name, value) in &fields {
        if name == "jwks" {
            let set = value.as_str().map(serde_json::from_str).transpose().map_err(bad)?;
            facts.extend(keys(set.as_ref().unwrap_or(value))?);
        } else if let Value::Array(items) = value {
            facts.extend(items.iter().map(|item| fact(name, item)));
        } else {
            facts.insert(fact(name, value));
        }
    }
    Ok(facts)
}

fn fact(name: &str, value: &Value) -> String {
    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    layout::printable(&format!("{name} {value}"))
}

/// A server may also take a key as the list of its members' values, without their names: nothing to show, nothing to sign.
fn keys(set: &Value) -> Result<Vec<String>, NotJudged> {
    let keys = set.get("keys").and_then(Value::as_array).filter(|keys| keys.iter().all(Value::is_object));
    let unreadable =
        || NotJudged::new("content.malformed", "jwks: expected an object with keys, each an object");
    keys.map(|keys| keys.iter().map(key).collect()).ok_or_else(unreadable)
}

/// RFC 7638, 3: the members that a key of its kind needs, in their order.
fn key(key: &Value) -> String {
    let needed = ["crv", "e", "kty", "n", "x", "y"];
    let members: Vec<String> =
        needed.iter().filter_map(|name| Some(format!("\"{name}\":{}", key.get(name)?))).collect();
    let thumbprint = AwsLcRs.sha256(&[format!("{{{}}}", members.join(",")).as_bytes()]);
    let said = |name| key.get(name).and_then(Value::as_str).unwrap_or("?");
    let (id, kind) = (said("kid"), said("kty"));
    layout::printable(&format!("key {id}, {kind}, thumbprint {}", URL_SAFE_NO_PAD.encode(thumbprint.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written as a list is read by some, and has no names to be shown by.
    #[test]
    fn a_key_that_cannot_be_shown_is_not_put_before_an_approver() {
        let hidden =
            serde_json::json!(["RSA", "sig", null, "RS256", "evil", null, "AQAB", "AQAB", null, null]);
        for jwks in [serde_json::json!([[hidden]]), serde_json::json!({ "keys": [hidden] }), Value::Null] {
            for jwks in [jwks.clone(), Value::from(jwks.to_string())] {
                let document = serde_json::json!({ "issuer": "https://c", "jwks": jwks });
                assert_eq!(facts(&document.to_string()).unwrap_err().code, "content.malformed", "{document}");
            }
        }
    }

    #[test]
    fn a_key_goes_by_its_thumbprint_whether_the_set_is_json_or_a_text() {
        // RFC 7638, 3.1.
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECP\
                 ebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY\
                 368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0f\
                 M4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
        let set = serde_json::json!({ "keys": [{ "kty": "RSA", "n": n, "e": "AQAB", "kid": "2011-04-29" }] });
        let key = "key 2011-04-29, RSA, thumbprint NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";
        for jwks in [set.clone(), Value::from(set.to_string())] {
            let document =
                serde_json::json!({ "issuer": "https://c", "audiences": ["a", "b"], "jwks": jwks });
            let facts = facts(&document.to_string()).unwrap();
            assert_eq!(
                facts.iter().collect::<Vec<_>>(),
                ["audiences a", "audiences b", "issuer https://c", key]
            );
        }
        assert_eq!(facts("").unwrap().len(), 0);
        assert_eq!(facts("[]").unwrap_err().code, "content.malformed");
    }
}
