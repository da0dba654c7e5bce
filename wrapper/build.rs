//! Builds the library that is loaded into programs where tracing is refused, in both of its forms.
//!
//! The same compiler builds it for the same target as the wrapper, so `core` for it is there whenever the wrapper can
//! be built at all. It needs no C library: what is made for glibc loads into programs of musl and the other way round,
//! and the wrapper embeds the two images. It is linked by the linker that comes with the compiler, which knows every
//! target; where a distribution leaves that out, by the one that links the wrapper.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

const SOURCE: &str = "interposer/library.rs";
/// First of all constructors, so that those of other libraries find the values too; and for loaders of any age.
const LINK: [&str; 5] = ["-z", "initfirst", "-z", "now", "--hash-style=both"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=interposer");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    build(&out.join("constructor.so"), &[])?;
    build(&out.join("getenv.so"), &["--cfg", "getenv"])
}

fn build(image: &Path, form: &[&str]) -> Result<(), Box<dyn Error>> {
    let mut told = String::new();
    for linker in [our_linker(), the_wrappers_linker()] {
        let done = compiler(image, form)?.args(linker).arg(SOURCE).output()?;
        if done.status.success() {
            return Ok(());
        }
        told.push_str(&String::from_utf8_lossy(&done.stderr));
    }
    Err(format!("{SOURCE} does not compile: {told}").into())
}

fn compiler(image: &Path, form: &[&str]) -> Result<Command, Box<dyn Error>> {
    let variable = |name: &str| env::var_os(name).ok_or_else(|| format!("{name} is not set"));
    let mut rustc = Command::new(variable("RUSTC")?);
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "--crate-name", "interposer"]);
    rustc.arg("--target").arg(variable("TARGET")?).args(["--check-cfg", "cfg(getenv)"]).args(form);
    // musl's own default is to link statically, and then there are no libraries.
    let code =
        ["target-feature=-crt-static", "relocation-model=pic", "panic=abort", "opt-level=s", "strip=symbols"];
    rustc.args(code.iter().flat_map(|option| ["-C", option])).arg("-o").arg(image);
    Ok(rustc)
}

fn our_linker() -> Vec<OsString> {
    let chosen =
        ["-Clinker=rust-lld", "-Clinker-flavor=ld.lld", "-Clink-self-contained=no"].map(OsString::from);
    chosen.into_iter().chain(LINK.map(link_arg)).collect()
}

fn the_wrappers_linker() -> Vec<OsString> {
    let mut options: Vec<OsString> = ["-nostdlib", "-nostartfiles"].map(link_arg).into();
    options.extend(LINK.map(|option| link_arg(&format!("-Wl,{option}"))));
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = OsString::from("-Clinker=");
        option.push(linker);
        options.push(option);
    }
    options
}

fn link_arg(option: &str) -> OsString {
    format!("-Clink-arg={option}").into()
}
