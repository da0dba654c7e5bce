//! What `bao path-help` says.

use openbao_plugin::Operation;

use super::{Field, FieldKind, Need, Op, Path, Table, Who};

impl Table {
    /// The help of one path, if there is such a path.
    pub(crate) fn help(self, path: &str) -> Option<String> {
        // What is listed is named with or without its slash.
        let names = |row: &&Path| row.pattern == path || row.pattern.strip_suffix('/') == Some(path);
        self.all().find(|row| row.matches(path) || names(row)).map(Path::help)
    }

    /// The help of the mount as a whole: its purpose and its paths.
    pub(crate) fn overview(self) -> String {
        let rows = self.all().map(|row| format!("    {}\n        {}\n", row.pattern, row.synopsis));
        format!("{}\n\nPATHS\n\n{}", self.purpose, rows.collect::<String>())
    }
}

impl Path {
    fn help(&self) -> String {
        let operations: String = self.operations.iter().map(Op::help).collect();
        let (pattern, synopsis, description, who) =
            (self.pattern, self.synopsis, self.description, self.who.words());
        format!(
            "{pattern}\n    {synopsis}\n\n{description}\nWho may call it: {who}.\n\nOPERATIONS\n{operations}"
        )
    }
}

impl Who {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Anybody => "anybody, without a token",
            Self::Token => "a token whose policies allow it",
            Self::Sudo => "a token whose policies allow it with sudo",
        }
    }
}

impl Op {
    fn help(&self) -> String {
        let fields: String = self.takes.iter().copied().flatten().map(Field::help).collect();
        format!("\n    {}: {}\n{fields}", verb(self.operation), self.summary)
    }
}

impl Field {
    fn help(&self) -> String {
        let need = match self.need {
            Need::Required => "required",
            Need::Optional => "optional",
        };
        format!("        {} ({}, {need}): {}\n", self.name, self.kind.words(), self.description)
    }
}

impl FieldKind {
    fn words(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Base64 => "base64",
            Self::Number => "number",
            Self::Flag => "true or false",
            Self::Texts => "list of texts",
            Self::Object => "object",
        }
    }
}

/// The command of `bao` for an operation.
fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Read => "read",
        Operation::List => "list",
        Operation::Delete => "delete",
        Operation::Patch => "patch",
        Operation::Scan => "scan",
        Operation::Update
        | Operation::Renew
        | Operation::Revoke
        | Operation::ResolveRole
        | Operation::AliasLookahead
        | _ => "write",
    }
}
