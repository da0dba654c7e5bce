//! TCB info: which security versions of a platform Intel calls what.
//!
//! Structure: Intel PCS API v4, "Get TDX TCB Info", version 3. Levels are tried from the highest down; the
//! first one that the platform meets *in every component* is its level. A component is a byte of its own:
//! nothing is compared as one number, and a list of another length than sixteen does not parse. A field that
//! stands twice does not parse either.
//!
//! Trusted: nothing but what a signature was checked over ([`super::documents`]).

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::{Digest, UnixTime, Window};

use super::pck::PckTcb;
use super::report::Svns;
use super::status::TcbStatus;

/// Intel's judgement of all TCBs of one platform model.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TcbInfo {
    issue_date: UnixTime,
    next_update: UnixTime,
    pub(super) fmspc: Digest<6>,
    pub(super) pce_id: Digest<2>,
    pub(super) tcb_type: u32,
    pub(super) tcb_evaluation_data_number: u32,
    tdx_module: Option<ModuleSigner>,
    #[serde(default)]
    tdx_module_identities: Vec<ModuleIdentity>,
    tcb_levels: Vec<Level>,
}

/// TDX 1.0's module: who must have signed it, and its attributes.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModuleSigner {
    mrsigner: Digest<48>,
    attributes: Digest<8>,
    attributes_mask: Digest<8>,
}

/// A module of one major version, from TDX 1.5 on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModuleIdentity {
    id: String,
    mrsigner: Digest<48>,
    attributes: Digest<8>,
    attributes_mask: Digest<8>,
    tcb_levels: Vec<SvnLevel>,
}

/// What Intel says of a TDX module.
#[derive(Clone, Copy, Debug)]
pub(super) struct Module<'t> {
    pub(super) mrsigner: Digest<48>,
    pub(super) attributes: Digest<8>,
    pub(super) attributes_mask: Digest<8>,
    /// `None` where the platform's levels judge the module too: TDX 1.0.
    levels: Option<&'t [SvnLevel]>,
}

/// A level of the platform.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    tcb: Tcb,
    tcb_date: UnixTime,
    #[serde(deserialize_with = "by_intel")]
    tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    advisory_ids: Vec<String>,
}

/// What a platform must have for a level. Ordered as Intel's library orders the levels.
#[derive(Clone, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
struct Tcb {
    #[serde(rename = "sgxtcbcomponents")]
    sgx: [Component; 16],
    #[serde(rename = "pcesvn")]
    pce_svn: u16,
    #[serde(rename = "tdxtcbcomponents")]
    tdx: [Component; 16],
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
struct Component {
    svn: u8,
}

/// A level of something that has one version: a TDX module, a quoting enclave.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SvnLevel {
    tcb: Isvsvn,
    tcb_date: UnixTime,
    #[serde(deserialize_with = "by_intel")]
    tcb_status: TcbStatus,
    #[serde(default, rename = "advisoryIDs")]
    advisory_ids: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
struct Isvsvn {
    isvsvn: u16,
}

/// What Intel says of one level.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct Judgement {
    /// How Intel calls it.
    pub status: TcbStatus,
    /// Since when a platform at this level has all that was known then.
    pub date: UnixTime,
    /// The advisories that apply.
    pub advisories: Vec<String>,
}

impl TcbInfo {
    /// From issueDate to nextUpdate.
    pub(super) fn window(&self) -> Window {
        Window { from: self.issue_date, until: self.next_update }
    }

    /// Puts the levels in the order in which Intel's library tries them, whatever the document's.
    pub(super) fn ordered(mut self) -> Self {
        self.tcb_levels.sort_by(|left, right| right.tcb.cmp(&left.tcb));
        for identity in &mut self.tdx_module_identities {
            SvnLevel::order(&mut identity.tcb_levels);
        }
        self
    }

    /// The highest level that a platform meets in every component, or why it meets not even the lowest.
    pub(super) fn level(&self, pck: &PckTcb, tee_tcb_svn: Svns) -> Result<Judgement, String> {
        let mut shortfall = "no levels".to_owned();
        for level in &self.tcb_levels {
            match level.tcb.shortfall(pck, tee_tcb_svn) {
                None => return Ok(level.judgement()),
                Some(short) => shortfall = format!("even the lowest level wants {short}"),
            }
        }
        Err(shortfall)
    }

