//! The build-time measurement of a trust domain (MRTD), and the run-time registers as far as they follow from
//! the files.
//!
//! MRTD is exact up to the order in which the hypervisor adds pages. RTMR 1 and 2 are exact for a kernel that the
//! hypervisor hands to the firmware; with a disk they depend on its partition table. RTMR 0 depends on the
//! hypervisor's ACPI tables, on memory and on boot variables: nothing here guesses it.
//!
//! Untrusted: the files.

mod direct;
mod mrtd;
mod tdvf;

pub(crate) use direct::{DirectBoot, Header};
pub(crate) use mrtd::{Order, mrtd};
