//! Tiles: names, forms, and trees that come out of them.

use std::collections::BTreeSet;

use attest::crypto::AwsLcRs;
use attest::log::{
    Edge, Frontier, Level, Proof, Tile, Width, bundle, consistency, cut, entries, hashes, hashes_from,
    inclusion, leaf_hash, nodes,
};
use attest::{Digest, Malformed};

use crate::shelf::{Server, Shelf};

fn tile(level: Level, index: u64, width: u64) -> Tile {
    Tile { level, index, width: Width::new(width).unwrap() }
}

#[test]
fn paths_are_those_of_the_specification() {
    for (path, expected) in [
        ("tile/0/x001/x234/067", tile(Level::Hashes(0), 1_234_067, 256)),
        ("tile/entries/x001/x234/067.p/8", tile(Level::Entries, 1_234_067, 8)),
        ("tile/63/000.p/255", tile(Level::Hashes(63), 0, 255)),
        ("tile/1/999", tile(Level::Hashes(1), 999, 256)),
        ("tile/1/x001/000", tile(Level::Hashes(1), 1000, 256)),
        ("tile/0/x018/x446/x744/x073/x709/x551/615", tile(Level::Hashes(0), u64::MAX, 256)),
    ] {
        assert_eq!(Tile::parse(path), Ok(expected), "{path}");
        assert_eq!(expected.path(), path);
    }
}

#[test]
fn a_tile_has_one_path() {
    for path in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/+1/000",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/001.p/0",
        "tile/0/001.p/256",
        "tile/0/001.p/08",
        "tile/0/001.p/",
        "tile/0/001.p/8/",
        "tile/data/000",
        "tile/0/../000",
        "/tile/0/000",
        "tile/0/x01/8446/x744",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
    ] {
        assert!(Tile::parse(path).is_err(), "{path}");
    }
    let error = Tile::parse("tile/0/0").unwrap_err().to_string();
    assert_eq!(error, "expected a path like tile/0/x001/234 or tile/entries/000.p/5, found \"tile/0/0\"");
}

/// The example in the specification: a tree of 70,000 leaves.
#[test]
fn a_tree_of_seventy_thousand_has_the_tiles_of_the_specification() {
    let all: Vec<Tile> = Tile::between(0, 70_000).collect();
    let of = |level| all.iter().copied().filter(move |tile| tile.level == level).collect::<Vec<_>>();
    assert_eq!(of(Level::Hashes(0)).len(), 274);
    assert_eq!(of(Level::Hashes(0))[273], tile(Level::Hashes(0), 273, 112));
    assert_eq!(of(Level::Hashes(1)), [tile(Level::Hashes(1), 0, 256), tile(Level::Hashes(1), 1, 17)]);
    assert_eq!(of(Level::Hashes(2)), [tile(Level::Hashes(2), 0, 1)]);
    assert_eq!(of(Level::Entries).len(), 274);
    let small: Vec<String> = Tile::between(0, 256).map(|tile| tile.path()).collect();
    assert_eq!(small, ["tile/entries/000", "tile/0/000", "tile/1/000.p/1"]);
}

#[test]
fn what_is_new_is_what_was_not_there() {
    let all = |size| Tile::between(0, size).collect::<BTreeSet<_>>();
    for old in (0..600).step_by(37) {
        for new in (old..900).step_by(41) {
            let expected: BTreeSet<Tile> = all(new).difference(&all(old)).copied().collect();
            assert_eq!(Tile::between(old, new).collect::<BTreeSet<_>>(), expected, "{old} to {new}");
        }
    }
}

#[test]
fn an_edge_has_the_root_and_the_files_of_its_tree() {
    let mut server = Server::new();
    let mut frontier = Frontier::default();
    for size in 0..700 {
        assert_eq!(server.head(), frontier.head(&AwsLcRs));
        let event = crate::shelf::release(size);
        server.log(event);
        frontier.append(&AwsLcRs, leaf_hash(&AwsLcRs, &server.entries[usize::try_from(size).unwrap()]));
    }
    server.commit();
    let files: BTreeSet<String> = Tile::between(0, 700).map(|tile| tile.path()).collect();
    assert_eq!(server.shelf.0.keys().cloned().collect::<BTreeSet<_>>(), files);
}

#[test]
fn an_edge_is_known_from_its_files() {
    for size in [0, 1, 255, 256, 257, 512, 700] {
        let server = Server::with(size);
        let edge = Edge::load(size, &mut |tile| read(&server.shelf, tile)).unwrap();
        assert_eq!(edge.head(&AwsLcRs), server.head());
    }
    let short = Edge::load(2, &mut |_| Ok::<_, Malformed>(vec![0; 32]));
    let what = "a tile of hashes";
    assert_eq!(short, Err(Malformed::Length { what, expected: 64, found: 32 }));
}

