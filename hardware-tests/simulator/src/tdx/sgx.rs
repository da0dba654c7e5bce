//! The extension of a PCK certificate that says which platform it is and at which TCB.
//!
//! Intel SGX PCK certificate and CRL profile, section 1.3.5: a sequence of pairs of identifier and value
//! under 1.2.840.113741.1.13.1, whose second is again such a sequence.

use crate::der::{self, Oid};

/// The identifier of the extension.
pub const SGX_EXTENSIONS: Oid = &[1, 2, 840, 113_741, 1, 13, 1];

/// The extension about to be encoded: pairs in order, each settable, removable and repeatable.
#[derive(Clone, Debug)]
pub struct SgxExtensions {
    tcb: Vec<(u64, Vec<u8>)>,
    others: Vec<(u64, Vec<u8>)>,
}

impl SgxExtensions {
    /// The six members that every PCK certificate has, under a Processor CA.
    pub(super) fn new(ppid: &[u8], fmspc: &[u8], components: [u8; 16], pce_svn: u16) -> Self {
        let mut tcb: Vec<(u64, Vec<u8>)> = Vec::new();
        for (arc, svn) in (1..).zip(components) {
            tcb.push((arc, der::unsigned(svn.into())));
        }
        tcb.push((PCE_SVN, der::unsigned(pce_svn.into())));
        tcb.push((CPU_SVN, der::octet_string(&components)));
        let others = vec![
            (1, der::octet_string(ppid)),
            (TCB, Vec::new()),
            (3, der::octet_string(&[0, 0])),
            (4, der::octet_string(fmspc)),
            (5, der::tlv(ENUMERATED, &[0])),
        ];
        Self { tcb, others }
    }

    /// The extension's value, DER.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let members = self.others.iter().map(|(arc, value)| match *arc {
            TCB if value.is_empty() => pair(&[TCB], &self.tcb_der()),
            arc => pair(&[arc], value),
        });
        der::sequence(&members.collect::<Vec<_>>())
    }

    /// Sets the platform provisioning id.
    #[must_use]
    pub fn ppid(self, ppid: &[u8]) -> Self {
        self.member(1, &der::octet_string(ppid))
    }

    /// Sets the PCE's id.
    #[must_use]
    pub fn pce_id(self, id: &[u8]) -> Self {
        self.member(3, &der::octet_string(id))
    }

    /// Sets family, model, stepping, platform and custom SKU.
    #[must_use]
    pub fn fmspc(self, fmspc: &[u8]) -> Self {
        self.member(4, &der::octet_string(fmspc))
    }

    /// Sets the type: 0 standard, 1 scalable, 2 scalable with integrity.
    #[must_use]
    pub fn sgx_type(self, value: u8) -> Self {
        self.member(5, &der::tlv(ENUMERATED, &[value]))
    }

    /// Sets the platform instance id, which a Platform CA adds.
    #[must_use]
    pub fn platform_instance_id(self, id: &[u8]) -> Self {
        self.member(6, &der::octet_string(id))
    }

    /// Sets the configuration, which a Platform CA adds: dynamic platform, cached keys, SMT enabled.
    #[must_use]
    pub fn configuration(self, flags: [bool; 3]) -> Self {
        let flags = (1..).zip(flags).map(|(arc, flag)| {
            let value = if flag { der::boolean_true() } else { der::tlv(0x01, &[0]) };
            pair(&[7, arc], &value)
        });
        self.member(7, &der::sequence(&flags.collect::<Vec<_>>()))
    }

    /// Sets a TCB component, 1 to 16.
    #[must_use]
    pub fn component(self, number: u64, svn: u64) -> Self {
        self.tcb_member(number, &der::unsigned(svn))
    }

    /// Sets the PCE's security version.
    #[must_use]
    pub fn pce_svn(self, svn: u64) -> Self {
        self.tcb_member(PCE_SVN, &der::unsigned(svn))
    }

    /// Sets a member by its arc to any DER, in place or at the end.
    #[must_use]
    pub fn member(mut self, arc: u64, value: &[u8]) -> Self {
        put(&mut self.others, arc, value);
        self
    }

    /// Sets a member of the TCB by its arc to any DER, in place or at the end.
    #[must_use]
    pub fn tcb_member(mut self, arc: u64, value: &[u8]) -> Self {
        put(&mut self.tcb, arc, value);
        self
    }

    /// Leaves a member out.
    #[must_use]
    pub fn without(mut self, arc: u64) -> Self {
        self.others.retain(|(present, _)| *present != arc);
        self
    }

    /// Leaves a member of the TCB out.
    #[must_use]
    pub fn without_tcb(mut self, arc: u64) -> Self {
        self.tcb.retain(|(present, _)| *present != arc);
        self
    }

    /// Says a member a second time, with any DER.
    #[must_use]
    pub fn duplicate(mut self, arc: u64, value: &[u8]) -> Self {
        self.others.push((arc, value.to_vec()));
        self
    }

    /// Says a member of the TCB a second time.
    #[must_use]
    pub fn duplicate_tcb(mut self, arc: u64, svn: u64) -> Self {
        self.tcb.push((arc, der::unsigned(svn)));
        self
    }

    /// Reverses the order of all members, which the profile does not fix.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        self.others.reverse();
        self.tcb.reverse();
        self
    }

    fn tcb_der(&self) -> Vec<u8> {
        let members: Vec<Vec<u8>> = self.tcb.iter().map(|(arc, value)| pair(&[TCB, *arc], value)).collect();
        der::sequence(&members)
    }
}

fn put(members: &mut Vec<(u64, Vec<u8>)>, arc: u64, value: &[u8]) {
    match members.iter_mut().find(|(present, _)| *present == arc) {
        Some((_, present)) => value.clone_into(present),
        None => members.push((arc, value.to_vec())),
    }
}

fn pair(arcs: &[u64], value: &[u8]) -> Vec<u8> {
    der::sequence(&[der::oid(&[SGX_EXTENSIONS, arcs].concat()), value.to_vec()])
}

const TCB: u64 = 2;
const PCE_SVN: u64 = 17;
const CPU_SVN: u64 = 18;
const ENUMERATED: u8 = 0x0a;
