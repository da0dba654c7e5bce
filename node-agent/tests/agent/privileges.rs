//! What the agent may, as its unit and its `DaemonSet` say: no capability, and nothing else that it can do without.
//!
//! Each test takes away what the manifests take away, or something that they give, and looks at what is left.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use attest::Platform;
use simulator::tsm::at_the_kernels_path;
use tempfile::TempDir;

use crate::harness::{Agent, Guest, PROGRAM, own_uid, request, skip, verified, vtpm};

/// As `CapabilityBoundingSet=` and `drop: [ALL]` with `NoNewPrivileges=yes`.
const BARE: [&str; 4] = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"];
const NONE: &str = "0000000000000000";

#[test]
fn an_agent_without_capabilities_serves_reports_from_the_kernels_own_path() {
    let Some(guest) = guest() else { return };
    // What is given up is given up inside the namespace that has the reports.
    let mut bare = at_the_kernels_path(guest.mount.path(), "setpriv");
    bare.args(BARE).arg(PROGRAM);
    let agent = Agent::start_as(bare, &format!("endorsements = [{:?}]\n[snp]\n", guest.crl()));
    assert_eq!(agent.capabilities(), NONE);
    let reply = agent.evidence(&request(1, Some(Platform::SevSnp)));
    verified(&reply, &guest.anchors());
    assert_eq!(guest.leftovers(), 0);
}

#[test]
fn an_agent_without_capabilities_makes_its_key_and_quotes() {
    if !is_root() {
        return;
    }
    let Some(tpm) = vtpm() else { return };
    let rest = format!("[tpm]\ntcti = {:?}\ncreate_ak = true\nevent_log = \"none\"\n", tpm.tcti());
    let agent = Agent::start_as(bare(PROGRAM), &rest);
    assert_eq!(agent.capabilities(), NONE);
    assert_eq!(agent.evidence(&request(1, Some(Platform::Tpm2))).platform, Platform::Tpm2);
}

/// Why the unit names the group: udev gives the TPM to `tss`, and root without capabilities is somebody else.
#[test]
fn a_device_that_is_its_groups_is_opened_by_the_group_alone() {
    if !is_root() {
        return;
    }
    let unit = include_str!("../../systemd/cloudtaser-node-agent.service");
    assert!(unit.lines().any(|line| line == "SupplementaryGroups=tss"));
    let folder = TempDir::new().unwrap();
    let device = folder.path().join("tpmrm0");
    fs::write(&device, "").unwrap();
    std::os::unix::fs::chown(&device, Some(65532), Some(65532)).unwrap();
    fs::set_permissions(&device, fs::Permissions::from_mode(0o660)).unwrap();
    let rest = format!("[tpm]\ntcti = \"device:{}\"\nak_handle = 0x81010002\n", device.display());
    for (groups, is_denied) in [("--clear-groups", true), ("--groups=65532", false)] {
        let mut member = Command::new("setpriv");
        member.arg(groups).args(BARE).arg(PROGRAM);
        let failure = Agent::start_as(member, &rest).failure(&request(1, Some(Platform::Tpm2)));
        assert_eq!(
            failure.message.contains("Permission denied (os error 13)"),
            is_denied,
            "{}",
            failure.message
        );
    }
}

/// Why the manifests have it run as root.
#[test]
fn another_user_than_root_gets_no_report_and_is_told_why() {
    let Some(guest) = guest() else { return };
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let agent = Agent::start_as_in(somebody(folder.path()), folder.path(), &reports(&guest));
    let failure = agent.failure(&request(1, Some(Platform::SevSnp)));
    assert_eq!(failure.code, "agent.hardware");
    assert!(failure.message.contains("Permission denied (os error 13)"), "{}", failure.message);
}

/// Why both give it a `/run/cloudtaser` of its own.
#[test]
fn a_folder_that_it_may_not_write_is_named_at_the_start() {
    let Some(guest) = guest() else { return };
    let folder = TempDir::new().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (code, said) = Agent::fail_as(somebody(folder.path()), folder.path(), &reports(&guest));
    assert_eq!(code, Some(1), "{said}");
    let named = folder.path().join("agent.sock").display().to_string();
    assert!(said.contains(&named) && said.contains("Permission denied (os error 13)"), "{said}");
}

/// Why the unit has `ReadWritePaths`, and the pod a mount that is not read-only.
#[test]
fn a_report_directory_that_is_read_only_is_said_to_be() {
    let Some(guest) = guest() else { return };
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && shift && exec \"$@\"";
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--", "sh", "-c", script, "sh"]).arg(guest.mount.path());
    inside.arg("setpriv").args(BARE).arg(PROGRAM);
    let agent = Agent::start_as(inside, &reports(&guest));
    let failure = agent.failure(&request(1, Some(Platform::SevSnp)));
    assert_eq!(failure.code, "agent.hardware");
    assert!(failure.message.contains("Read-only file system (os error 30)"), "{}", failure.message);
}

/// The guest's reports, and no file that only root can read.
fn reports(guest: &Guest) -> String {
    format!("[snp]\npath = {:?}\n", guest.mount.path())
}

fn bare(program: &str) -> Command {
    let mut bare = Command::new("setpriv");
    bare.args(BARE).arg(program);
    bare
}

/// A user who is nobody in particular, with a copy of the program where that user can reach it.
fn somebody(folder: &Path) -> Command {
    let program = folder.join("agent");
    fs::copy(PROGRAM, &program).unwrap();
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65533", "--regid=65533", "--clear-groups"]).args(BARE).arg(program);
    other
}

/// A guest, where this process has something to give up.
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
