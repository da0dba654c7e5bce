//! The options that describe a TD and the platform it runs on.

use std::path::PathBuf;

use clap::Args;
use simulator::tdx::{Body, Ca, Collateral, Document, EventLog, Level, Platform, QuoteBuilder, levels};

use super::{Problems, read_hex, read_instant, read_vendor};

#[derive(Args, Debug)]
pub(super) struct RawTd {
    /// Which platform.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Whose keys: simulated or other.
    #[arg(long, default_value = "simulated")]
    vendor: String,
    /// Who endorses the platform: platform or processor.
    #[arg(long, default_value = "platform")]
    ca: String,
    /// Kind of TD report: 1.0, 1.5 or 1.5-ex.
    #[arg(long, default_value = "1.0")]
    body: String,
    /// Version of the quote, if not the oldest that can carry the report: 4 or 5.
    #[arg(long)]
    quote_version: Option<u16>,
    /// The platform's TCB, by its status: up-to-date, out-of-date, configuration-needed or revoked.
    #[arg(long, default_value = "up-to-date")]
    tcb: String,
    /// What Intel says of the best TCB, such as `SWHardeningNeeded`.
    #[arg(long)]
    status: Option<String>,
    /// An advisory that the best TCB is open to. May be repeated.
    #[arg(long)]
    advisory: Vec<String>,
    /// Measurement of the TD's initial content: 48 bytes in hexadecimal.
    #[arg(long)]
    mrtd: Option<String>,
    /// Owner's configuration id: 48 bytes in hexadecimal.
    #[arg(long)]
    mr_config_id: Option<String>,
    /// Run-time measurement 3: 48 bytes in hexadecimal.
    #[arg(long)]
    rtmr3: Option<String>,
    /// Boot a kernel with this command line: run-time measurements 0 to 2 follow from the event log.
    #[arg(long)]
    kernel_command_line: Option<String>,
    /// Write the event log (CCEL) to this file; needs --kernel-command-line.
    #[arg(long, requires = "kernel_command_line")]
    write_event_log: Option<PathBuf>,
    /// Let the host debug the TD.
    #[arg(long)]
    debug: bool,
    /// The present for certificates and collateral: seconds since 1970, or 2026-11-21T00:00:00Z.
    #[arg(long)]
    at: Option<String>,
    /// What the revocation lists revoke: ca or pck. May be repeated.
    #[arg(long)]
    revoke: Vec<String>,
    /// Write certificates, revocation lists, TCB info and QE identity to this directory.
    #[arg(long)]
    write_endorsements: Option<PathBuf>,
}

/// A TD, and what Intel says of its platform.
#[derive(Debug)]
pub(crate) struct Td {
    pub(crate) quote: QuoteBuilder,
    pub(crate) collateral: Collateral,
    pub(crate) endorsements: Option<PathBuf>,
    pub(crate) log: Option<EventLog>,
    pub(crate) log_file: Option<PathBuf>,
}

impl RawTd {
    pub(super) fn read(self, now: u64, problems: &mut Problems) -> Option<Td> {
        let platform = self.platform(now, problems);
        let body = problems.note(read_body(&self.body));
        let revoked: Vec<_> =
            self.revoke.iter().filter_map(|name| problems.note(read_revoked(name))).collect();
        let log = self.kernel_command_line.as_deref().map(EventLog::production);
        let changes = self.measurements(log.as_ref(), problems);
        let platform = platform?;
        let quote = changes?.into_iter().fold(platform.quote().body(body?), |quote, change| change.on(quote));
        let quote = self.quote_version.map_or(quote.clone(), |version| quote.version(version));
        Some(Td {
            quote: if self.debug { quote.debug() } else { quote },
            collateral: self.collateral(&platform, &revoked),
            endorsements: self.write_endorsements,
            log,
            log_file: self.write_event_log,
        })
    }

    fn platform(&self, now: u64, problems: &mut Problems) -> Option<Platform> {
        let vendor = problems.note(read_vendor(&self.vendor));
        let at = problems.note(self.at.as_deref().map_or(Ok(now), read_instant));
        let ca = problems.note(read_ca(&self.ca));
        let level = problems.note(read_level(&self.tcb));
        let platform = Platform::new(self.seed).with_vendor(vendor?).at(at?).with_ca(ca?);
        level.map(|level| platform.with_tcb(level.sgx, level.pce_svn))
    }

