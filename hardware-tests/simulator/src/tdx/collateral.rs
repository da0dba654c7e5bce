//! What a verifier needs besides a quote: certificates, revocation lists, TCB info and QE identity.

use super::json::Json;
use super::{Document, Platform, QE_MRSIGNER, Role};
use crate::der;

/// All collateral of a platform, as bytes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Collateral {
    /// Intel SGX Root CA, DER.
    pub root: Vec<u8>,
    /// The authority that issued the platform's PCK certificate, DER.
    pub ca: Vec<u8>,
    /// The platform's PCK certificate, DER; a quote carries it too.
    pub pck: Vec<u8>,
    /// Intel SGX TCB Signing, DER.
    pub tcb_signing: Vec<u8>,
    /// The root's revocation list, DER.
    pub root_crl: Vec<u8>,
    /// The authority's revocation list, DER.
    pub pck_crl: Vec<u8>,
    /// TCB info as the provisioning service answers it, JSON.
    pub tcb_info: Vec<u8>,
    /// QE identity as the provisioning service answers it, JSON.
    pub qe_identity: Vec<u8>,
}

/// A row of a TCB info.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Level {
    /// The least security versions of the SGX components.
    pub sgx: [u8; 16],
    /// The least security version of the PCE.
    pub pce_svn: u16,
    /// The least security versions of the TDX components.
    pub tdx: [u8; 16],
    /// Since when, in seconds since 1970.
    pub date: u64,
    /// Its status, such as `UpToDate`.
    pub status: &'static str,
    /// The advisories that the level is open to.
    pub advisories: &'static [&'static str],
}

impl Level {
    /// The row as JSON.
    #[must_use]
    pub fn json(&self) -> Json {
        let tcb = Json::object([
            ("sgxtcbcomponents", components(self.sgx)),
            ("pcesvn", Json::Number(self.pce_svn.into())),
            ("tdxtcbcomponents", components(self.tdx)),
        ]);
        row(tcb, self.date, self.status, self.advisories)
    }
}

/// The rows that a platform's TCB info has unless told otherwise, best first: up to date, out of date, out
/// of date and in need of configuration, revoked.
#[must_use]
pub fn levels() -> [Level; 4] {
    let early = [4, 4, 2, 2, 4, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0];
    let level = |microcode: u8, pce_svn, date, status, advisories| {
        let [_, _, rest @ ..] = early;
        let mut sgx = [microcode; 16];
        for (component, svn) in sgx.iter_mut().skip(2).zip(rest) {
            *component = svn;
        }
        let mut tdx = [0; 16];
        for (component, svn) in tdx.iter_mut().zip([5, 0, microcode]) {
            *component = svn;
        }
        Level { sgx, pce_svn, tdx, date, status, advisories }
    };
    [
        level(4, 13, 1_755_043_200, "UpToDate", &[]),
        level(3, 13, 1_731_456_000, "OutOfDate", &["INTEL-SA-01192"]),
        level(2, 11, 1_710_288_000, "OutOfDateConfigurationNeeded", &["INTEL-SA-01192", "INTEL-SA-00837"]),
        level(1, 5, 1_515_024_000, "Revoked", &["INTEL-SA-01192", "INTEL-SA-00837", "INTEL-SA-00106"]),
    ]
}

impl Platform {
    /// All collateral as it should be.
    #[must_use]
    pub fn collateral(&self) -> Collateral {
        Collateral {
            root: self.root().der(),
            ca: self.ca().der(),
            pck: self.pck().der(),
            tcb_signing: self.tcb_signing().der(),
            root_crl: self.root_crl().der(),
            pck_crl: self.pck_crl().der(),
            tcb_info: self.tcb_info().json(),
            qe_identity: self.qe_identity().json(),
        }
    }

