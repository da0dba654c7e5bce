//! A long event log, as a machine with GRUB has it, and what reading it cannot cost less than.

use std::hint::black_box;

use attest::Crypto as _;
use attest::crypto::{AwsLcRs, Hash};
use attest::eventlog::{Boot, EventLog, Layout};

/// A log of three banks, of which one is quoted.
pub(crate) struct Log {
    bytes: Vec<u8>,
    values: Vec<(u32, Vec<u8>)>,
    /// What has to be hashed: the digest of each event into its register, and each text that is claimed.
    digests: Vec<[u8; 32]>,
    texts: Vec<Vec<u8>>,
}

impl Log {
    /// At least this many bytes.
    pub(crate) fn of(length: usize) -> Self {
        let mut log = Self { bytes: head(), values: Vec::new(), digests: Vec::new(), texts: Vec::new() };
        let mut turn = 0_usize;
        while log.bytes.len() < length {
            match turn % 16 {
                // A list of revoked programs; it is long, and hashed to be claimed.
                0 => log.event(7, 0x8000_0001, &variable(&[0x5a; 4000]), <[u8]>::to_vec),
                1 => log.event(4, 0x8000_0003, &[0xaa; 160], |_| b"MZ".to_vec()),
                2..=4 => {
                    log.event(9, 13, b"(hd0,gpt2)/boot/grub/x86_64-efi/module.mod\0", |_| b"module".to_vec());
                }
                _ => {
                    let text = format!(
                        "grub_cmd: menuentry {turn} --class os {{ {} }}\0",
                        "linux ".repeat(turn % 32)
                    );
                    log.event(8, 13, text.as_bytes(), |data| data[10..data.len() - 1].to_vec());
                }
            }
            turn += 1;
        }
        let parsed = EventLog::parse(&log.bytes).unwrap();
        let replay = parsed.replay(&AwsLcRs, Layout::Tpm, Hash::Sha256).unwrap();
        log.values = replay.touched().map(|(index, value)| (index, value.as_bytes().to_vec())).collect();
        log
    }

    fn event(&mut self, register: u32, kind: u32, data: &[u8], measured: impl Fn(&[u8]) -> Vec<u8>) {
        let measured = measured(data);
        let digest = AwsLcRs.sha256(&[&measured]).0;
        self.bytes.extend([register.to_le_bytes(), kind.to_le_bytes(), [3, 0, 0, 0]].concat());
        self.bytes.extend([&[4, 0][..], &AwsLcRs.sha1(&[&measured]).0].concat());
        self.bytes.extend([&[0x0b, 0][..], &digest].concat());
        self.bytes.extend([&[0x0c, 0][..], &AwsLcRs.sha384(&[&measured]).0].concat());
        self.bytes.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
        self.bytes.extend(data);
        self.digests.push(digest);
        if matches!(register, 7 | 8) {
            self.texts.push(measured);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Parsed, replayed, compared, read.
    pub(crate) fn proved(&self) {
        let log = EventLog::parse(black_box(&self.bytes)).unwrap();
        let quoted: Vec<(u32, &[u8])> =
            self.values.iter().map(|(index, value)| (*index, value.as_slice())).collect();
        black_box(Boot::proved(&AwsLcRs, &log, Layout::Tpm, Hash::Sha256, &quoted).unwrap());
    }

    /// The hashes alone.
    pub(crate) fn hashed(&self) {
        let mut value = [0; 32];
        for digest in black_box(&self.digests) {
            value = AwsLcRs.sha256(&[&value, digest]).0;
        }
        for text in black_box(&self.texts) {
            black_box(AwsLcRs.sha256(&[text]));
        }
        black_box(value);
    }
}

fn head() -> Vec<u8> {
    let mut spec = b"Spec ID Event03\0".to_vec();
    spec.extend([0, 0, 0, 0, 0, 2, 0, 2, 3, 0, 0, 0, 4, 0, 20, 0, 0x0b, 0, 32, 0, 0x0c, 0, 48, 0, 0]);
    let length = u32::try_from(spec.len()).unwrap().to_le_bytes();
    [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20], &length, &spec].concat()
}

/// `dbx`.
fn variable(value: &[u8]) -> Vec<u8> {
    let vendor =
        [0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f];
    let length = u64::try_from(value.len()).unwrap().to_le_bytes();
    [&vendor[..], &3_u64.to_le_bytes(), &length, b"d\0b\0x\0", value].concat()
}