    fn measurements(&self, log: Option<&EventLog>, problems: &mut Problems) -> Option<Vec<Change>> {
        let measurement = |name: &'static str| move |hex: &str| read_hex::<48>(name, hex);
        let mrtd = problems.note(self.mrtd.as_deref().map(measurement("--mrtd")).transpose());
        let config =
            problems.note(self.mr_config_id.as_deref().map(measurement("--mr-config-id")).transpose());
        let rtmr3 = problems.note(self.rtmr3.as_deref().map(measurement("--rtmr3")).transpose());
        let replayed = log.map(|log| Change::Rtmrs(log.rtmrs()));
        let others = [mrtd?.map(Change::Mrtd), config?.map(Change::ConfigId), rtmr3?.map(Change::Rtmr3)];
        Some(replayed.into_iter().chain(others.into_iter().flatten()).collect())
    }

    fn collateral(&self, platform: &Platform, revoked: &[Revoked]) -> Collateral {
        let (mut root_crl, mut pck_crl) = (platform.root_crl(), platform.pck_crl());
        for revoked in revoked {
            match revoked {
                Revoked::Ca => root_crl = root_crl.revoke(&platform.authority(platform.ca_role()).serial()),
                Revoked::Pck => pck_crl = pck_crl.revoke(&platform.pck_serial()),
            }
        }
        Collateral {
            root_crl: root_crl.der(),
            pck_crl: pck_crl.der(),
            tcb_info: self.tcb_info(platform).json(),
            ..platform.collateral()
        }
    }

    fn tcb_info(&self, platform: &Platform) -> Document {
        let info = platform.tcb_info();
        let info = self.status.as_deref().map_or(info.clone(), |status| info.status(status));
        if self.advisory.is_empty() {
            return info;
        }
        info.advisories(&self.advisory.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

/// A measurement that was typed.
#[derive(Debug)]
enum Change {
    Mrtd([u8; 48]),
    ConfigId([u8; 48]),
    Rtmr3([u8; 48]),
    Rtmrs([[u8; 48]; 4]),
}

impl Change {
    fn on(self, quote: QuoteBuilder) -> QuoteBuilder {
        match self {
            Self::Mrtd(value) => quote.mrtd(value),
            Self::ConfigId(value) => quote.mr_config_id(value),
            Self::Rtmr3(value) => quote.rtmr(3, value),
            Self::Rtmrs(values) => quote.rtmrs(values),
        }
    }
}

/// What a revocation list can revoke of a platform's chain.
#[derive(Clone, Copy, Debug)]
enum Revoked {
    Ca,
    Pck,
}

fn read_ca(name: &str) -> Result<Ca, String> {
    match name {
        "platform" => Ok(Ca::Platform),
        "processor" => Ok(Ca::Processor),
        _ => Err(format!("--ca is {name}, expected platform or processor")),
    }
}

fn read_body(name: &str) -> Result<Body, String> {
    match name {
        "1.0" => Ok(Body::Td10),
        "1.5" => Ok(Body::Td15),
        "1.5-ex" => Ok(Body::Td15Ex),
        _ => Err(format!("--body is {name}, expected 1.0, 1.5 or 1.5-ex")),
    }
}

fn read_level(name: &str) -> Result<Level, String> {
    let [current, older, oldest, revoked] = levels();
    match name {
        "up-to-date" => Ok(current),
        "out-of-date" => Ok(older),
        "configuration-needed" => Ok(oldest),
        "revoked" => Ok(revoked),
        _ => {
            Err(format!("--tcb is {name}, expected up-to-date, out-of-date, configuration-needed or revoked"))
        }
    }
}

fn read_revoked(name: &str) -> Result<Revoked, String> {
    match name {
        "ca" => Ok(Revoked::Ca),
        "pck" => Ok(Revoked::Pck),
        _ => Err(format!("--revoke is {name}, expected ca or pck")),
    }
}
