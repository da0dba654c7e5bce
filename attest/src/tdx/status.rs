//! TCB status: how Intel judges a platform, and how several judgements become one.
//!
//! The rules are those of Intel's quote verification library: a component that is out of date or revoked
//! pulls the platform down, any other status of a component does not; a TD that was launched under an old
//! TDX module on a platform that is up to date now should be launched anew. Nothing here accepts anything:
//! `Revoked` is refused whatever the policy, the rest is the policy's business.

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

    /// The platform's status together with that of a component: the TDX module or the quoting enclave.
    #[must_use]
    pub(super) fn with_component(self, component: Self) -> Self {
        match (component, self) {
            (Self::Revoked, _) => Self::Revoked,
            (Self::OutOfDate, Self::UpToDate | Self::SwHardeningNeeded) => Self::OutOfDate,
            (Self::OutOfDate, Self::ConfigurationNeeded | Self::ConfigurationAndSwHardeningNeeded) => {
                Self::OutOfDateConfigurationNeeded
            }
            _ => self,
        }
    }

    /// The status at launch together with the current one.
    #[must_use]
    pub(super) fn at_launch_with_current(self, current: Self) -> Self {
        let was_old = matches!(self, Self::OutOfDate | Self::OutOfDateConfigurationNeeded);
        let is_new = matches!(
            current,
            Self::UpToDate
                | Self::SwHardeningNeeded
                | Self::ConfigurationNeeded
                | Self::ConfigurationAndSwHardeningNeeded
        );
        if current == Self::Revoked {
            Self::Revoked
        } else if was_old && is_new {
            let configure = self.needs_configuration() || current.needs_configuration();
            if configure { Self::TdRelaunchAdvisedConfigurationNeeded } else { Self::TdRelaunchAdvised }
        } else {
            self
        }
    }

    fn needs_configuration(self) -> bool {
        matches!(
            self,
            Self::ConfigurationNeeded
                | Self::ConfigurationAndSwHardeningNeeded
                | Self::OutOfDateConfigurationNeeded
                | Self::TdRelaunchAdvisedConfigurationNeeded
        )
    }
}

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
    fn a_component_never_makes_a_platform_better() {
        for platform in ALL {
            for component in ALL {
                let both = platform.with_component(component);
                assert!(
                    both == platform || [OutOfDate, OutOfDateConfigurationNeeded, Revoked].contains(&both)
                );
                assert_eq!(both == Revoked, platform == Revoked || component == Revoked);
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
            (OutOfDate, OutOfDateConfigurationNeeded, OutOfDate),
            (UpToDate, OutOfDate, UpToDate),
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
