//! Where an object is, and how it is spelt there: AMD's key distribution service, Intel's provisioning certification
//! service, a PCCS, or a mirror in the layout that `--save` writes.
//!
//! Pure. Untrusted: every answer. What comes out of one is bytes with a shape, not yet what they say they are.

use std::path::{Path, PathBuf};

use attest::collateral::{Kind, Want};
use attest::snp::{Product, TcbVersion};
use x509_parser::pem::Pem;

/// A place that has collateral.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Source {
    /// AMD's service, or one that answers like it. Without a slash at the end.
    Kds(String),
    /// Intel's service.
    Pcs(String),
    /// Somebody's cache of Intel's.
    Pccs(String),
    /// Files of a site.
    Folder(PathBuf),
    /// The same behind a web server.
    Mirror(String),
}

/// One question.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Question {
    pub(crate) place: Place,
    pub(crate) shape: Shape,
}

/// Where it is put.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Place {
    Url(String),
    File(PathBuf),
}

/// How the answer is spelt.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Shape {
    /// The object itself.
    Bare,
    /// Certificates in PEM.
    Pem,
    /// The object, and in this header, URL-encoded PEM, who signed it.
    WithChain(&'static str),
    /// DER, or its hex digits as a PCCS writes them.
    MaybeHex,
}

impl Source {
    /// `kds=URL`, `pcs=URL`, `pccs=URL`, `mirror=DIR|URL`. A URL is https, or http to this very machine, unless `insecure`.
    pub(crate) fn parse(text: &str, insecure: bool) -> Result<Self, String> {
        let (name, place) = text.split_once('=').ok_or_else(|| EXPECTED.to_owned())?;
        let url = || url(place, insecure);
        match name {
            "kds" => url().map(Self::Kds),
            "pcs" => url().map(Self::Pcs),
            "pccs" => url().map(Self::Pccs),
            "mirror" if place.contains("://") => url().map(Self::Mirror),
            "mirror" if !place.is_empty() => Ok(Self::Folder(place.into())),
            _ => Err(EXPECTED.to_owned()),
        }
    }

    /// The vendors' own.
    pub(crate) fn vendors() -> Vec<Self> {
        vec![Self::Kds(KDS.to_owned()), Self::Pcs(PCS.to_owned())]
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Kds(_) => "kds",
            Self::Pcs(_) => "pcs",
            Self::Pccs(_) => "pccs",
            Self::Folder(_) | Self::Mirror(_) => "mirror",
        }
    }

    /// The directory that it is, if it is one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        match self {
            Self::Folder(folder) => Some(folder),
            Self::Kds(_) | Self::Pcs(_) | Self::Pccs(_) | Self::Mirror(_) => None,
        }
    }

    /// Whether it has each object by itself.
    pub(crate) fn is_mirror(&self) -> bool {
        matches!(self, Self::Folder(_) | Self::Mirror(_))
    }

    /// How to ask this place; `None` if it does not have such things.
    pub(crate) fn question(&self, want: &Want) -> Option<Question> {
        let url = |base: &str, (path, shape): (String, Shape)| Question {
            place: Place::Url(base.to_owned() + &path),
            shape,
        };
        match self {
            Self::Kds(base) => amd(want).map(|asked| url(base, asked)),
            Self::Pcs(base) if want.kind == Kind::RootCrl => {
                let base = if base == PCS { INTEL_ROOT } else { base };
                Some(url(base, ("/IntelSGXRootCA.der".to_owned(), Shape::Bare)))
            }
            Self::Pccs(base) if want.kind == Kind::RootCrl => {
                Some(url(base, ("/sgx/certification/v4/rootcacrl".to_owned(), Shape::MaybeHex)))
            }
            Self::Pcs(base) | Self::Pccs(base) => intel(want).map(|asked| url(base, asked)),
            Self::Mirror(base) => {
                file_name(want.kind, &want.key).map(|name| url(base, (format!("/{name}"), Shape::Bare)))
            }
            Self::Folder(folder) => {
                let name = file_name(want.kind, &want.key)?;
                Some(Question { place: Place::File(folder.join(name)), shape: Shape::Bare })
            }
        }
    }
}

