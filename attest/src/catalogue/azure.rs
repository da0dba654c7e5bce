//! Checks of Azure composites.

use super::Table;

pub(super) const TABLE: Table = Table { rows: &[], remedies: &[] };
