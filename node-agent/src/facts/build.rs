//! What the kernel was built with, as far as it matters to a secret in memory.
//!
//! Read where distributions put it: `/proc/config.gz`, or `/boot/config-RELEASE`. Only the first is the running kernel's own
//! word; the second is a file that the same package brought.
//!
//! Trusted: the kernel, and its package.

use std::io::Read as _;

use flate2::read::GzDecoder;

use super::Told;

pub(super) fn tell(told: &mut Told<'_>) {
    match configuration(told) {
        Ok(text) => OPTIONS.into_iter().for_each(|option| {
            told.say(&format!("config.{option}"), value(&text, option));
        }),
        Err(why) => OPTIONS.into_iter().for_each(|option| told.unknown(&format!("config.{option}"), &why)),
    }
}

fn configuration(told: &Told<'_>) -> Result<String, String> {
    let own = told.bytes("proc/config.gz").and_then(|compressed| {
        let mut text = String::new();
        let read = GzDecoder::new(compressed.as_slice()).take(MOST).read_to_string(&mut text);
        read.map(|_length| text).map_err(|error| format!("/proc/config.gz: {error}"))
    });
    let found = own.or_else(|why| {
        let release = told.text("proc/sys/kernel/osrelease")?;
        told.text(&format!("boot/config-{release}")).map_err(|other| format!("{why}; {other}"))
    });
    // Of a text that is none, every option would be one that is not set: the good word for many of them.
    let is_one = |text: &String| text.lines().any(|line| line.starts_with("CONFIG_"));
    found.and_then(|text| {
        if is_one(&text) {
            Ok(text)
        } else {
            Err("expected a kernel's configuration, found none of its options".to_owned())
        }
    })
}

/// `y`, `m`, a text or a number; `n` where it is not set.
fn value<'t>(text: &'t str, option: &str) -> &'t str {
    let of = |line: &'t str| line.strip_prefix("CONFIG_")?.strip_prefix(option)?.strip_prefix('=');
    text.lines().find_map(of).unwrap_or("n")
}

/// Some hundred kilobytes in practice.
const MOST: u64 = 4 * 1024 * 1024;
/// Programs of the security modules; memory that not even the kernel maps; overriding a function's result, which
/// undoes a refusal; ways around the kernel's own protection.
const OPTIONS: [&str; 12] = [
    "BPF_LSM",
    "SECRETMEM",
    "BPF_KPROBE_OVERRIDE",
    "FUNCTION_ERROR_INJECTION",
    "SECURITY_LOCKDOWN_LSM",
    "MODULE_SIG",
    "MODULE_SIG_FORCE",
    "KEXEC",
    "KEXEC_SIG",
    "DEVMEM",
    "STRICT_DEVMEM",
    "IMA",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_by_its_whole_name() {
        let text = "CONFIG_KEXEC_SIG=y\n# CONFIG_KEXEC is not set\nCONFIG_IMA_DEFAULT_HASH=\"sha256\"\nCONFIG_DEVMEM=m\n";
        for (option, expected) in [("KEXEC_SIG", "y"), ("KEXEC", "n"), ("IMA", "n"), ("DEVMEM", "m")] {
            assert_eq!(value(text, option), expected, "{option}");
        }
    }
}
