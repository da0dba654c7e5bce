//! A TD quote in words: every field of the report, every attribute, the quoting enclave and the platform.
//!
//! Names and meanings: Intel TDX DCAP Quoting Library API, appendix A; Intel TDX Module ABI Specification
//! 348551-008 (TDATTRIBUTES); Intel SGX PCK Certificate and CRL Profile Specification, section 1.3.5.

use attest::Endorsements;
use attest::tdx::{PckClaims, Quote, TD_ATTRIBUTES, TdReport, TdReport15Ex};

use super::certificates;
use crate::layout::Section;

/// Every field of the quote, then the certificates that it brings.
pub(super) fn describe(quote: &Quote<'_>) -> Vec<Section> {
    let report = quote.report();
    let mut sections = vec![head(quote), measurements(report), attributes(report)];
    sections.extend(report.ex.as_ref().map(extension));
    sections.push(enclave(quote));
    let certificates = quote.certificates().unwrap_or_default();
    sections.extend(
        certificates.iter().filter_map(|der| PckClaims::unverified(der).ok()).map(|pck| platform(&pck)),
    );
    sections.extend(quote.event_log().into_iter().flat_map(super::eventlog::describe));
    sections.extend(self::certificates(&Endorsements { certificates, ..Endorsements::default() }));
    sections
}

fn head(quote: &Quote<'_>) -> Section {
    let (header, report) = (quote.header(), quote.report());
    let mut section = Section::new("TD quote");
    section.row("version", header.version);
    let vendor = if header.qe_vendor_id.to_string() == INTEL { "Intel" } else { "unknown" };
    section.row("quoting enclave's vendor", format!("{} ({vendor})", header.qe_vendor_id));
    section.row("user data", header.user_data);
    section.row("report", format!("TDX {}, {} bytes", report.kind, report.kind.size()));
    section.row("report data", report.report_data);
    section
}

fn measurements(report: &TdReport) -> Section {
    let mut section = Section::new("measurements");
    section.row("MRTD (initial memory)", report.mrtd);
    for (index, rtmr) in report.rtmrs.iter().enumerate() {
        section.row(format!("RTMR {index}"), rtmr);
    }
    section.row("MRCONFIGID", report.mrconfigid);
    section.row("MROWNER", report.mrowner);
    section.row("MROWNERCONFIG", report.mrownerconfig);
    section.row("MRSEAM (TDX module)", report.mrseam);
    let intel = if report.mrsignerseam.is_zero() { " (Intel)" } else { "" };
    section.row("MRSIGNERSEAM", format!("{}{intel}", report.mrsignerseam));
    section.row("SEAMATTRIBUTES", report.seam_attributes);
    section.row("TEE_TCB_SVN (at launch)", report.tee_tcb_svn);
    if let Some(v15) = &report.v15 {
        section.row("TEE_TCB_SVN_2 (now)", v15.tee_tcb_svn_2);
        let bound = if v15.mrservicetd.is_zero() { " (no service TD)" } else { " A SERVICE TD IS BOUND" };
        section.row("MRSERVICETD", format!("{}{bound}", v15.mrservicetd));
    }
    section
}

fn attributes(report: &TdReport) -> Section {
    let mut section = Section::new("TD attributes (what the TD and its host may do)");
    let found = report.td_attributes;
    section.row("raw", format!("{:#018x}", found.0));
    for (bit, name, meaning) in TD_ATTRIBUTES {
        let value = if found.bit(bit) { format!("set: {meaning}") } else { "clear".to_owned() };
        section.row(format!("bit {bit} {}", name.to_uppercase()), value);
    }
    section.row("bits without a name", format!("{:#x}", found.unnamed()));
    section.row("XFAM", format!("{:#018x}", report.xfam.0));
    section
}

fn extension(ex: &TdReport15Ex) -> Section {
    let mut section = Section::new("extension of TDX 1.5");
    section.row("virtual machine in the TD", ex.vmid);
    section.row("TD id", ex.td_id);
    section.row("device information", ex.device_info);
    section.row("service TDs at creation", ex.init_servicetd_hash);
    section.row("their attributes", ex.init_servicetd_attributes);
    section.row("CPUSVN at creation", ex.init_cpu_svn);
    section.row("TEE_TCB_SVN at creation", ex.init_tee_tcb_svn);
    section.row("platform model at creation", ex.init_tee_fmspc);
    section.row("service TDs now", ex.current_servicetd_hash);
    section.row("their attributes", ex.current_servicetd_attributes);
    section
}

fn enclave(quote: &Quote<'_>) -> Section {
    let mut section = Section::new("quoting enclave");
    if let Ok(report) = quote.qe_report() {
        section.row("MRENCLAVE", report.mrenclave);
        section.row("MRSIGNER", report.mrsigner);
        section.row("ISVPRODID", report.isvprodid);
        section.row("ISVSVN", report.isvsvn);
        section.row("attributes", report.attributes);
        section.row("MISCSELECT", report.miscselect);
        section.row("CPUSVN", report.cpu_svn);
    }
    section.row("attestation key", hex::encode(quote.attestation_key()));
    section.row("authentication data", hex::encode(quote.qe_auth_data()));
    section.row("certification data", format!("type {}", quote.certification_type()));
    section
}

/// What the platform's certificate says, and where Intel has the collateral for it.
fn platform(pck: &PckClaims) -> Section {
    let mut section = Section::new("platform (of its certificate)");
    section.row("PPID", pck.ppid);
    section.row("FMSPC", pck.fmspc);
    section.row("PCEID", pck.pce_id);
    section.row("SGX TCB components", pck.tcb.components);
    section.row("PCE SVN", pck.tcb.pce_svn);
    section.row("CPUSVN", pck.tcb.cpu_svn);
    section.row("SGX type", pck.sgx_type);
    section.row("platform instance", pck.platform_instance_id.map_or("none".to_owned(), |id| id.to_string()));
    if let Some(configuration) = pck.configuration {
        let said = |flag: Option<bool>| flag.map_or("not stated".to_owned(), |flag| flag.to_string());
        section.row("dynamic platform", said(configuration.dynamic_platform));
        section.row("cached keys", said(configuration.cached_keys));
        section.row("multithreading", said(configuration.smt_enabled));
    }
    section.row("TCB info at Intel", format!("{SERVICE}/tdx/certification/v4/tcb?fmspc={}", pck.fmspc));
    section.row("QE identity at Intel", format!("{SERVICE}/tdx/certification/v4/qe/identity"));
    let lists = format!("{SERVICE}/sgx/certification/v4/pckcrl?ca=platform&encoding=der (or ca=processor)");
    section.row("revocation list at Intel", lists);
    section
        .row("the root's list at Intel", "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");
    section
}

const INTEL: &str = "939a7233f79c4ca9940a0db3957f0607";
const SERVICE: &str = "https://api.trustedservices.intel.com";
