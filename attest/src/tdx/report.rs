//! The TD report: what the TDX module says of a TD, read front to back, nothing interpreted.
//!
//! Layout: Intel TDX DCAP Quoting Library API, A.3.2 (TDX 1.0) and A.4.3 (TDX 1.5); the body of 885 bytes
//! follows `sgx_report2_body_v1_5_ex_t` of Intel's `sgx_quote_5.h`. Measurements are SHA-384.
//!
//! Untrusted: everything here, until the quote's signature was checked.

use crate::Digest;
use crate::bytes::{Malformed, Reader};

use super::attributes::{TdAttributes, Xfam};

/// Sixteen security version numbers, each a byte of its own: they are compared one by one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Svns(pub [u8; 16]);

/// Which structure a report has.
#[derive(Clone, Copy, Debug, Eq, PartialEq, serde::Serialize, serde::Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Kind {
    /// TDX 1.0: 584 bytes.
    #[serde(rename = "1.0")]
    V10,
    /// TDX 1.5: 648 bytes.
    #[serde(rename = "1.5")]
    V15,
    /// TDX 1.5 with the extension for devices, service TDs and partitions: 885 bytes.
    #[serde(rename = "1.5-ex")]
    V15Ex,
}

/// The fields of a report, in the order of the structure.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct TdReport {
    /// Which structure it is.
    pub kind: Kind,
    /// The TCB when the TD was launched: the module's minor and major version, then microcode and others.
    pub tee_tcb_svn: Svns,
    /// The TDX module.
    pub mrseam: Digest<48>,
    /// Who signed the TDX module; zero for Intel's.
    pub mrsignerseam: Digest<48>,
    /// Attributes of the TDX module; zero in production.
    pub seam_attributes: Digest<8>,
    /// What the TD is allowed, and what the host is allowed to do to it.
    pub td_attributes: TdAttributes,
    /// Which extended processor features the TD may use.
    pub xfam: Xfam,
    /// The TD's initial memory.
    pub mrtd: Digest<48>,
    /// The host's words for a configuration that is not the owner's.
    pub mrconfigid: Digest<48>,
    /// The host's words for the owner.
    pub mrowner: Digest<48>,
    /// The host's words for the owner's configuration.
    pub mrownerconfig: Digest<48>,
    /// What was measured since launch.
    pub rtmrs: [Digest<48>; 4],
    /// The caller's 64 bytes.
    pub report_data: Digest<64>,
    /// What TDX 1.5 adds.
    pub v15: Option<TdReport15>,
    /// What the extension of TDX 1.5 adds.
    pub ex: Option<TdReport15Ex>,
}

/// What TDX 1.5 adds to a report.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct TdReport15 {
    /// The TCB now: differs from `tee_tcb_svn` after an update of the module under a running TD.
    pub tee_tcb_svn_2: Svns,
    /// The service TDs that are bound to this TD; zero if none is.
    pub mrservicetd: Digest<48>,
}

/// What the extension of TDX 1.5 adds to a report.
#[derive(Clone, Debug, Eq, PartialEq, serde::Serialize)]
pub struct TdReport15Ex {
    /// Which virtual machine in a partitioned TD asked; 0 for one without partitions.
    pub vmid: u8,
    /// The TD's own id: new with each launch, kept over module updates and migration.
    pub td_id: Digest<32>,
    /// A hash of what is known of attached devices.
    pub device_info: Digest<48>,
    /// The service TDs that were bound at creation.
    pub init_servicetd_hash: Digest<48>,
    /// Their attributes.
    pub init_servicetd_attributes: Digest<8>,
    /// The processor's security versions at creation.
    pub init_cpu_svn: Svns,
    /// The TCB at creation.
    pub init_tee_tcb_svn: Svns,
    /// The platform's model at creation.
    pub init_tee_fmspc: Digest<12>,
    /// The service TDs that are bound now: unlike MRSERVICETD, also those bound after creation.
    pub current_servicetd_hash: Digest<48>,
    /// Their attributes.
    pub current_servicetd_attributes: Digest<8>,
}

