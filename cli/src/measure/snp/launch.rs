//! The digest of a launch, page by page.
//!
//! Each page goes in through a `PAGE_INFO` of 112 bytes that begins with the digest so far (AMD 56860 r1.58
//! §8.17.2, table 67). Permissions of lower VMPLs and the migration image flag are zero.

use attest::Digest;
use attest::crypto::{AwsLcRs, Crypto as _};

use crate::measure::firmware::PAGE;

/// A launch in progress.
#[derive(Debug)]
pub(crate) struct Launch {
    digest: Digest<48>,
}

impl Default for Launch {
    fn default() -> Self {
        Self { digest: ZERO }
    }
}

impl Launch {
    /// Pages with content.
    pub(crate) fn normal(&mut self, address: u64, content: &[u8]) {
        for (page, at) in content.chunks(PAGE_BYTES).zip(pages_from(address)) {
            self.update(PageType::Normal, at, AwsLcRs.sha384(&[page]));
        }
    }

    /// A page of registers: it lies nowhere in the guest's memory.
    pub(crate) fn registers(&mut self, page: &[u8; PAGE_BYTES]) {
        self.update(PageType::Vmsa, NOWHERE, AwsLcRs.sha384(&[page]));
    }

    pub(crate) fn zero(&mut self, address: u64, length: u64) {
        self.without_content(PageType::Zero, address, length);
    }

    pub(crate) fn unmeasured(&mut self, address: u64, length: u64) {
        self.without_content(PageType::Unmeasured, address, length);
    }

    pub(crate) fn secrets(&mut self, address: u64) {
        self.update(PageType::Secrets, address, ZERO);
    }

    pub(crate) fn cpuid(&mut self, address: u64) {
        self.update(PageType::Cpuid, address, ZERO);
    }

    pub(crate) fn digest(self) -> Digest<48> {
        self.digest
    }

    fn without_content(&mut self, kind: PageType, address: u64, length: u64) {
        let end = address.saturating_add(length);
        for at in pages_from(address).take_while(|at| *at < end) {
            self.update(kind, at, ZERO);
        }
    }

    fn update(&mut self, kind: PageType, address: u64, content: Digest<48>) {
        let head = [&PAGE_INFO_LENGTH.to_le_bytes()[..], &[kind.number(), 0, 0, 0, 0, 0]].concat();
        self.digest = AwsLcRs.sha384(&[&self.digest.0, &content.0, &head, &address.to_le_bytes()]);
    }
}

fn pages_from(address: u64) -> impl Iterator<Item = u64> {
    std::iter::successors(Some(address), |at| at.checked_add(PAGE))
}

/// `PAGE_TYPE` (AMD 56860 r1.58 §8.17.2, table 65).
#[derive(Clone, Copy, Debug)]
enum PageType {
    Normal,
    Vmsa,
    Zero,
    Unmeasured,
    Secrets,
    Cpuid,
}

impl PageType {
    fn number(self) -> u8 {
        match self {
            Self::Normal => 1,
            Self::Vmsa => 2,
            Self::Zero => 3,
            Self::Unmeasured => 4,
            Self::Secrets => 5,
            Self::Cpuid => 6,
        }
    }
}

pub(crate) const PAGE_BYTES: usize = 4096;
const PAGE_INFO_LENGTH: u16 = 112;
/// What KVM gives as the address of a register page: all ones, as far as an address goes.
const NOWHERE: u64 = 0xffff_ffff_f000;
const ZERO: Digest<48> = Digest([0; 48]);
