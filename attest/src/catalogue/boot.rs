//! Checks of event logs.

use super::Table;

pub(super) const TABLE: Table = Table { rows: &[], remedies: &[] };
