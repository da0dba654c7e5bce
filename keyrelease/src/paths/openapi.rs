//! The tables as the document that OpenBao merges into `sys/internal/specs/openapi`.
//!
//! OpenBao puts the mount's path before each of ours and reads its own `x-vault-` marks.

use openbao_plugin::Operation;
use serde_json::{Map, Value, json};

use super::{Field, FieldKind, Need, Op, Path, Table, Who};

impl Table {
    /// The document.
    pub(crate) fn openapi(self) -> Value {
        let paths: Map<String, Value> =
            self.all().map(|row| (format!("/{}", row.pattern.replace("...", "")), row.item())).collect();
        json!({
            "openapi": "3.0.2",
            "info": { "title": "CloudTaser", "description": self.purpose, "version": env!("CARGO_PKG_VERSION") },
            "paths": paths,
        })
    }
}

impl Path {
    fn item(&self) -> Value {
        let mut item = json!({ "description": format!("{} {}", self.synopsis, self.description) });
        let parameters: Vec<Value> = self.parameters().collect();
        let marks =
            [("x-vault-unauthenticated", self.who == Who::Anybody), ("x-vault-sudo", self.who == Who::Sudo)];
        if let Some(item) = item.as_object_mut() {
            item.insert("parameters".to_owned(), Value::Array(parameters));
            item.extend(
                marks.into_iter().filter(|mark| mark.1).map(|(name, on)| (name.to_owned(), on.into())),
            );
            item.extend(self.operations.iter().map(|op| (method(op.operation).to_owned(), op.item(self))));
        }
        item
    }

    fn parameters(&self) -> impl Iterator<Item = Value> {
        let names = self.pattern.split('/').filter_map(|part| part.strip_prefix('{'));
        names.map(|name| {
            let name = name.trim_end_matches('}').trim_end_matches("...");
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
    }
}

impl Op {
    fn item(&self, path: &Path) -> Value {
        let done = if self.operation == Operation::Delete {
            json!({ "204": { "description": "gone, also if it was gone before" } })
        } else {
            json!({ "200": { "description": "OK" } })
        };
        let mut item = json!({ "summary": self.summary, "description": path.description, "responses": done });
        let Some(object) = item.as_object_mut() else { return item };
        if self.operation == Operation::List {
            let list = json!({ "name": "list", "in": "query", "required": true,
                "schema": { "type": "string", "enum": ["true"] } });
            object.insert("parameters".to_owned(), json!([list]));
        }
        if self.operation == Operation::Update {
            let schema = self.schema();
            let body = json!({ "required": true, "content": { "application/json": { "schema": schema } } });
            object.insert("requestBody".to_owned(), body);
        }
        item
    }

    fn schema(&self) -> Value {
        let fields = || self.takes.iter().copied().flatten();
        let properties: Map<String, Value> =
            fields().map(|field| (field.name.to_owned(), field.schema())).collect();
        let required: Vec<&str> =
            fields().filter(|field| field.need == Need::Required).map(|field| field.name).collect();
        let mut schema = json!({ "type": "object", "properties": properties });
        if let Some(schema) = schema.as_object_mut().filter(|_| !required.is_empty()) {
            schema.insert("required".to_owned(), json!(required));
        }
        schema
    }
}

impl Field {
    fn schema(&self) -> Value {
        let description = self.description;
        match self.kind {
            FieldKind::Text => json!({ "type": "string", "description": description }),
            FieldKind::Base64 => json!({ "type": "string", "format": "byte", "description": description }),
            FieldKind::Number => json!({ "type": "integer", "description": description }),
            FieldKind::Flag => json!({ "type": "boolean", "description": description }),
            FieldKind::Texts => {
                json!({ "type": "array", "items": { "type": "string" }, "description": description })
            }
            FieldKind::Object => json!({ "type": "object", "description": description }),
        }
    }
}

/// The method of HTTP; a list is a read that says so.
fn method(operation: Operation) -> &'static str {
    match operation {
        Operation::Read | Operation::List | Operation::Scan => "get",
        Operation::Delete => "delete",
        Operation::Patch => "patch",
        Operation::Update
        | Operation::Renew
        | Operation::Revoke
        | Operation::ResolveRole
        | Operation::AliasLookahead
        | _ => "post",
    }
}
