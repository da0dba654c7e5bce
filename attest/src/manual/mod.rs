//! The manual: how to use this library, what it proves, and how verifiers before it were fooled.
//!
//! | chapter | for whom |
//! |---|---|
//! | [`howto`] | who has evidence and wants an answer: verify, bring collateral, write a policy, replay, choose a provider |
//! | [`platforms`] | who decides what an answer is worth: what each kind of hardware proves, and what it does not |
//! | [`fooled`] | who reviews or extends it: the faults of others, one by one, and what stops each of them here |
//!
//! Names of checks are explained in [`crate::catalogue`]; from what bytes and clauses each is computed stands, step by
//! step, in `docs/verify-it-yourself.md` of the repository. Tests hold all of these against the code.

pub mod fooled;
pub mod howto;
pub mod platforms;
