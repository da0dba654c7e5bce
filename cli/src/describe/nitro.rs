//! A Nitro document in words: every field, every register, every certificate in it.
//!
//! Names and meanings: AWS, "Nitro Enclaves Attestation Process", section 2.2, and "`NitroTPM` Attestation
//! Document contents" of the EC2 user guide.

use attest::nitro::{Attached, Document};
use attest::{Endorsements, Platform};

use super::certificates;
use crate::layout::Section;

/// Every field of the document, then its leaf and its bundle.
pub(super) fn describe(platform: Platform, document: &Document<'_>) -> Vec<Section> {
    let mut sections = vec![head(platform, document), registers(platform, document)];
    let certificates = document.certificates().map(<[u8]>::to_vec).collect();
    let mut found = self::certificates(&Endorsements { certificates, ..Endorsements::default() });
    for (at, section) in found.iter_mut().enumerate() {
        section.title = match at {
            0 => "certificate (signs the document)".to_owned(),
            at => format!("certificate {at} of the bundle"),
        };
    }
    sections.extend(found);
    sections
}

fn head(platform: Platform, document: &Document<'_>) -> Section {
    let fields = document.fields();
    let title = if platform == Platform::NitroTpm {
        "NitroTPM attestation document (of an EC2 instance)"
    } else {
        "Nitro attestation document (of an enclave)"
    };
    let mut section = Section::new(title);
    section.row("module id", &fields.module_id);
    section.row("made", format!("{} ({} ms)", fields.made(), fields.timestamp));
    section.row("digest", &fields.digest);
    section.row("nonce", sized(&fields.nonce));
    section.row("user data", sized(&fields.user_data));
    section.row("public key", sized(&fields.public_key));
    section
}

fn registers(platform: Platform, document: &Document<'_>) -> Section {
    let mut section = Section::new("platform configuration registers");
    let pcrs = &document.fields().pcrs;
    let zero = |index: u8| {
        let found = pcrs.iter().find(|pcr| pcr.index == index);
        found.is_none_or(|pcr| pcr.value.0.iter().all(|byte| *byte == 0))
    };
    if platform == Platform::Nitro && [0, 1, 2].into_iter().all(zero) {
        section.row("DEBUG MODE", "PCRS 0, 1 AND 2 ARE ZERO: THE PARENT MAY READ THE ENCLAVE'S CONSOLE");
    }
    let names = if platform == Platform::NitroTpm { &OF_AN_INSTANCE[..] } else { &OF_AN_ENCLAVE };
    for pcr in pcrs {
        let name = names.iter().find(|(index, _)| *index == pcr.index).map_or("", |(_, name)| *name);
        section.row(format!("PCR {} {name}", pcr.index).trim_end(), pcr.value);
    }
    section
}

fn sized(attached: &Attached) -> String {
    match attached {
        Attached::Absent | Attached::Null => attached.to_string(),
        Attached::Bytes(bytes) => format!("{attached} ({} bytes)", bytes.len()),
    }
}

const OF_AN_ENCLAVE: [(u8, &str); 6] = [
    (0, "image"),
    (1, "kernel and boot"),
    (2, "applications"),
    (3, "role of the parent"),
    (4, "id of the parent"),
    (8, "signer of the image"),
];

const OF_AN_INSTANCE: [(u8, &str); 10] = [
    (0, "firmware code"),
    (1, "firmware data"),
    (2, "option ROMs"),
    (3, "data of option ROMs"),
    (4, "what was started"),
    (5, "boot configuration"),
    (7, "Secure Boot"),
    (9, "initial ramdisk"),
    (11, "unified kernel image"),
    (12, "command line and add-ons"),
];
