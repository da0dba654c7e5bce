//! What each platform proves, and what it does not.
//!
//! "Genuine" means: the vendor's hardware signed these claims, and nobody changed them. "Admitted" means: and the claims
//! are what a policy asks for, in answer to this challenge. Neither says that the program inside is without faults, nor
//! that the hardware has no side channel.
//!
//! | | memory is closed to the host | what was started | which machine | who is believed |
//! |---|---|---|---|---|
//! | SEV-SNP | yes | launch measurement | chip id (hidden under a VLEK) | AMD |
//! | TDX | yes | MRTD, RTMR 0–3 | platform id (PPID) | Intel |
//! | Nitro enclave | from its parent; AWS owns the hypervisor | PCR 0–2, 8 | instance, role | AWS |
//! | `NitroTPM` | no statement | PCRs 4, 7, 12 | instance | AWS |
//! | TPM, vTPM | no statement | PCRs | attestation key | whoever enrolled or certified the key |
//! | Azure SNP or TDX | yes | the vTPM's PCRs, under Microsoft's paravisor | vTPM key, chip | AMD or Intel, and Microsoft |
//!
//! # AMD SEV-SNP ([`crate::snp`])
//!
//! *Proves*: a guest runs with its memory encrypted and protected against remapping, on a chip of this line and this
//! firmware; its first pages hash to `MEASUREMENT`; whoever asked for the report sat at this VMPL and chose the 64 bytes
//! of report data; the guest's owner demanded this policy (no debugging, no migration agent, …).
//!
//! *Does not prove*: anything loaded after launch, unless the measured firmware checked it. With OVMF and kernel
//! hashes, kernel, initrd and command line are in; a disk is not. ACPI tables, device trees and the disk's
//! contents come from the host. Under a VLEK the chip is not named, and the provider answers for the key. `HOST_DATA` is
//! the host's word at launch: fixed, but the host's. At a VMPL above 0 somebody else (a paravisor) is above the guest.
//!
//! *Know*: Milan's chip keys can be forged by whoever has its seed ([L30](super::fooled)). The committed TCB is the one
//! below which the host cannot go back; the reported TCB is the host's choice at or below the current one.
//!
//! # Intel TDX ([`crate::tdx`])
//!
//! *Proves*: a trust domain runs under this TDX module on a platform at this TCB level; its firmware hashes to `MRTD`;
//! RTMR 0 to 3 hold what firmware, loader, kernel and application extended since; the attributes (debug, migration,
//! performance counters) are these. Intel's *signed* TCB info says what it thinks of that level today: `UpToDate`, or which
//! advisories are open.
//!
//! *Does not prove*: what an RTMR means, without the event log that leads to it; that a level is good, only what Intel
//! says of it, as of the collateral's date; which TDX module build runs, beyond its security version: providers
//! update `MRSEAM` without asking. A bound service TD (`MRSERVICETD`) may replace the TD's parts: refused unless named.
//!
//! # TPM 2.0 and vTPM ([`crate::tpm`])
//!
//! *Proves*: the TPM that holds this key had these PCR values when it answered this nonce, and was reset so many times.
//!
//! *Does not prove*: that memory is encrypted; who runs the TPM. A vTPM is a program of the provider's, and a
//! discrete TPM is a chip on a bus that somebody can sit on. The key is believed because an operator enrolled its name,
//! or because a provider certified it for one of its machines; the appraisal says which. A PCR is a digest of a history:
//! only a replayed log says what happened, and only where the digest covers the words.
//!
//! # AWS Nitro Enclaves and `NitroTPM` ([`crate::nitro`])
//!
//! *Proves* (enclave): an enclave with this image (PCR 0), kernel (PCR 1) and application (PCR 2), perhaps signed by this
//! certificate (PCR 8), runs on this instance (PCR 4) with this role (PCR 3), not in debug mode; it asked for a document
//! with this nonce, user data and key.
//!
//! *Does not prove*: anything against AWS, who owns hypervisor, security module and root. PCRs 16 and up are the
//! application's own words. Documents are for minutes: their leaf lives three hours.
//!
//! *Proves* (`NitroTPM`): an EC2 instance booted what PCRs 4, 7 and 12 say: boot code, Secure Boot policy, command line.
//! One without the others is little: another command line turns a good kernel into anything. Its memory is not closed
//! to AWS.
//!
//! # Azure confidential machines ([`crate::azure`])
//!
//! Microsoft's paravisor sits between the hardware and the guest and runs its vTPM. The hardware report does not carry
//! the caller's nonce; it carries the hash of a document that names the vTPM's attestation key. So the path is: nonce →
//! TPM quote → attestation key → runtime data → report data of the SNP report or TD quote → AMD or Intel; the appraisal
//! prints it.
//!
//! *Proves*: the vTPM whose quote this is runs inside a confidential machine on such hardware, and the guest booted what
//! the PCRs say.
//!
//! *Does not prove*: that the paravisor keeps to itself; it is part of what the launch measurement covers, and reading it
//! is up to whoever trusts that measurement. The quote is fresh; the hardware report is as old as the boot.
//!
//! # Event logs
//!
//! A log is a claim about registers, from whoever sends it. Replayed to the quoted values it is complete and in order, yet
//! only the *digests* of events are proved. A claim such as "Secure Boot was on" is made only where the digest was
//! recomputed from the very bytes that say so.
//!
//! # Simulated roots
//!
//! Evidence verified under roots that a caller passed in proves what the holder of those keys says. Every verdict
//! under them says `simulated`.
