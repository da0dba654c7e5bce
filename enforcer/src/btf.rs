//! The kernel's own type information (BTF): where fields are, and how many arguments a function takes.
//!
//! `/sys/kernel/btf/vmlinux` is read once, at start. Format: Documentation/bpf/btf.rst. Untrusted as far as its shape
//! goes: every offset is checked, nesting and work are bounded. Trusted as far as it is the kernel's word about itself.

use std::collections::HashMap;

/// A kernel's types.
#[derive(Debug)]
pub struct Btf<'b> {
    strings: &'b [u8],
    types: Vec<Type<'b>>,
    by_name: HashMap<(&'b [u8], Kind), u32>,
}

/// What was looked for and is not there, or is not in order.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first bytes are not BTF's.
    #[error("type information begins with {0:#06x}, expected 0xeb9f, version 1")]
    Magic(u16),
    /// A length or offset leads outside.
    #[error("type information ends within {0}")]
    Short(&'static str),
    /// A kind that is not in the format's description.
    #[error("type {id} is of kind {kind}, expected 1 to 19")]
    Kind {
        /// The type.
        id: u32,
        /// Its kind.
        kind: u32,
    },
    /// The kernel has no such structure or field.
    #[error("this kernel has no {0}")]
    Absent(String),
    /// A field that does not begin at a whole byte.
    #[error("{0} is a bit field")]
    Bits(String),
}

#[derive(Clone, Copy, Debug)]
struct Type<'b> {
    info: u32,
    /// A type's number, or a size.
    points_to: u32,
    more: &'b [u8],
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
enum Kind {
    Struct,
    Function,
    Typedef,
}

const MAGIC: u16 = 0xeb9f;
/// How deep anonymous structures may lie in each other.
const DEPTH: u32 = 16;
/// How many members are looked at for one path; a structure of the kernel has some hundreds.
const MEMBERS: u32 = 1 << 17;
/// How many bytes of a name are read; those that are asked for are shorter (`KSYM_NAME_LEN`).
const NAME: usize = 512;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const FUNCTION: u32 = 12;
const PROTOTYPE: u32 = 13;

impl<'b> Btf<'b> {
    /// Reads the whole of it.
    pub fn parse(bytes: &'b [u8]) -> Result<Self, Error> {
        let header = |at| word(bytes, at).ok_or(Error::Short("its header"));
        let first = header(0)?;
        let magic = u16::try_from(first & 0xffff).unwrap_or_default();
        if magic != MAGIC || (first >> 16) & 0xff != 1 {
            return Err(Error::Magic(magic));
        }
        let length = header(4)?;
        let part = |at: u32, size: u32, what| {
            let start = usize::try_from(length.checked_add(at)?).ok()?;
            let end = start.checked_add(usize::try_from(size).ok()?)?;
            bytes.get(start..end).ok_or(what).ok()
        };
        let types = part(header(8)?, header(12)?, "types").ok_or(Error::Short("its types"))?;
        let strings = part(header(16)?, header(20)?, "strings").ok_or(Error::Short("its strings"))?;
        let mut btf = Self { strings, types: Vec::new(), by_name: HashMap::new() };
        btf.read(types)?;
        Ok(btf)
    }

    fn read(&mut self, types: &'b [u8]) -> Result<(), Error> {
        let mut rest = types;
        // Number 0 is void.
        let mut id = 0_u32;
        while !rest.is_empty() {
            id = id.saturating_add(1);
            let short = Error::Short("a type");
            let (head, tail) = rest.split_at_checked(12).ok_or(short.clone())?;
            let field = |at| word(head, at).unwrap_or_default();
            let (name, info, points_to) = (field(0), field(4), field(8));
            let kind = (info >> 24) & 0x1f;
            let size = tail_size(kind, info & 0xffff).ok_or(Error::Kind { id, kind })?;
            let (more, next) = tail.split_at_checked(size).ok_or(short)?;
            let known = match kind {
                STRUCT | UNION => Some(Kind::Struct),
                FUNCTION => Some(Kind::Function),
                TYPEDEF => Some(Kind::Typedef),
                _ => None,
            };
            if let Some(known) = known {
                self.by_name.entry((self.string(name), known)).or_insert(id);
            }
            self.types.push(Type { info, points_to, more });
            rest = next;
        }
        Ok(())
    }