    /// The module of this TCB; `None` where the document knows no such module.
    pub(super) fn module(&self, tee_tcb_svn: Svns) -> Option<Module<'_>> {
        let [_, version, ..] = tee_tcb_svn.0;
        if version == 0 {
            let ModuleSigner { mrsigner, attributes, attributes_mask } = *self.tdx_module.as_ref()?;
            return Some(Module { mrsigner, attributes, attributes_mask, levels: None });
        }
        let id = format!("TDX_{version:02X}");
        let found =
            self.tdx_module_identities.iter().find(|identity| identity.id.eq_ignore_ascii_case(&id))?;
        let ModuleIdentity { mrsigner, attributes, attributes_mask, .. } = *found;
        Some(Module { mrsigner, attributes, attributes_mask, levels: Some(&found.tcb_levels) })
    }
}

impl Module<'_> {
    /// What Intel says of this module at this TCB: `None` in TDX 1.0, an error where it is below all levels.
    pub(super) fn level(&self, tee_tcb_svn: Svns) -> Result<Option<Judgement>, String> {
        let [isvsvn, ..] = tee_tcb_svn.0;
        let Some(levels) = self.levels else { return Ok(None) };
        let met = SvnLevel::met(levels, u16::from(isvsvn));
        met.map(Some).ok_or_else(|| format!("module version {isvsvn} is below all levels"))
    }
}

impl Tcb {
    /// The first component in which a platform is below this level.
    fn shortfall(&self, pck: &PckTcb, tee_tcb_svn: Svns) -> Option<String> {
        let [_, module_version, ..] = tee_tcb_svn.0;
        // From TDX 1.5 on the module has levels of its own, and its two bytes are not compared here.
        let skipped = if module_version > 0 { 2 } else { 0 };
        if pck.pce_svn < self.pce_svn {
            return Some(format!("PCE SVN {}, found {}", self.pce_svn, pck.pce_svn));
        }
        below("SGX", &self.sgx, pck.components, 0).or_else(|| below("TDX", &self.tdx, tee_tcb_svn, skipped))
    }
}

/// Both are sixteen long by their types: nothing is cut off.
fn below(what: &str, wanted: &[Component; 16], found: Svns, skipped: usize) -> Option<String> {
    let mut pairs = wanted.iter().zip(found.0).enumerate().skip(skipped);
    let (at, (wanted, found)) = pairs.find(|(_, (wanted, found))| *found < wanted.svn)?;
    Some(format!("{what} component {} of {}, found {found}", at.saturating_add(1), wanted.svn))
}

impl Level {
    fn judgement(&self) -> Judgement {
        let advisories = self.advisory_ids.clone();
        Judgement { status: self.tcb_status, date: self.tcb_date, advisories }
    }
}

impl SvnLevel {
    pub(super) fn order(levels: &mut [Self]) {
        levels.sort_by_key(|level| std::cmp::Reverse(level.tcb.isvsvn));
    }

    /// The highest level that this version meets; the levels are in order.
    pub(super) fn met(levels: &[Self], isvsvn: u16) -> Option<Judgement> {
        let level = levels.iter().find(|level| isvsvn >= level.tcb.isvsvn)?;
        let advisories = level.advisory_ids.clone();
        Some(Judgement { status: level.tcb_status, date: level.tcb_date, advisories })
    }
}

/// What Intel says of a platform or a component. That a TD should be launched anew is for the verifier to find
/// out.
fn by_intel<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TcbStatus, D::Error> {
    use TcbStatus::{TdRelaunchAdvised, TdRelaunchAdvisedConfigurationNeeded};
    let status = TcbStatus::deserialize(deserializer)?;
    if matches!(status, TdRelaunchAdvised | TdRelaunchAdvisedConfigurationNeeded) {
        return Err(Error::custom(format_args!("{status} is no status that Intel gives")));
    }
    Ok(status)
}

impl Judgement {
    /// This judgement of a platform, together with that of one of its components.
    pub(super) fn with_component(mut self, component: &Self) -> Self {
        self.status = self.status.with_component(component.status);
        self.date = self.date.min(component.date);
        for advisory in &component.advisories {
            if !self.advisories.contains(advisory) {
                self.advisories.push(advisory.clone());
            }
        }
        self
    }
}

impl std::fmt::Display for Judgement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (TCB of {}", self.status, self.date)?;
        if !self.advisories.is_empty() {
            write!(f, "; {}", self.advisories.join(", "))?;
        }
        f.write_str(")")
    }
}