/// More than 65,536 leaves: three levels.
#[test]
fn a_tree_of_three_levels_is_proved_out_of_its_tiles() {
    let mut shelf = Shelf::default();
    let (mut edge, mut frontier) = (Edge::default(), Frontier::default());
    let leaf = |index: u64| leaf_hash(&AwsLcRs, &index.to_be_bytes());
    let mut old = frontier.head(&AwsLcRs);
    for index in 0..66_000 {
        if index == 65_537 {
            old = frontier.head(&AwsLcRs);
        }
        shelf
            .0
            .extend(edge.append(&AwsLcRs, leaf(index)).into_iter().map(|(tile, bytes)| (tile.path(), bytes)));
        frontier.append(&AwsLcRs, leaf(index));
    }
    shelf.0.extend(edge.partial().map(|(tile, bytes)| (tile.path(), bytes)));
    let head = edge.head(&AwsLcRs);
    assert_eq!(head, frontier.head(&AwsLcRs));
    let mut fetch = |tile| read(&shelf, tile);
    let mut lookup = nodes(&AwsLcRs, head.size, &mut fetch);
    for index in [0, 255, 256, 65_535, 65_536, 65_999] {
        let proof: Proof = inclusion(&AwsLcRs, index, head.size, &mut *lookup).unwrap().unwrap();
        assert_eq!(proof.includes(&AwsLcRs, leaf(index), index, &head), Ok(()));
    }
    let proof = consistency(&AwsLcRs, old.size, head.size, &mut *lookup).unwrap().unwrap();
    assert_eq!(proof.extends(&AwsLcRs, &old, &head), Ok(()));
}

fn read(shelf: &Shelf, tile: Tile) -> Result<Vec<u8>, Malformed> {
    let missing = Malformed::Length { what: "shelf", expected: 1, found: 0 };
    shelf.0.get(&tile.path()).cloned().ok_or(missing)
}

#[test]
fn a_subtree_that_the_tree_lacks_is_not_looked_up() {
    let server = Server::with(300);
    let mut fetch = |tile| read(&server.shelf, tile);
    let mut lookup = nodes(&AwsLcRs, 300, &mut fetch);
    for (height, place) in [(0, 300), (3, 37), (8, 1), (9, 0), (63, 0), (64, 0), (255, 0), (7, u64::MAX)] {
        assert!(
            matches!(lookup(height, place), Err(Malformed::Value { what: "subtree", .. })),
            "{height} {place}"
        );
    }
    assert!(lookup(8, 0).is_ok());
}

#[test]
fn a_bundle_comes_apart_as_it_was_put_together() {
    let all: Vec<Vec<u8>> = (0..256).map(|number| vec![7; number * 16]).collect();
    let bytes = bundle(all.iter().map(Vec::as_slice)).unwrap();
    assert_eq!(entries(&bytes), Ok(all.iter().map(Vec::as_slice).collect()));
    assert_eq!(bundle([[0; 4097].as_slice()]), None);
}

#[test]
fn a_bundle_that_is_cut_or_too_large_is_refused() {
    assert_eq!(entries(&[0]), Err(Malformed::Truncated { at: 0, wanted: 2, left: 1 }));
    assert_eq!(entries(&[0, 3, 1, 2]), Err(Malformed::Truncated { at: 2, wanted: 3, left: 2 }));
    let (what, expected) = ("length of an entry in a bundle", "at most 4096");
    assert_eq!(entries(&[0x10, 1]), Err(Malformed::Value { what, expected, found: "4097".to_owned() }));
    let (what, expected) = ("entries in a bundle", "at most 256");
    assert_eq!(entries(&[0; 514]), Err(Malformed::Value { what, expected, found: "more".to_owned() }));
}

#[test]
fn a_tile_of_hashes_has_its_width() {
    let two = [Digest([1; 32]), Digest([2; 32])];
    assert_eq!(hashes_from(&hashes(&two), Width::new(2).unwrap()), Ok(two.to_vec()));
    let (what, expected) = ("a tile of hashes", 96);
    let three = Width::new(3).unwrap();
    assert_eq!(hashes_from(&hashes(&two), three), Err(Malformed::Length { what, expected, found: 64 }));
    assert_eq!((Width::new(0), Width::new(257)), (None, None));
}

#[test]
fn what_a_file_was_before_it_grew_is_its_beginning() {
    let (old, new) = (Server::with(260), Server::with(600));
    for (path, bytes) in &old.shelf.0 {
        let small = Tile::parse(path).unwrap();
        let large = Tile::in_tree(small.level, small.index, 600).unwrap();
        assert_eq!(cut(&new.shelf.0[&large.path()], small).as_ref(), Ok(bytes), "{path}");
    }
    let three = tile(Level::Hashes(0), 0, 3);
    let (what, expected) = ("a file that grew", 96);
    assert_eq!(cut(&[0; 64], three), Err(Malformed::Length { what, expected, found: 64 }));
}