    /// The offset in bytes of a path of fields, from the head of a structure. Structures without a name are looked through.
    pub fn offset(&self, structure: &str, path: &[&str]) -> Result<u32, Error> {
        let absent = |what: &str| Error::Absent(what.to_owned());
        let mut id =
            *self.by_name.get(&(structure.as_bytes(), Kind::Struct)).ok_or_else(|| absent(structure))?;
        let size = self.get(id).map_or(0, |found| found.points_to);
        let (mut bits, mut left) = (0_u32, MEMBERS);
        for field in path {
            let whole = || format!("{structure}.{}", path.join("."));
            let found = self.field(id, field.as_bytes(), DEPTH, &mut left);
            let (at, of) = found.ok_or_else(|| absent(&whole()))?;
            bits = bits.checked_add(at).ok_or(Error::Short("a structure"))?;
            id = of;
        }
        // An array without a length begins where the structure ends.
        if bits.div_ceil(8) > size {
            return Err(Error::Short("a structure"));
        }
        if !bits.is_multiple_of(8) {
            return Err(Error::Bits(format!("{structure}.{}", path.join("."))));
        }
        Ok(bits / 8)
    }

    /// How many arguments a function of the kernel takes.
    pub fn arguments(&self, function: &str) -> Result<u32, Error> {
        let absent = || Error::Absent(function.to_owned());
        let id = self.by_name.get(&(function.as_bytes(), Kind::Function)).ok_or_else(absent)?;
        let prototype = self.get(*id).and_then(|found| self.get(found.points_to)).ok_or_else(absent)?;
        if prototype.kind() == PROTOTYPE { Ok(prototype.count()) } else { Err(absent()) }
    }

    /// The number of a function, by which a program is attached to it.
    pub fn function(&self, name: &str) -> Result<u32, Error> {
        let found = self.by_name.get(&(name.as_bytes(), Kind::Function));
        found.copied().ok_or_else(|| Error::Absent(name.to_owned()))
    }

    /// The number of a typed tracepoint, by which a program is attached to it.
    pub fn tracepoint(&self, name: &str) -> Result<u32, Error> {
        let known = format!("btf_trace_{name}");
        let found = self.by_name.get(&(known.as_bytes(), Kind::Typedef));
        found.copied().ok_or_else(|| Error::Absent(format!("tracepoint {name}")))
    }

    /// The numbers of these names in the kernel's enums, whichever they are in.
    #[must_use]
    pub fn enumerators(&self, names: &[&str]) -> Vec<Option<u32>> {
        let mut found = vec![None; names.len()];
        for listed in self.types.iter().filter(|listed| listed.kind() == ENUM) {
            for value in listed.more.chunks_exact(8) {
                let (Some(name), Some(number)) = (word(value, 0), word(value, 4)) else { continue };
                let name = self.string(name);
                let places = names.iter().zip(&mut found).filter(|(wanted, _)| wanted.as_bytes() == name);
                places.for_each(|(_, place)| *place = Some(number));
            }
        }
        found
    }

    /// Where a field is in bits, and its type. `left`: how many members may be looked at.
    fn field(&self, id: u32, name: &[u8], depth: u32, left: &mut u32) -> Option<(u32, u32)> {
        let structure = self.resolved(id)?;
        let depth = depth.checked_sub(1)?;
        for member in structure.more.chunks_exact(12) {
            *left = left.checked_sub(1)?;
            let (called, of) = (word(member, 0)?, word(member, 4)?);
            // With the flag, the upper byte is the width of a bit field.
            let at =
                if structure.info >> 31 == 1 { word(member, 8)? & 0x00ff_ffff } else { word(member, 8)? };
            if self.string(called) == name {
                return Some((at, of));
            }
            if called == 0
                && let Some((within, of)) = self.field(of, name, depth, left)
            {
                return Some((at.checked_add(within)?, of));
            }
        }
        None
    }

    /// The structure behind typedefs and qualifiers.
    fn resolved(&self, id: u32) -> Option<Type<'b>> {
        let mut id = id;
        for _ in 0..DEPTH {
            let found = self.get(id)?;
            match found.kind() {
                STRUCT | UNION => return Some(found),
                TYPEDEF..=11 | 18 => id = found.points_to,
                _ => return None,
            }
        }
        None
    }

    fn get(&self, id: u32) -> Option<Type<'b>> {
        self.types.get(usize::try_from(id.checked_sub(1)?).ok()?).copied()
    }

    fn string(&self, at: u32) -> &'b [u8] {
        let rest = usize::try_from(at).ok().and_then(|at| self.strings.get(at..)).unwrap_or_default();
        let rest = rest.get(..NAME).unwrap_or(rest);
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl Type<'_> {
    const fn kind(self) -> u32 {
        (self.info >> 24) & 0x1f
    }

    const fn count(self) -> u32 {
        self.info & 0xffff
    }
}

