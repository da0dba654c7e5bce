//! The TCB of a TD: the platform's level, the TDX module's, the quoting enclave's, at launch and now.
//!
//! From TDX 1.5 on a module can be replaced under a running TD; the report then has the TCB of the launch and
//! the current one, and both are judged. `Revoked` is refused here, whatever the policy says; every other
//! status is the policy's business.

use crate::check::Checks;

use super::pck::PckTcb;
use super::report::{Svns, TdReport};
use super::status::TcbStatus;
use super::tcb_info::{Judgement, TcbInfo};

/// Intel's judgement of a TD's TCB, and what it is made of.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct TcbClaims {
    /// All of it in one.
    pub status: TcbStatus,
    /// The platform with its TDX module and quoting enclave when the TD was launched.
    pub launch: Judgement,
    /// The same with the TDX module that runs now, where the report says which.
    pub current: Option<Judgement>,
    /// The quoting enclave alone.
    pub qe: Judgement,
}

impl TcbClaims {
    /// The advisories that apply to the launch or to what runs now: a TD has been exposed to the former.
    pub fn advisories(&self) -> impl Iterator<Item = &String> {
        let launch = &self.launch.advisories;
        let current = self.current.iter().flat_map(|current| &current.advisories);
        launch.iter().chain(current.filter(|advisory| !launch.contains(advisory)))
    }

    /// Judges the TCBs that a report names.
    pub(super) fn judge(
        info: &TcbInfo,
        pck: &PckTcb,
        qe: Option<&Judgement>,
        report: &TdReport,
        checks: &mut Checks,
    ) -> Option<Self> {
        module(info, report, checks);
        let launch = Tcb { info, pck, which: "launch" }.judge(report.tee_tcb_svn, checks);
        let current = report.current_tcb_svn();
        let current = current.map(|svn| Tcb { info, pck, which: "current" }.judge(svn, checks));
        let qe = qe?;
        let launch = launch?.with_component(qe);
        let current = match current {
            Some(judgement) => Some(judgement?.with_component(qe)),
            None => None,
        };
        let with_current = |current: &Judgement| launch.status.at_launch_with_current(current.status);
        let status = current.as_ref().map_or(launch.status, with_current);
        let found = status.to_string();
        checks.ask("tdx.tcb.not_revoked", status != TcbStatus::Revoked, "not Revoked", found);
        Some(Self { status, launch, current, qe: qe.clone() })
    }
}

/// The module's signer and attributes are those that Intel names, and its attributes are zero.
fn module(info: &TcbInfo, report: &TdReport, checks: &mut Checks) {
    let [_, version, ..] = report.tee_tcb_svn.0;
    let module = info.module(report.tee_tcb_svn);
    let found = if module.is_some() { "known" } else { "unknown" };
    let expected = format!("TDX module of major version {version} in Intel's TCB info");
    checks.ask("tdx.module.identity", module.is_some(), expected, found);
    let Some(module) = module else { return };
    let (expected, found) = (module.mrsigner, report.mrsignerseam);
    checks.ask("tdx.module.mrsigner", expected == found, expected.to_string(), found.to_string());
    let found = report.seam_attributes;
    let pairs = found.0.iter().zip(module.attributes_mask.0).zip(module.attributes.0);
    let as_named = pairs.into_iter().all(|((found, mask), wanted)| found & mask == wanted);
    let expected = format!("{} under mask {}, and zero", module.attributes, module.attributes_mask);
    checks.ask("tdx.module.attributes", as_named && found.is_zero(), expected, found.to_string());
}

/// One of the TCBs that a report names.
#[derive(Clone, Copy)]
struct Tcb<'t> {
    info: &'t TcbInfo,
    pck: &'t PckTcb,
    which: &'t str,
}

impl Tcb<'_> {
    /// The platform's level together with the module's.
    fn judge(self, svn: Svns, checks: &mut Checks) -> Option<Judgement> {
        let level = self.info.level(self.pck, svn);
        let found = match &level {
            Ok(level) => level.to_string(),
            Err(shortfall) => format!("none: {shortfall}"),
        };
        let expected = "a level that the platform meets in every component";
        checks.ask(&format!("tdx.tcb.{}", self.which), level.is_ok(), expected, found);
        let module = self.info.module(svn);
        let of_module = match &module {
            Some(module) => module.level(svn),
            None => Err("an unknown module".to_owned()),
        };
        let found = match &of_module {
            Ok(Some(level)) => level.to_string(),
            Ok(None) => "judged with the platform (TDX 1.0)".to_owned(),
            Err(why) => why.clone(),
        };
        let expected = "a level that the TDX module meets";
        checks.ask(&format!("tdx.module.{}", self.which), of_module.is_ok(), expected, found);
        let (level, of_module) = (level.ok()?, of_module.ok()?);
        Some(match of_module {
            Some(module) => level.with_component(&module),
            None => level,
        })
    }
}
