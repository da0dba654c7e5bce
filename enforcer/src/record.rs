//! That the glass was broken, where the node's agent finds it: a fact of the node's evidence, and so in the release log, until
//! the machine starts anew.
//!
//! It is written before anything is let go: afterwards whoever is root could keep it from being written.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use protocol::enforcer::LetGo;
use sha2::{Digest as _, Sha256};

use crate::succession::glass::{Action, Statement};

/// Writes it there, in one step.
pub(crate) fn upstream(path: &Path, statement: &Statement, now: u64) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let draft = path.with_extension("new");
    let mut file = File::create(&draft)?;
    file.write_all(&serde_json::to_vec(&told(statement, now)?)?)?;
    file.sync_all()?;
    fs::rename(&draft, path)
}

fn told(statement: &Statement, now: u64) -> io::Result<LetGo> {
    let action = match statement.action {
        Action::Detach => "detach",
        Action::Change => "change",
    };
    Ok(LetGo {
        action: action.to_owned(),
        statement: hex::encode(Sha256::digest(serde_json::to_string(statement)?)),
        time: now,
        reason: statement.reason.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_upstream_is_who_what_and_when() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run/let-go.json");
        let statement = Statement {
            node: "n1".into(),
            challenge: [1; 32],
            action: Action::Detach,
            from: 100,
            until: 200,
            reason: "ticket 7".into(),
        };
        upstream(&path, &statement, 150).unwrap();
        let told: LetGo = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let line = serde_json::to_string(&statement).unwrap();
        let digest = hex::encode(Sha256::digest(line));
        assert_eq!(
            told,
            LetGo { action: "detach".into(), statement: digest, time: 150, reason: "ticket 7".into() }
        );
    }
}
