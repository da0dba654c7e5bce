//! Which room depends on which, and under which names features are shipped.

use crate::house::{Dependency, House, Room, short};

use super::Fault;
use super::list::{Arrows, List};

/// Every arrow and feature that the list does not allow.
pub(crate) fn faults(house: &House, list: &List) -> Vec<Fault> {
    house.rooms.iter().flat_map(|room| room_faults(room, list)).collect()
}

fn room_faults(room: &Room, list: &List) -> Vec<Fault> {
    let Some(arrows) = list.rooms.get(room.name()) else {
        return vec![Fault::new(room.name(), "expected a table in layers.toml, found none")];
    };
    let arrow_faults = room.dependencies.iter().filter_map(|to| arrow_fault(room, arrows, to, list));
    arrow_faults.chain(feature_faults(room, list)).collect()
}

fn arrow_fault(room: &Room, arrows: &Arrows, to: &Dependency, list: &List) -> Option<Fault> {
    let name = short(&to.name).to_owned();
    let in_tests = to.kind.as_deref() == Some("dev");
    let never_shipped = list.never_shipped.contains(&name);
    if to.path.is_none() {
        let listed = arrows.external.as_ref().is_none_or(|external| external.contains(&to.name));
        return (!in_tests && !listed)
            .then(|| Fault::new(room.name(), format!("external dependency {} is not listed", to.name)));
    }
    if never_shipped && !in_tests && !list.never_shipped.iter().any(|other| other == room.name()) {
        return Some(Fault::new(
            room.name(),
            format!("{name} is never shipped, but a normal dependency here"),
        ));
    }
    let allowed =
        arrows.ours.contains(&name) || (in_tests && (never_shipped || arrows.tests.contains(&name)));
    (!allowed).then(|| {
        let scope = if in_tests { "its tests" } else { "its code" };
        Fault::new(room.name(), format!("the arrow to {name} is forbidden to {scope}"))
    })
}

// Tests and fakes reach shipped code through arguments, never through a feature.
fn feature_faults(room: &Room, list: &List) -> Vec<Fault> {
    if list.never_shipped.iter().any(|name| name == room.name()) {
        return Vec::new();
    }
    let carries = |feature: &str| {
        feature.split(['-', '_']).any(|word| list.feature_words.iter().any(|bad| bad == word))
    };
    let bad = room.features.keys().filter(|feature| carries(feature));
    bad.map(|feature| Fault::new(room.name(), format!("shipped feature {feature:?}"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = r#"
        never-shipped = ["simulator", "hw"]
        feature-words = ["mock", "test", "insecure", "sample"]
        unsafe-homes = []
        tables = []
        banned = []
        [trust]
        [rooms.attest]
        ours = []
        external = ["thiserror"]
        [rooms.keyrelease]
        ours = ["attest"]
        tests = ["cli"]
        [rooms.simulator]
        ours = ["attest"]
        [rooms.hw]
        ours = ["simulator"]
    "#;

    fn found(room: &str, dependency: &str, kind: Option<&str>, ours: bool, feature: &str) -> Vec<String> {
        let metadata = serde_json::json!({
            "workspace_root": "/r", "target_directory": "/r/target",
            "packages": [{
                "name": format!("cloudtaser-{room}"), "manifest_path": "/r/x/Cargo.toml", "targets": [],
                "features": { feature: [] },
                "dependencies": [{ "name": dependency, "kind": kind, "path": ours.then_some("/r/y") }],
            }],
        });
        let house: House = serde_json::from_value(metadata).unwrap();
        let list: List = toml::from_str(LIST).unwrap();
        faults(&house, &list).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_arrow_that_is_not_listed_is_forbidden() {
        assert_eq!(
            found("attest", "cloudtaser-keyrelease", None, true, "default"),
            ["attest: the arrow to keyrelease is forbidden to its code"]
        );
        assert!(found("keyrelease", "cloudtaser-attest", None, true, "default").is_empty());
    }

    #[test]
    fn a_test_arrow_is_no_arrow_for_shipped_code() {
        assert!(found("keyrelease", "cloudtaser-cli", Some("dev"), true, "default").is_empty());
        assert_eq!(
            found("keyrelease", "cloudtaser-cli", None, true, "default"),
            ["keyrelease: the arrow to cli is forbidden to its code"]
        );
        assert_eq!(
            found("attest", "cloudtaser-cli", Some("dev"), true, "default"),
            ["attest: the arrow to cli is forbidden to its tests"]
        );
    }

    #[test]
    fn a_build_script_is_shipped_code() {
        assert_eq!(
            found("keyrelease", "cloudtaser-cli", Some("build"), true, "default"),
            ["keyrelease: the arrow to cli is forbidden to its code"]
        );
    }

    #[test]
    fn the_simulator_is_for_tests_alone() {
        assert!(found("keyrelease", "cloudtaser-simulator", Some("dev"), true, "default").is_empty());
        assert_eq!(
            found("keyrelease", "cloudtaser-simulator", None, true, "default"),
            ["keyrelease: simulator is never shipped, but a normal dependency here"]
        );
        assert!(found("hw", "cloudtaser-simulator", None, true, "default").is_empty());
    }

    #[test]
    fn attest_lists_each_external_dependency() {
        assert_eq!(
            found("attest", "reqwest", None, false, "default"),
            ["attest: external dependency reqwest is not listed"]
        );
        assert!(found("attest", "thiserror", None, false, "default").is_empty());
        assert!(found("attest", "tempfile", Some("dev"), false, "default").is_empty());
        assert!(found("keyrelease", "reqwest", None, false, "default").is_empty());
    }

    #[test]
    fn a_shipped_feature_may_not_be_a_fake() {
        for feature in ["mock", "mock-tpm", "insecure_tls", "test", "sample"] {
            assert_eq!(
                found("attest", "thiserror", None, false, feature),
                [format!("attest: shipped feature {feature:?}")]
            );
        }
        assert!(found("attest", "thiserror", None, false, "attestation").is_empty());
        assert!(found("simulator", "cloudtaser-attest", None, true, "mock").is_empty());
    }

    #[test]
    fn a_room_without_a_table_is_a_fault() {
        assert_eq!(
            found("garage", "thiserror", None, false, "default"),
            ["garage: expected a table in layers.toml, found none"]
        );
    }
}
