//! `layers.toml`: the list that the rules are read from.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::house::House;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct List {
    /// Per room (without our prefix): its arrows.
    pub(crate) rooms: BTreeMap<String, Arrows>,
    /// Rooms that no room outside this list may depend on but for its tests.
    pub(crate) never_shipped: Vec<String>,
    /// Words that no feature of a shipped room may carry.
    pub(crate) feature_words: Vec<String>,
    /// Files (or folders, ending in a slash) where `unsafe` may be written.
    pub(crate) unsafe_homes: Vec<String>,
    /// Per type of trust: the files that may call its `assertion`.
    pub(crate) trust: BTreeMap<String, Vec<String>>,
    /// Paths that some files may not name.
    pub(crate) banned: Vec<Ban>,
    /// Files of data that `measure` does not hold to the ceiling.
    pub(crate) tables: Vec<String>,
}

/// What a room may depend on.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Arrows {
    /// Rooms of ours, in the shipped code.
    pub(crate) ours: Vec<String>,
    /// Rooms of ours, in tests; those of `ours` and `never-shipped` are allowed anyway.
    #[serde(default)]
    pub(crate) tests: Vec<String>,
    /// Other people's crates in the shipped code; absent: any that the workspace lists.
    pub(crate) external: Option<Vec<String>>,
}

/// Paths that are not for everybody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ban {
    /// Files (or folders, ending in a slash) that may not name them.
    pub(crate) within: Vec<String>,
    pub(crate) paths: Vec<String>,
    pub(crate) why: String,
}

impl List {
    /// Reads the list of this checkout.
    pub(crate) fn read(house: &House) -> Result<Self> {
        let text =
            std::fs::read_to_string(house.root.join("xtask/layers.toml")).context("xtask/layers.toml")?;
        toml::from_str(&text).context("xtask/layers.toml")
    }

    /// Is this file data, not code?
    pub(crate) fn is_table(&self, file: &str) -> bool {
        covers(&self.tables, file)
    }
}

/// Is `file` one of `places`, or in a folder of them?
pub(crate) fn covers(places: &[String], file: &str) -> bool {
    places.iter().any(|place| file == place || (place.ends_with('/') && file.starts_with(place.as_str())))
}
