//! The filter: what is not in the table of [`super::calls`] fails with EPERM, and the kernel's audit log tells it.
//!
//! It does not kill: the death of whoever looks after the guard would be what an attacker wants. A call of another architecture is the
//! one exception, which the library of the filter has built in; what is pinned goes on then.

use std::collections::BTreeMap;
use std::io;

use libc::c_long;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

use super::{calls, kernel};

/// Restricts this process for the rest of its life.
pub(super) fn apply() -> Result<(), Error> {
    Ok(kernel::filter(&program()?)?)
}

fn program() -> Result<BpfProgram, Error> {
    let free = calls::FREE.iter().chain(calls::OLD).map(|call| (*call, Vec::new()));
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = free.collect();
    for bound in calls::BOUND {
        let is = |value: &u32| rule(bound.argument, SeccompCmpOp::Eq, *value);
        rules.insert(bound.call, bound.values.iter().map(is).collect::<Result<_, _>>()?);
    }
    for call in calls::NOT_EXECUTABLE {
        let executable = SeccompCmpOp::MaskedEq(u64::from(libc::PROT_EXEC.cast_unsigned()));
        rules.insert(call, vec![rule(2, executable, 0)?]);
    }
    let refused = SeccompAction::Errno(libc::EPERM.cast_unsigned());
    let architecture = std::env::consts::ARCH.try_into()?;
    Ok(SeccompFilter::new(rules, refused, SeccompAction::Allow, architecture)?.try_into()?)
}

fn rule(argument: u8, operator: SeccompCmpOp, value: u32) -> Result<SeccompRule, Error> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value.into())?;
    Ok(SeccompRule::new(vec![condition])?)
}

/// Why it may still do more than it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A filter that cannot be made.
    #[error("seccomp filter: {0}")]
    Filter(String),
    /// The kernel does not take it, or does not let rights go.
    #[error(transparent)]
    Kernel(#[from] io::Error),
}

impl From<seccompiler::BackendError> for Error {
    fn from(error: seccompiler::BackendError) -> Self {
        Self::Filter(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_can_be_made_and_is_short_enough_for_the_kernel() {
        let program = program().unwrap();
        assert!(program.len() > calls::FREE.len() && program.len() < 4096, "{}", program.len());
    }
}
