//! Simulated silicon for tests; never shipped
