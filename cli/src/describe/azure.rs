//! An Azure machine's evidence in words: the paravisor's report, then the hardware's and the TPM's part.
//!
//! Names and meanings: `attest::azure`.

use attest::azure::{Composite, VmConfiguration};

use crate::answer::NotJudged;
use crate::layout::Section;

/// Every field of every part.
pub(super) fn describe(composite: &Composite<'_>) -> Result<Vec<Section>, NotJudged> {
    let mut sections = vec![paravisor(composite)];
    if let Some(runtime) = composite.unverified_runtime() {
        sections.push(machine(&runtime.vm, runtime.user_data.as_deref()));
    }
    sections.extend(super::evidence(composite.hardware())?);
    sections.extend(super::tpm::describe(composite.quote()));
    Ok(sections)
}

fn paravisor(composite: &Composite<'_>) -> Section {
    let hcl = composite.hcl();
    let mut section = Section::new("paravisor's report");
    section.row("version", hcl.version);
    section.row("carries", hcl.report_type);
    section.row("report data", hex::encode(hcl.report_data()));
    section.row("runtime data", format!("{} bytes, hashed with {}", hcl.runtime_data().len(), hcl.hash));
    section
}

fn machine(vm: &VmConfiguration, user_data: Option<&str>) -> Section {
    let mut section = Section::new("virtual machine (as the paravisor says)");
    let said = |bit: Option<bool>| match bit {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not said",
    };
    section.row("unique id", vm.unique_id.as_deref().unwrap_or("not said"));
    section.row("Secure Boot", said(vm.secure_boot));
    section.row("virtual TPM", said(vm.tpm_enabled));
    section.row("TPM state kept", said(vm.tpm_persisted));
    section.row("serial console", said(vm.console_enabled));
    section.row("root certificate", vm.root_cert_thumbprint.as_deref().unwrap_or("not said"));
    section.row("user data", user_data.unwrap_or("none"));
    section
}
