//! The registers that a vCPU starts with, as each hypervisor sets them: measured, one page per vCPU.
//!
//! Hypervisors differ, and one has changed: each version that is known is a [`Machine`] of its own, and an answer
//! names the one that it was computed with. Offsets: AMD APM volume 2 (24593), table B-4.

use super::Guest;
use super::launch::PAGE_BYTES;

/// What a hypervisor does its own way.
#[derive(Debug)]
pub(crate) struct Machine {
    /// As the command line names the hypervisor.
    pub(crate) vmm: &'static str,
    /// What tells its versions apart, in ids.
    pub(crate) id: &'static str,
    /// What tells its versions apart, in words.
    pub(crate) table: &'static str,
    /// Attributes of the code segment: of the first vCPU, of the others.
    code: (u16, u16),
    stack: u16,
    task: u16,
    dx: Dx,
    pat: u64,
    /// Whether the floating-point unit is as after a reset.
    fpu: bool,
    /// What becomes of memory that is there before the guest accepts any.
    pub(crate) sec_mem: SecMem,
    /// Whether the CPUID page is loaded after all others.
    pub(crate) cpuid_last: bool,
}

/// Register DX, where a reset leaves the processor's signature.
#[derive(Debug)]
enum Dx {
    Signature,
    Fixed(u64),
}

/// How the hypervisor puts early memory in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SecMem {
    Zero,
    Unmeasured,
}

impl Machine {
    /// The page of a vCPU that begins at this address.
    pub(crate) fn registers(&self, begin: u32, guest: &Guest) -> [u8; PAGE_BYTES] {
        let first = begin == FIRST_INSTRUCTION;
        let code = if first { self.code.0 } else { self.code.1 };
        let mut page = [0; PAGE_BYTES];
        for at in [0x00, 0x30, 0x40, 0x50] {
            // ES, DS, FS, GS.
            segment(&mut page, at, 0, DATA);
        }
        segment(&mut page, 0x10, 0xf000, code);
        put(&mut page, 0x18, &u64::from(begin & 0xffff_0000).to_le_bytes());
        segment(&mut page, 0x20, 0, self.stack);
        segment(&mut page, 0x60, 0, 0); // GDTR
        segment(&mut page, 0x70, 0, LOCAL_TABLE);
        segment(&mut page, 0x80, 0, 0); // IDTR
        segment(&mut page, 0x90, 0, self.task);
        let dx = match self.dx {
            Dx::Signature => u64::from(guest.signature),
            Dx::Fixed(value) => value,
        };
        for (at, value) in [
            (0xd0, 0x1000),                     // EFER: SVME
            (0x148, 0x40),                      // CR4: MCE
            (0x158, 0x10),                      // CR0: ET
            (0x160, 0x400),                     // DR7
            (0x168, 0xffff_0ff0),               // DR6
            (0x170, 0x2),                       // RFLAGS
            (0x178, u64::from(begin & 0xffff)), // RIP
            (0x268, self.pat),                  // G_PAT
            (0x310, dx),                        // RDX
            (0x3b0, guest.features),            // SEV_FEATURES
            (0x3e8, 0x1),                       // XCR0
        ] {
            put(&mut page, at, &value.to_le_bytes());
        }
        if self.fpu {
            put(&mut page, 0x408, &0x1f80_u32.to_le_bytes()); // MXCSR
            put(&mut page, 0x410, &0x37f_u16.to_le_bytes()); // FCW
        }
        page
    }
}

/// Selector, attributes and a limit of 64 KiB; the base stays 0.
fn segment(page: &mut [u8; PAGE_BYTES], at: usize, selector: u16, attributes: u16) {
    put(page, at, &selector.to_le_bytes());
    put(page, at.saturating_add(2), &attributes.to_le_bytes());
    put(page, at.saturating_add(4), &0xffff_u32.to_le_bytes());
}

fn put(page: &mut [u8; PAGE_BYTES], at: usize, value: &[u8]) {
    for (to, from) in page.iter_mut().skip(at).zip(value) {
        *to = *from;
    }
}

/// The signature of QEMU's processor model with this name, in any case of letters.
pub(crate) fn signature_of(model: &str) -> Option<u32> {
    let known = |(name, versions, signature): &(&str, u8, u32)| {
        let numbered =
            (1..=*versions).any(|version| model.eq_ignore_ascii_case(&format!("{name}-v{version}")));
        (numbered || model.eq_ignore_ascii_case(name)).then_some(*signature)
    };
    MODELS.iter().find_map(known)
}

/// QEMU's processor models (`target/i386/cpu.c`), how many versions each has, and its signature. Versions add
/// features; none changes the signature.
pub(crate) const MODELS: [(&str, u8, u32); 6] = [
    ("EPYC", 5, 0x0080_0f12),
    ("EPYC-IBPB", 0, 0x0080_0f12),
    ("EPYC-Rome", 5, 0x0083_0f10),
    ("EPYC-Milan", 3, 0x00a0_0f11),
    ("EPYC-Genoa", 2, 0x00a1_0f10),
    ("EPYC-Turin", 2, 0x00b0_0f00),
];

/// Every register table that is known.
pub(crate) const MACHINES: [Machine; 4] = [
    Machine {
        vmm: "qemu",
        id: "qemu",
        table: "QEMU on KVM: DX holds the processor's signature",
        code: (0x9b, 0x9b),
        stack: 0x93,
        task: 0x8b,
        dx: Dx::Signature,
        pat: PAT,
        fpu: true,
        sec_mem: SecMem::Zero,
        cpuid_last: false,
    },
    Machine {
        vmm: "ec2",
        id: "ec2-dx600",
        table: "Amazon EC2, hosts seen since May 2026: DX is 0x600",
        dx: Dx::Fixed(0x600),
        ..EC2
    },
    Machine { vmm: "ec2", id: "ec2-dx0", table: "Amazon EC2, hosts before that: DX is 0", ..EC2 },
    Machine {
        vmm: "gce",
        id: "gce",
        table: "Google Compute Engine: DX is 0x600, a PAT of its own, early memory unmeasured",
        code: (0x9b, 0x9b),
        stack: 0x93,
        task: 0x8b,
        dx: Dx::Fixed(0x600),
        pat: 0x0007_0106,
        fpu: false,
        sec_mem: SecMem::Unmeasured,
        cpuid_last: false,
    },
];

const EC2: Machine = Machine {
    vmm: "ec2",
    id: "ec2",
    table: "Amazon EC2",
    code: (0x9a, 0x9b),
    stack: 0x92,
    task: 0x83,
    dx: Dx::Fixed(0),
    pat: PAT,
    fpu: false,
    sec_mem: SecMem::Zero,
    cpuid_last: true,
};

/// Where the first vCPU begins: 16 bytes below 4 GiB.
pub(crate) const FIRST_INSTRUCTION: u32 = 0xffff_fff0;
/// Present, writable, accessed.
const DATA: u16 = 0x93;
/// Present, a local descriptor table.
const LOCAL_TABLE: u16 = 0x82;
/// The page attribute table after a reset (AMD APM volume 2, appendix A.3).
const PAT: u64 = 0x0007_0406_0007_0406;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_qemu_does_not_have_has_no_signature() {
        assert_eq!(signature_of("epyc-v4"), Some(0x0080_0f12));
        assert_eq!(signature_of("EPYC-Genoa"), Some(0x00a1_0f10));
        assert_eq!(signature_of("EPYC-v9"), None);
        assert_eq!(signature_of("EPYC-v"), None);
        assert_eq!(signature_of("Opteron"), None);
    }
}
