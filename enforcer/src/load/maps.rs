//! Maps: ours, or those of an enforcer before us; and that there is nobody else's.
//!
//! Trusted: the kernel's word about a descriptor of ours.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use aya::maps::{Map, MapData};
use aya::{Ebpf, EbpfLoader};
use aya_obj::Object;

use crate::kernel;
use crate::load::own;
use crate::load::pins::Pins;
use crate::load::{Error, refused};
use crate::succession::policy;

/// The maps: those of an enforcer before us, where they are pinned.
pub(crate) fn make(
    bytes: &[u8],
    object: &Object,
    globals: &HashMap<&str, (&[u8], bool)>,
    ring: u32,
    pins: Option<&Pins>,
) -> Result<Ebpf, Error> {
    let mut loader = EbpfLoader::new();
    // What aya would read of the kernel's types is needed for nothing that is in the object.
    loader.btf(None);
    loader.allow_unsupported_maps();
    for (name, (value, must_exist)) in globals {
        loader.override_global(name, *value, *must_exist);
    }
    loader.map_max_entries("RECORDS", ring);
    // The settings are each loader's own; everything else is handed on.
    let shared = object.maps.keys().filter(|name| !name.starts_with('.'));
    for (name, pins) in shared.zip(pins.iter().cycle()) {
        loader.map_pin_path(name.as_str(), pins.map(name));
    }
    let before = in_force()?;
    let ebpf = loader.load(bytes).map_err(|error| refused("the maps", &error))?;
    for (name, map) in ebpf.maps() {
        if let Some(wanted) = object.maps.get(name) {
            same(name, data(map).fd().as_fd(), wanted)?;
        }
    }
    if before.is_some() {
        alone(&ebpf)?;
    }
    Ok(ebpf)
}

/// The map of an enforcer that refuses: one that does not may run beside others, in tests.
fn in_force() -> Result<Option<u32>, Error> {
    let unlisted = |source| Error::Write { name: "POLICY", source };
    let found = policy::in_force().map_err(|error| unlisted(io::Error::other(error)))?;
    found
        .map(|(_, map)| kernel::map_info(map.as_fd()))
        .transpose()
        .map(|told| told.map(|told| told.id))
        .map_err(unlisted)
}

/// It is ours, and nobody else's, that is in force. An enforcer that has just ended may leave its maps for a moment.
fn alone(ebpf: &Ebpf) -> Result<(), Error> {
    let ours = ebpf.map("POLICY").ok_or(Error::Map("POLICY"))?;
    let others =
        || own::like(data(ours).fd().as_fd()).map_err(|source| Error::Write { name: "POLICY", source });
    for _ in 0..MOMENTS {
        if others()?.is_none() {
            return Ok(());
        }
        std::thread::sleep(MOMENT);
    }
    others()?.map_or(Ok(()), |number| Err(Error::Elsewhere(number)))
}

/// How often, and how long, the maps of one that has ended are waited for to go.
const MOMENTS: u32 = 30;
const MOMENT: Duration = Duration::from_millis(100);

/// Whether a map that was pinned before is what our programs expect.
fn same(name: &str, pinned: BorrowedFd<'_>, wanted: &aya_obj::Map) -> Result<(), Error> {
    let told = kernel::map_info(pinned);
    let told = told.map_err(|source| Error::File { path: format!("map {name}"), source })?;
    let expected = [
        ("map_type", told.type_, wanted.map_type()),
        ("key_size", told.key_size, wanted.key_size()),
        ("value_size", told.value_size, wanted.value_size()),
    ];
    for (what, found, expected) in expected {
        if found != expected {
            return Err(Error::Version { name: name.to_owned(), what, found, expected });
        }
    }
    Ok(())
}

/// What is in every kind of map alike.
pub(crate) fn data(map: &Map) -> &MapData {
    match map {
        Map::Array(data)
        | Map::ArrayOfMaps(data)
        | Map::BloomFilter(data)
        | Map::CgroupArray(data)
        | Map::CgroupStorage(data)
        | Map::CgrpStorage(data)
        | Map::CpuMap(data)
        | Map::DevMap(data)
        | Map::DevMapHash(data)
        | Map::HashMap(data)
        | Map::HashOfMaps(data)
        | Map::InodeStorage(data)
        | Map::LpmTrie(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuCgroupStorage(data)
        | Map::PerCpuHashMap(data)
        | Map::PerCpuLruHashMap(data)
        | Map::PerfEventArray(data)
        | Map::ProgramArray(data)
        | Map::Queue(data)
        | Map::ReusePortSockArray(data)
        | Map::RingBuf(data)
        | Map::SockHash(data)
        | Map::SockMap(data)
        | Map::SkStorage(data)
        | Map::Stack(data)
        | Map::StackTraceMap(data)
        | Map::Unsupported(data)
        | Map::XskMap(data) => data,
    }
}
