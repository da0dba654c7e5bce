//! TCB status: how Intel judges a platform, and how several judgements become one.
//!
//! The rules are those of Intel's quote verification library: a component that is out of date or revoked
//! pulls the platform down; a TD that was launched under an old TDX module on a platform that is up to date
//! now should be launched anew. Where the library looks at one status alone (the launch of a TD that runs on
//! something older now, a component that must be configured) the worse one counts here. Nothing here accepts
//! anything: `Revoked` is refused whatever the policy, the rest is the policy's business.

use serde::{Deserialize, Serialize};

/// How Intel judges a TCB.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum TcbStatus {
    /// Nothing is known against it.
    UpToDate,
    /// The TD's software must be hardened.
    #[serde(rename = "SWHardeningNeeded")]
    SwHardeningNeeded,
    /// The platform must be configured otherwise.
    ConfigurationNeeded,
    /// Both.
    #[serde(rename = "ConfigurationAndSWHardeningNeeded")]
    ConfigurationAndSwHardeningNeeded,
    /// The platform is up to date now, and was not when the TD was launched.
    #[serde(rename = "TDRelaunchAdvised")]
    TdRelaunchAdvised,
    /// That, and the platform must be configured otherwise.
    #[serde(rename = "TDRelaunchAdvisedConfigurationNeeded")]
    TdRelaunchAdvisedConfigurationNeeded,
    /// An update is missing.
    OutOfDate,
    /// An update is missing, and the platform must be configured otherwise.
    OutOfDateConfigurationNeeded,
    /// Not to be trusted at all.
    Revoked,
}

impl TcbStatus {
    /// Intel's name for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::TdRelaunchAdvised => "TDRelaunchAdvised",
            Self::TdRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::Revoked => "Revoked",
        }
    }

    /// The platform's status together with that of a component, the TDX module or the quoting enclave: what is
    /// wrong with either is wrong with both.
    #[must_use]
    pub(super) fn with_component(self, component: Self) -> Self {
        Self::of(self.faults() | component.faults())
    }

    /// The status at launch together with the current one: the worse of both, but that what was out of date at
    /// launch and is not now should be launched anew.
    #[must_use]
    pub(super) fn at_launch_with_current(self, current: Self) -> Self {
        let both = self.faults() | current.faults();
        let was_old = self.faults() & OLD != 0;
        let is_new = current.faults() & OLD == 0;
        Self::of(if was_old && is_new { both & !OLD | RELAUNCH } else { both })
    }

    fn faults(self) -> u8 {
        match self {
            Self::UpToDate => 0,
            Self::SwHardeningNeeded => HARDEN,
            Self::ConfigurationNeeded => CONFIGURE,
            Self::ConfigurationAndSwHardeningNeeded => CONFIGURE | HARDEN,
            Self::TdRelaunchAdvised => RELAUNCH,
            Self::TdRelaunchAdvisedConfigurationNeeded => RELAUNCH | CONFIGURE,
            Self::OutOfDate => OLD,
            Self::OutOfDateConfigurationNeeded => OLD | CONFIGURE,
            Self::Revoked => REVOKED,
        }
    }

    /// Intel has no name for every sum of faults: the lesser ones give way.
    fn of(faults: u8) -> Self {
        let has = |fault| faults & fault != 0;
        let configure = has(CONFIGURE);
        if has(REVOKED) {
            Self::Revoked
        } else if has(OLD) {
            if configure { Self::OutOfDateConfigurationNeeded } else { Self::OutOfDate }
        } else if has(RELAUNCH) {
            if configure { Self::TdRelaunchAdvisedConfigurationNeeded } else { Self::TdRelaunchAdvised }
        } else {
            match (configure, has(HARDEN)) {
                (false, false) => Self::UpToDate,
                (false, true) => Self::SwHardeningNeeded,
                (true, false) => Self::ConfigurationNeeded,
                (true, true) => Self::ConfigurationAndSwHardeningNeeded,
            }
        }
    }
}

/// What can be wrong, as bits.
const HARDEN: u8 = 1;
const CONFIGURE: u8 = 2;
const RELAUNCH: u8 = 4;
const OLD: u8 = 8;
const REVOKED: u8 = 16;

impl std::fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::TcbStatus::{self, *};

    const ALL: [TcbStatus; 9] = [
        UpToDate,
        SwHardeningNeeded,
        ConfigurationNeeded,
        ConfigurationAndSwHardeningNeeded,
        TdRelaunchAdvised,
        TdRelaunchAdvisedConfigurationNeeded,
        OutOfDate,
        OutOfDateConfigurationNeeded,
        Revoked,
    ];

    #[test]
    fn nothing_makes_a_platform_better_but_a_relaunch() {
        for left in ALL {
            assert_eq!(TcbStatus::of(left.faults()), left);
            for right in ALL {
                let both = left.with_component(right);
                assert_eq!(both, right.with_component(left));
                assert!(both >= left && both >= right, "{left} with {right} is {both}");
                assert_eq!(both == Revoked, left == Revoked || right == Revoked);
                let running = left.at_launch_with_current(right);
                let relaunch = [TdRelaunchAdvised, TdRelaunchAdvisedConfigurationNeeded].contains(&running);
                assert!(running == both || relaunch && running >= right, "{left} then {right} is {running}");
            }
        }
    }

    #[test]
    fn a_component_out_of_date_pulls_the_platform_down() {
        for (platform, both) in [
            (UpToDate, OutOfDate),
            (SwHardeningNeeded, OutOfDate),
            (ConfigurationNeeded, OutOfDateConfigurationNeeded),
            (ConfigurationAndSwHardeningNeeded, OutOfDateConfigurationNeeded),
            (OutOfDateConfigurationNeeded, OutOfDateConfigurationNeeded),
        ] {
            assert_eq!(platform.with_component(OutOfDate), both);
        }
    }

    #[test]
    fn only_what_is_up_to_date_now_is_worth_a_relaunch() {
        for (launch, current, both) in [
            (OutOfDate, UpToDate, TdRelaunchAdvised),
            (OutOfDate, SwHardeningNeeded, TdRelaunchAdvised),
            (OutOfDate, ConfigurationNeeded, TdRelaunchAdvisedConfigurationNeeded),
            (OutOfDateConfigurationNeeded, UpToDate, TdRelaunchAdvisedConfigurationNeeded),
            (OutOfDate, OutOfDate, OutOfDate),
            (OutOfDate, OutOfDateConfigurationNeeded, OutOfDateConfigurationNeeded),
            (UpToDate, OutOfDate, OutOfDate),
            (ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded),
            (UpToDate, SwHardeningNeeded, SwHardeningNeeded),
            (UpToDate, Revoked, Revoked),
            (Revoked, UpToDate, Revoked),
        ] {
            assert_eq!(launch.at_launch_with_current(current), both, "{launch} then {current}");
        }
    }

    #[test]
    fn a_status_is_written_as_intel_writes_it() {
        for status in ALL {
            assert_eq!(serde_json::to_string(&status).unwrap(), format!("{:?}", status.name()));
        }
    }
}
