//! The policy's JSON Schema, out of the types that parse it.
//!
//! For editors and for other programs: what the schema refuses does not parse. What it cannot say (dangling
//! references, doubled ids, unknown checks in waivers) only [`super::Policy::parse`] knows.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use serde_json::Value;

use crate::tpm::Name;
use crate::{ChipId, Digest, UnixTime};

use super::Document;

/// The JSON Schema (2020-12) of a policy document, as indented JSON.
#[must_use]
pub fn schema() -> String {
    let mut schema = schemars::schema_for!(Document);
    schemars::transform::Transform::transform(&mut NoNull, &mut schema);
    schema.insert("title".to_owned(), "CloudTaser attestation policy".into());
    // A tree of texts, numbers and lists has no map with other keys than texts: nothing that can fail.
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// TOML has no null: what may be absent is absent.
struct NoNull;

impl schemars::transform::Transform for NoNull {
    fn transform(&mut self, schema: &mut Schema) {
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
            choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
            if let [only] = choices.as_mut_slice() {
                let only = std::mem::take(only);
                schema.remove("anyOf");
                if let (Some(into), Value::Object(from)) = (schema.as_object_mut(), only) {
                    into.extend(from);
                }
            }
        }
        schemars::transform::transform_subschemas(self, schema);
    }
}

impl<const N: usize> JsonSchema for Digest<N> {
    fn schema_name() -> Cow<'static, str> {
        format!("Hex{N}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        hex(N.saturating_mul(2))
    }
}

impl JsonSchema for ChipId {
    fn schema_name() -> Cow<'static, str> {
        "ChipId".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        hex(128)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "AttestationKeyName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a TPM key: the identifier of a hash, then the hash of the public area, hex.",
            "type": "string",
            "pattern": "^(000[bB][0-9a-fA-F]{64}|000[cC][0-9a-fA-F]{96}|000[dD][0-9a-fA-F]{128})$",
        })
    }
}

impl JsonSchema for UnixTime {
    fn schema_name() -> Cow<'static, str> {
        "Instant".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An instant in UTC with whole seconds, like 2026-11-21T18:00:00Z.",
            "type": "string",
            "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$",
        })
    }
}

fn hex(digits: usize) -> Schema {
    json_schema!({ "type": "string", "pattern": format!("^[0-9a-fA-F]{{{digits}}}$") })
}
