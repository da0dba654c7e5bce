//! A second build of the plugin is registered; the mounts go from one to the other, and back, while machines ask.

use crate::cluster::rough;
use crate::configuration::{NEW, OLD};
use crate::evidence::{Pinned, on_record, record};
use crate::load::{Load, Note};
use crate::requests::unanswered;

#[test]
fn an_upgrade_mount_by_mount_under_load_loses_no_release_and_can_be_taken_back() {
    let cluster = rough();
    let pinned = Pinned::of(cluster.node(0), "attest-keys");
    cluster.register_new_build();
    for version in [NEW, OLD] {
        let notes = Load::during(&cluster, 4, |load| {
            load.resumes_on(&[0, 1, 2]);
            for mount in ["attest-keys", "auth/attest"] {
                cluster.upgrade(mount, version);
                println!("{mount} at {version}: first release after {:?}", load.resumes_on(&[0, 1, 2]));
            }
        });
        println!("{:?}", unanswered(notes.iter().map(|note| &note.outcome)));
        on_record(&cluster, &pinned, &[], notes.iter().filter_map(Note::decision));
        let last =
            notes.iter().filter(|note| note.machine == 0).filter_map(Note::decision).next_back().unwrap();
        let expected = version.replace('v', "openbao-plugin-attest ");
        assert_eq!(record(cluster.node(cluster.leader()), "attest-keys", last).verifier, expected);
    }
}
