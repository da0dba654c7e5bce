//! What the agent may, as its unit and its `DaemonSet` say: no capability, and nothing else that it can do without.
//!
//! Each test takes away what the manifests take away, or what they give, and asks what is left.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use attest::Platform;
use simulator::tsm::at_the_kernels_path;

use crate::harness::{Agent, Guest, PROGRAM, own_uid, request, skip, verified, vtpm};

/// As `CapabilityBoundingSet=` and `drop: [ALL]` with `NoNewPrivileges=yes`.
const BARE: [&str; 4] = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"];

#[test]
fn an_agent_without_capabilities_serves_reports_from_the_kernels_own_path() {
    let Some(guest) = guest() else { return };
    // setpriv runs inside the namespace that has the reports.
    let mut bare = at_the_kernels_path(guest.mount.path(), "setpriv");
    bare.args(BARE).arg(PROGRAM);
    let agent = Agent::start_as(bare, &format!("endorsements = [{:?}]\n[snp]\n", guest.crl()));
    assert_eq!(agent.capabilities(), 0, "it has none, and can have none");
    let reply = agent.evidence(&request(1, Some(Platform::SevSnp)));
    verified(&reply, &guest.anchors());
    assert_eq!(guest.leftovers(), 0);
}

#[test]
fn an_agent_without_capabilities_makes_its_key_and_quotes() {
    let Some(tpm) = (if is_root() { vtpm() } else { None }) else { return };
    let tcti = tpm.tcti();
    let rest = format!("[tpm]\ntcti = {tcti:?}\ncreate_ak = true\nevent_log = \"none\"\n");
    let mut bare = Command::new("setpriv");
    bare.args(BARE).arg(PROGRAM);
    let agent = Agent::start_as(bare, &rest);
    assert_eq!(agent.capabilities(), 0);
    assert_eq!(agent.evidence(&request(1, Some(Platform::Tpm2))).platform, Platform::Tpm2);
}

/// Why the manifests have it run as root.
#[test]
fn another_user_than_root_gets_no_report_and_is_told_why() {
    let Some(guest) = guest() else { return };
    let open = fs::Permissions::from_mode(0o777);
    let agent = Agent::start_anywhere(other_user(), &guest.config(), |folder| {
        fs::set_permissions(folder, open).unwrap();
    });
    let failure = agent.failure(&request(1, Some(Platform::SevSnp)));
    assert_eq!(failure.code, "agent.hardware");
    assert!(failure.message.contains("Permission denied (os error 13)"), "{}", failure.message);
}

/// Why both give it a `/run/cloudtaser` of its own.
#[test]
fn a_folder_that_it_may_not_write_is_named_at_the_start() {
    let Some(guest) = guest() else { return };
    let (code, said) = Agent::fail_as(other_user(), &guest.config());
    assert_eq!(code, Some(1));
    assert!(said.contains("agent.sock") && said.contains("Permission denied (os error 13)"), "{said}");
}

/// Why the unit has `ReadWritePaths`, and the pod a mount that is not read-only.
#[test]
fn a_report_directory_that_is_read_only_is_said_to_be() {
    let Some(guest) = guest() else { return };
    let reports = guest.mount.path().display().to_string();
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--", "sh", "-c", script, "sh", &reports, "setpriv"]).args(BARE).arg(PROGRAM);
    let agent = Agent::start_as(inside, &guest.config());
    let failure = agent.failure(&request(1, Some(Platform::SevSnp)));
    assert_eq!(failure.code, "agent.hardware");
    assert!(failure.message.contains("Read-only file system (os error 30)"), "{}", failure.message);
}

fn other_user() -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65533", "--regid=65533", "--clear-groups"]).args(BARE).arg(PROGRAM);
    other
}

/// A guest, where this process may give up what it has.
fn guest() -> Option<Guest> {
    if is_root() { Guest::start(|machine| machine) } else { None }
}

fn is_root() -> bool {
    let is_root = own_uid() == 0;
    if !is_root {
        skip("root", "only root has privileges to give up");
    }
    is_root
}