impl Kind {
    /// The length of a report of this kind.
    #[must_use]
    pub const fn size(self) -> usize {
        match self {
            Self::V10 => 584,
            Self::V15 => 648,
            Self::V15Ex => 885,
        }
    }

    /// The kind with this number in a quote of version 5. An SGX report (1) is no TD report; what a later
    /// version adds may carry a check.
    pub(super) fn numbered(number: u16) -> Result<Self, Malformed> {
        match number {
            2 => Ok(Self::V10),
            3 => Ok(Self::V15),
            4 => Ok(Self::V15Ex),
            other => {
                let expected = "2, 3 or 4 (a TD report)";
                Err(Malformed::Value { what: "body type", expected, found: other.to_string() })
            }
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::V10 => "1.0",
            Self::V15 => "1.5",
            Self::V15Ex => "1.5-ex",
        })
    }
}

impl TdReport {
    pub(super) fn parse(kind: Kind, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        let report = Self {
            kind,
            tee_tcb_svn: Svns(r.array()?),            // 0
            mrseam: Digest(r.array()?),               // 16
            mrsignerseam: Digest(r.array()?),         // 64
            seam_attributes: Digest(r.array()?),      // 112
            td_attributes: TdAttributes(r.u64_le()?), // 120
            xfam: Xfam(r.u64_le()?),                  // 128
            mrtd: Digest(r.array()?),                 // 136
            mrconfigid: Digest(r.array()?),           // 184
            mrowner: Digest(r.array()?),              // 232
            mrownerconfig: Digest(r.array()?),        // 280
            rtmrs: [rtmr(&mut r)?, rtmr(&mut r)?, rtmr(&mut r)?, rtmr(&mut r)?], // 328
            report_data: Digest(r.array()?),          // 520
            v15: if kind == Kind::V10 { None } else { Some(TdReport15::parse(&mut r)?) },
            ex: if kind == Kind::V15Ex { Some(TdReport15Ex::parse(&mut r)?) } else { None },
        };
        r.finish()?;
        Ok(report)
    }

    /// The TCB that runs now, where the report says it.
    #[must_use]
    pub fn current_tcb_svn(&self) -> Option<Svns> {
        self.v15.as_ref().map(|v15| v15.tee_tcb_svn_2)
    }

    /// What Intel's documents judge: the module's signer, attributes and versions.
    pub(super) fn judged_by_intel(&self) -> Vec<u8> {
        let current = self.v15.as_ref().map(|v15| v15.tee_tcb_svn_2.0.as_slice()).unwrap_or_default();
        [&self.tee_tcb_svn.0, &self.mrsignerseam.0[..], &self.seam_attributes.0, current].concat()
    }
}

fn rtmr(reader: &mut Reader<'_>) -> Result<Digest<48>, Malformed> {
    reader.array().map(Digest)
}

impl TdReport15 {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { tee_tcb_svn_2: Svns(r.array()?), mrservicetd: Digest(r.array()?) }) // 584, 600
    }
}

impl TdReport15Ex {
    fn parse(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            vmid: r.u8()?,                                    // 648
            td_id: Digest(r.array()?),                        // 649
            device_info: Digest(r.array()?),                  // 681
            init_servicetd_hash: Digest(r.array()?),          // 729
            init_servicetd_attributes: Digest(r.array()?),    // 777
            init_cpu_svn: Svns(r.array()?),                   // 785
            init_tee_tcb_svn: Svns(r.array()?),               // 801
            init_tee_fmspc: Digest(r.array()?),               // 817
            current_servicetd_hash: Digest(r.array()?),       // 829
            current_servicetd_attributes: Digest(r.array()?), // 877
        })
    }
}

impl std::fmt::Display for Svns {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl serde::Serialize for Svns {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