    /// The TCB info of this kind of platform, about to be signed.
    #[must_use]
    pub fn tcb_info(&self) -> Document {
        let (issued, until) = self.document_window();
        let value = Json::object([
            ("id", Json::text("TDX")),
            ("version", Json::Number(3)),
            ("issueDate", Json::text(&der::rfc3339(issued))),
            ("nextUpdate", Json::text(&der::rfc3339(until))),
            ("fmspc", Json::hex(&self.fmspc)),
            ("pceId", Json::text("0000")),
            ("tcbType", Json::Number(0)),
            ("tcbEvaluationDataNumber", Json::Number(20)),
            ("tdxModule", Json::object(module())),
            (
                "tdxModuleIdentities",
                Json::List(vec![identity("TDX_03", &[3]), identity("TDX_01", &[6, 4, 2])]),
            ),
            ("tcbLevels", Json::List(levels().iter().map(Level::json).collect())),
        ]);
        Document::new("tcbInfo", value, self.authority(Role::TcbSigning).key())
    }

    /// The identity of the TD quoting enclave, about to be signed.
    #[must_use]
    pub fn qe_identity(&self) -> Document {
        let (issued, until) = self.document_window();
        let value = Json::object([
            ("id", Json::text("TD_QE")),
            ("version", Json::Number(2)),
            ("issueDate", Json::text(&der::rfc3339(issued))),
            ("nextUpdate", Json::text(&der::rfc3339(until))),
            ("tcbEvaluationDataNumber", Json::Number(20)),
            ("miscselect", Json::text("00000000")),
            ("miscselectMask", Json::text("FFFFFFFF")),
            ("attributes", Json::text("11000000000000000000000000000000")),
            ("attributesMask", Json::text("FBFFFFFFFFFFFFFF0000000000000000")),
            ("mrsigner", Json::hex(&QE_MRSIGNER)),
            ("isvprodid", Json::Number(2)),
            ("tcbLevels", Json::List(isvsvn_levels(&[6, 4, 2]))),
        ]);
        Document::new("enclaveIdentity", value, self.authority(Role::TcbSigning).key())
    }
}

fn components(svns: [u8; 16]) -> Json {
    Json::List(svns.iter().map(|svn| Json::object([("svn", Json::Number((*svn).into()))])).collect())
}

fn row(tcb: Json, date: u64, status: &str, advisories: &[&str]) -> Json {
    let mut row = vec![
        ("tcb".to_owned(), tcb),
        ("tcbDate".to_owned(), Json::text(&der::rfc3339(date))),
        ("tcbStatus".to_owned(), Json::text(status)),
    ];
    if !advisories.is_empty() {
        let ids = Json::List(advisories.iter().map(|id| Json::text(id)).collect());
        row.push(("advisoryIDs".to_owned(), ids));
    }
    Json::Object(row)
}

fn module() -> [(&'static str, Json); 3] {
    [
        ("mrsigner", Json::hex(&[0; 48])),
        ("attributes", Json::hex(&[0; 8])),
        ("attributesMask", Json::hex(&[0xff; 8])),
    ]
}

/// A module identity; the best of its levels is up to date, the others are out of date.
fn identity(id: &str, isvsvns: &[u64]) -> Json {
    let [mrsigner, attributes, mask] = module();
    let levels = ("tcbLevels", Json::List(isvsvn_levels(isvsvns)));
    Json::object([("id", Json::text(id)), mrsigner, attributes, mask, levels])
}

fn isvsvn_levels(isvsvns: &[u64]) -> Vec<Json> {
    let status =
        |first: bool| if first { ("UpToDate", &[][..]) } else { ("OutOfDate", &["INTEL-SA-01036"][..]) };
    let level = |(at, svn): (u64, &u64)| {
        let (status, advisories) = status(at == 0);
        let date = 1_731_456_000_u64.saturating_sub(at.saturating_mul(10_000_000));
        row(Json::object([("isvsvn", Json::Number(*svn))]), date, status, advisories)
    };
    (0..).zip(isvsvns).map(level).collect()
}
