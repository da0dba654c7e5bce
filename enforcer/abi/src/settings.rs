//! What the loader tells the programs before they are verified, beside where fields are.

/// Read-only once the programs run.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Settings {
    /// The control group that callers must be in for anything to be refused; 0: everybody is subject to the guards.
    pub scope_cgroup: u64,
    /// How deep it lies below the root; with [`Self::scope_cgroup`].
    pub scope_level: u32,
    /// The enforcer's own process id when it loads.
    pub loader: u32,
    /// As what programs with typed arguments are loaded: the number of [`crate::Tier::Lsm`], or of
    /// [`crate::Tier::ModifyReturn`]. It is told in records, and decides nothing.
    pub typed: u32,
    /// Whether programs that cannot refuse kill instead: 0 they only tell.
    pub reactive: u32,
    /// How many processes and threads a group may have: see [`crate::share`].
    pub share: u32,
    /// Zero.
    pub reserved: u32,
}