/// `--source` and its default speak of this.
pub(crate) const EXPECTED: &str = "expected kds=URL, pcs=URL, pccs=URL or mirror=DIR|URL";

fn url(text: &str, insecure: bool) -> Result<String, String> {
    let text = text.trim_end_matches('/');
    let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("expected a URL, found {text:?}"))?;
    let host = host_of(rest);
    let here = ["127.0.0.1", "localhost", "[::1]"].contains(&host);
    match scheme {
        _ if host.is_empty() || text.contains(['?', '#', '@']) => {
            Err(format!("expected a URL without user, query or fragment, found {text:?}"))
        }
        "https" => Ok(text.to_owned()),
        "http" if here || insecure => Ok(text.to_owned()),
        "http" => Err(format!("expected https, found {text:?} (--insecure-http allows it)")),
        _ => Err(format!("expected https, found {text:?}")),
    }
}

fn host_of(rest: &str) -> &str {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.strip_prefix('[') {
        Some(_) => authority.split_inclusive(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// AMD 57230 r1.00, chapter 4: VCEK, certificate chains, revocation lists.
fn amd(want: &Want) -> Option<(String, Shape)> {
    let path = match want.kind {
        Kind::Vek => vcek(&want.key)?,
        Kind::Issuer => match want.key.strip_prefix("SEV-VLEK-") {
            Some(line) => format!("/vlek/v1/{}/cert_chain", product(line)?),
            None => format!("/vcek/v1/{}/cert_chain", product(want.key.strip_prefix("SEV-")?)?),
        },
        Kind::Crl => format!("/vcek/v1/{}/crl", product(want.key.strip_prefix("ARK-")?)?),
        Kind::RootCrl | Kind::PckCrl | Kind::TcbInfo | Kind::QeIdentity | _ => return None,
    };
    Some((path, if want.kind == Kind::Issuer { Shape::Pem } else { Shape::Bare }))
}

/// Of `line.chip.tcb`; a provider's key is not AMD's to give.
fn vcek(key: &str) -> Option<String> {
    let mut parts = key.split('.');
    let line = product(parts.next()?)?;
    let (chip, tcb) = (parts.next()?, parts.next()?);
    let chip = chip.get(..line.chip_id_len().saturating_mul(2)).filter(|chip| hex::decode(chip).is_ok())?;
    let mut bytes = [0; 8];
    hex::decode_to_slice(tcb, &mut bytes).ok()?;
    let parts = TcbVersion(bytes).parts(line);
    let fmc = parts.fmc.map(|fmc| format!("fmcSPL={fmc:02}&")).unwrap_or_default();
    let levels = format!(
        "{fmc}blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}",
        parts.bl, parts.tee, parts.snp, parts.ucode
    );
    Some(format!("/vcek/v1/{line}/{chip}?{levels}"))
}

fn product(line: &str) -> Option<Product> {
    Product::ALL.into_iter().find(|product| product.name().eq_ignore_ascii_case(line))
}

/// Intel PCS API version 4.
fn intel(want: &Want) -> Option<(String, Shape)> {
    let asked = match (want.kind, want.key.as_str()) {
        (Kind::TcbInfo, key) => {
            let (fmspc, _pce_id) = key.split_once('.')?;
            let fmspc = Some(fmspc).filter(|fmspc| hex::decode(fmspc).is_ok_and(|bytes| bytes.len() == 6))?;
            (format!("/tdx/certification/v4/tcb?fmspc={fmspc}"), "TCB-Info-Issuer-Chain")
        }
        // The signer comes with what it signed.
        (Kind::QeIdentity, _) | (Kind::Issuer, "Intel SGX TCB Signing") => {
            ("/tdx/certification/v4/qe/identity".to_owned(), "SGX-Enclave-Identity-Issuer-Chain")
        }
        (Kind::PckCrl | Kind::Issuer, "Intel SGX PCK Platform CA") => {
            ("/sgx/certification/v4/pckcrl?ca=platform&encoding=der".to_owned(), "SGX-PCK-CRL-Issuer-Chain")
        }
        (Kind::PckCrl | Kind::Issuer, "Intel SGX PCK Processor CA") => {
            ("/sgx/certification/v4/pckcrl?ca=processor&encoding=der".to_owned(), "SGX-PCK-CRL-Issuer-Chain")
        }
        _ => return None,
    };
    let (path, header) = asked;
    Some((path, Shape::WithChain(header)))
}

/// Where an object lies in a mirror. `None` for what has no one name: a provider's key without the provider.
pub(crate) fn file_name(kind: Kind, key: &str) -> Option<String> {
    if kind == Kind::Vek && key.starts_with("vlek.") && key.split('.').count() < 4 {
        return None;
    }
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' };
    let name: String = key.chars().map(plain).collect();
    let ending = if [Kind::TcbInfo, Kind::QeIdentity].contains(&kind) { "json" } else { "der" };
    (name.len() <= 200).then(|| format!("{kind}/{name}.{ending}"))
}

/// The objects in an answer; roots are among them, and left out later.
pub(crate) fn objects(shape: Shape, body: Vec<u8>, header: Option<&str>) -> Result<Vec<Vec<u8>>, String> {
    match shape {
        Shape::Bare => Ok(vec![body]),
        Shape::Pem => pem(&body),
        Shape::MaybeHex => Ok(vec![unhexed(body)]),
        Shape::WithChain(name) => {
            let chain = header.ok_or_else(|| format!("expected a header {name}, found none"))?;
            let mut found = pem(&unescaped(chain)?)?;
            found.push(unhexed(body));
            Ok(found)
        }
    }
}

fn pem(text: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    let blocks = Pem::iter_from_buffer(text).take(MOST_IN_A_CHAIN);
    let found =
        blocks.map(|block| block.map(|block| block.contents).map_err(|error| format!("PEM: {error}")));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    if found.is_empty() { Err("expected certificates in PEM, found none".to_owned()) } else { Ok(found) }
}

fn unhexed(body: Vec<u8>) -> Vec<u8> {
    hex::decode(body.trim_ascii()).unwrap_or(body)
}

/// Percent-encoding, RFC 3986, 2.1.
fn unescaped(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next(), bytes.next()].map(Option::unwrap_or_default);
        let decoded = hex::decode(digits).map_err(|error| format!("percent-encoding: {error}"))?;
        out.extend(decoded);
    }
    Ok(out)
}

const KDS: &str = "https://kdsintf.amd.com";
const PCS: &str = "https://api.trustedservices.intel.com";
const INTEL_ROOT: &str = "https://certificates.trustedservices.intel.com";
/// An authority, a root, and one to spare.
const MOST_IN_A_CHAIN: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(source: &Source, kind: Kind, key: &str) -> Option<String> {
        let question = source.question(&Want { kind, key: key.to_owned() })?;
        match question.place {
            Place::Url(url) => Some(url),
            Place::File(path) => Some(path.display().to_string()),
        }
    }

    #[test]
    fn amd_is_asked_as_its_specification_says() {
        let kds = &Source::vendors()[0];
        let chip = "ab".repeat(64);
        let genoa = asked(kds, Kind::Vek, &format!("genoa.{chip}.0a00000000001954")).unwrap();
        let levels = "blSPL=10&teeSPL=00&snpSPL=25&ucodeSPL=84";
        assert_eq!(genoa, format!("https://kdsintf.amd.com/vcek/v1/Genoa/{chip}?{levels}"));
        let turin = asked(kds, Kind::Vek, &format!("turin.{chip}.0102030400000005")).unwrap();
        let levels = "fmcSPL=01&blSPL=02&teeSPL=03&snpSPL=04&ucodeSPL=05";
        assert_eq!(turin, format!("https://kdsintf.amd.com/vcek/v1/Turin/abababababababab?{levels}"));
        assert!(asked(kds, Kind::Issuer, "SEV-VLEK-Milan").unwrap().ends_with("/vlek/v1/Milan/cert_chain"));
        assert!(asked(kds, Kind::Crl, "ARK-Genoa").unwrap().ends_with("/vcek/v1/Genoa/crl"));
        for (kind, key) in [
            (Kind::Vek, "vlek.genoa.0a00000000001954"),
            (Kind::Vek, "genoa.zz.0a00000000001954"),
            (Kind::Vek, "rome.ab.01"),
            (Kind::Crl, "ARK-../../x"),
            (Kind::TcbInfo, "90c06f000000.0000"),
        ] {
            assert_eq!(asked(kds, kind, key), None, "{key}");
        }
    }

    #[test]
    fn intel_is_asked_as_its_interface_says() {
        let pcs = &Source::vendors()[1];
        let base = "https://api.trustedservices.intel.com";
        let tcb = asked(pcs, Kind::TcbInfo, "90c06f000000.0000");
        assert_eq!(tcb, Some(format!("{base}/tdx/certification/v4/tcb?fmspc=90c06f000000")));
        let crl = asked(pcs, Kind::PckCrl, "Intel SGX PCK Processor CA").unwrap();
        assert!(crl.ends_with("/sgx/certification/v4/pckcrl?ca=processor&encoding=der"), "{crl}");
        let root = asked(pcs, Kind::RootCrl, "Intel SGX Root CA").unwrap();
        assert_eq!(root, "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");
        let cache = Source::parse("pccs=https://pccs.example:8081/", false).unwrap();
        let root = asked(&cache, Kind::RootCrl, "Intel SGX Root CA").unwrap();
        assert_eq!(root, "https://pccs.example:8081/sgx/certification/v4/rootcacrl");
        assert_eq!(asked(pcs, Kind::TcbInfo, "90c06f.0000"), None);
        assert_eq!(asked(pcs, Kind::Crl, "ARK-Genoa"), None);
    }

    #[test]
    fn a_mirror_is_files_by_kind_and_key() {
        let folder = Source::parse("mirror=/srv/m", false).unwrap();
        assert_eq!(
            asked(&folder, Kind::RootCrl, "Intel SGX Root CA").unwrap(),
            "/srv/m/root-crl/Intel_SGX_Root_CA.der"
        );
        assert_eq!(asked(&folder, Kind::TcbInfo, "00.00").unwrap(), "/srv/m/tcb-info/00.00.json");
        assert_eq!(
            asked(&folder, Kind::Issuer, "../../etc/passwd").unwrap(),
            "/srv/m/issuer/.._.._etc_passwd.der"
        );
        assert_eq!(asked(&folder, Kind::Vek, "vlek.genoa.01"), None);
        assert_eq!(asked(&folder, Kind::Vek, &"a".repeat(300)), None);
    }

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for good in
            ["kds=https://a.example", "pcs=http://127.0.0.1:9/", "mirror=http://[::1]:80/x", "mirror=dir"]
        {
            assert!(Source::parse(good, false).is_ok(), "{good}");
        }
        for bad in [
            "kds=http://a.example",
            "kds=http://127.0.0.1.example",
            "kds=ftp://a",
            "kds=https://u@a",
            "kds=https://",
            "x=https://a",
            "kds",
            "mirror=",
        ] {
            assert!(Source::parse(bad, false).is_err(), "{bad}");
        }
        assert!(Source::parse("kds=http://a.example", true).is_ok());
    }

    #[test]
    fn a_chain_in_a_header_is_taken_apart_and_one_that_is_missing_is_named() {
        let chain = "-----BEGIN%20CERTIFICATE-----%0AAAEC%0A-----END%20CERTIFICATE-----%0A";
        let shape = Shape::WithChain("X-Chain");
        assert_eq!(objects(shape, b"{}".to_vec(), Some(chain)).unwrap(), [vec![0, 1, 2], b"{}".to_vec()]);
        assert_eq!(objects(shape, vec![], None).unwrap_err(), "expected a header X-Chain, found none");
        for odd in ["%", "%0", "%zz", "", "text"] {
            assert!(objects(shape, vec![], Some(odd)).is_err(), "{odd}");
        }
        assert_eq!(objects(Shape::MaybeHex, b"3000\n".to_vec(), None).unwrap(), [vec![0x30, 0]]);
        assert_eq!(objects(Shape::MaybeHex, vec![0x30, 0], None).unwrap(), [vec![0x30, 0]]);
    }
}
