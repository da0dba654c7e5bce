//! Where a policy may have lists.
//!
//! serde also reads a structure from a list of its values in order, without their names, and lets what is
//! beyond the last one fall: `guest_svn = [0, "what was meant to be a check"]`. So lists are looked at apart.
//! Elsewhere a table stands, whose unknown fields are errors.

use toml::{Table, Value};

use super::BadPolicy;

/// Refuses a list where the policy's structures are read by name.
pub(super) fn check(text: &str) -> Result<(), BadPolicy> {
    let document: Table =
        toml::from_str(text).map_err(|error| BadPolicy::Document(error.to_string().trim().to_owned()))?;
    document.iter().try_for_each(|(key, value)| walk(key, value))
}

fn walk(key: &str, value: &Value) -> Result<(), BadPolicy> {
    match value {
        Value::Table(table) => table.iter().try_for_each(|(key, value)| walk(key, value)),
        Value::Array(items) if allowed(key, items) => items.iter().try_for_each(|item| walk("", item)),
        Value::Array(_) => Err(BadPolicy::List(key.to_owned())),
        Value::String(_) | Value::Integer(_) | Value::Float(_) | Value::Boolean(_) | Value::Datetime(_) => {
            Ok(())
        }
    }
}

fn allowed(key: &str, items: &[Value]) -> bool {
    match key {
        "any_of" | "none_of" | "required" => !items.iter().any(|item| item.is_array() || item.is_table()),
        "grant" | "reference" | "waive" | "pcrs" | "grace" | "modules" | "uki" => {
            items.iter().all(Value::is_table)
        }
        // An ABI version: major, minor.
        "min" => items.len() == 2 && items.iter().all(Value::is_integer),
        _ => false,
    }
}