/// How many bytes follow the head of a type.
fn tail_size(kind: u32, count: u32) -> Option<usize> {
    let count = usize::try_from(count).ok()?;
    let each = match kind {
        1 | 14 | 17 => return Some(4),
        2 | 7..=12 | 16 | 18 => return Some(0),
        3 => return Some(12),
        6 | 13 => 8,
        4 | 5 | 15 | 19 => 12,
        _ => return None,
    };
    count.checked_mul(each)
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*four))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Strings, and types as words.
    fn btf(strings: &[u8], types: &[u32]) -> Vec<u8> {
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let lengths = [u32::try_from(types.len()).unwrap(), u32::try_from(strings.len()).unwrap()];
        let header = [0x0001_eb9f, 24, 0, lengths[0], lengths[0], lengths[1]];
        [header.iter().flat_map(|word| word.to_ne_bytes()).collect(), types, strings.to_vec()].concat()
    }

    const STRINGS: &[u8] = b"\0outer\0a\0inner\0b\0f\0";

    /// `struct outer { int a; struct { int b; }; }`, and a function with two arguments.
    fn sample() -> Vec<u8> {
        let kind = |kind: u32, count: u32| kind << 24 | count;
        btf(
            STRINGS,
            &[
                0,
                kind(1, 0),
                4,
                32, // 1: int
                0,
                kind(4, 1),
                4,
                15,
                1,
                0, // 2: struct { b }
                1,
                kind(4, 2),
                8,
                7,
                1,
                0,
                0,
                2,
                32, // 3: struct outer
                0,
                kind(13, 2),
                0,
                0,
                1,
                0,
                1, // 4: prototype
                17,
                kind(12, 0),
                4, // 5: f
            ],
        )
    }

    #[test]
    fn a_field_is_found_through_a_structure_without_a_name() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("outer", &["a"]), Ok(0));
        assert_eq!(btf.offset("outer", &["b"]), Ok(4));
        assert_eq!(btf.arguments("f"), Ok(2));
        assert_eq!(btf.function("f"), Ok(5));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let bytes = sample();
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("outer", &["c"]).unwrap_err().to_string(), "this kernel has no outer.c");
        assert_eq!(btf.offset("other", &["c"]).unwrap_err().to_string(), "this kernel has no other");
        assert_eq!(btf.arguments("g").unwrap_err().to_string(), "this kernel has no g");
    }

    #[test]
    fn every_truncation_is_refused_or_has_less_in_it() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(Btf::parse(&bytes[..length]).is_err(), "{length}");
        }
    }

    #[test]
    fn a_structure_within_itself_ends() {
        let kind = |kind: u32, count: u32| kind << 24 | count;
        let bytes = btf(STRINGS, &[1, kind(4, 1), 8, 0, 1, 0]);
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("outer", &["b"]), Err(Error::Absent("outer.b".to_owned())));
    }

    #[test]
    fn a_structure_many_times_within_itself_ends_too() {
        let kind = |kind: u32, count: u32| kind << 24 | count;
        let members = [0, 1, 0].repeat(100);
        let bytes = btf(STRINGS, &[vec![1, kind(4, 100), 8], members].concat());
        let btf = Btf::parse(&bytes).unwrap();
        assert_eq!(btf.offset("outer", &["b"]), Err(Error::Absent("outer.b".to_owned())));
    }

    #[test]
    fn a_field_behind_the_end_of_its_structure_is_refused() {
        let kind = |kind: u32, count: u32| kind << 24 | count;
        let at = |bits: u32| {
            let bytes = btf(STRINGS, &[1, kind(4, 1), 8, 7, 0, bits]);
            Btf::parse(&bytes).unwrap().offset("outer", &["a"])
        };
        assert_eq!(at(64), Ok(8), "an array without a length");
        assert_eq!(at(72), Err(Error::Short("a structure")));
        assert_eq!(at(u32::MAX), Err(Error::Short("a structure")));
    }

    #[test]
    fn what_is_no_type_information_is_refused() {
        assert_eq!(Btf::parse(b"\x7fELF....").unwrap_err(), Error::Magic(0x457f));
        let unknown = btf(STRINGS, &[0, 31 << 24, 0]);
        assert_eq!(Btf::parse(&unknown).unwrap_err(), Error::Kind { id: 1, kind: 31 });
    }

    #[test]
    fn this_kernels_own_is_read() {
        let Ok(bytes) = std::fs::read("/sys/kernel/btf/vmlinux") else {
            eprintln!("SKIP this_kernels_own_is_read: this kernel tells no types");
            return;
        };
        let btf = Btf::parse(&bytes).unwrap();
        assert!(btf.offset("task_struct", &["tgid"]).unwrap() > 0);
        assert_eq!(btf.arguments("security_ptrace_access_check"), Ok(2));
    }
}
