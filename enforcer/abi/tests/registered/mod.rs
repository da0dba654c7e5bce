//! A group's needles in a table, as the kernel's maps have them.
#![expect(unreachable_pub, clippy::unwrap_used, reason = "shared by tests and benches")]

use enforcer_abi::leak::{Buffer, CROWD, Key, Lookup, Needle, Set, Unread, Verdict, needles, scan};

/// A group that registered secrets.
pub struct Group {
    set: Set,
    needles: Vec<Needle>,
    buffer: Box<Buffer>,
}

impl Group {
    /// With these secrets.
    pub fn of(secrets: &[&[u8]]) -> Self {
        let key = Key::new(&core::array::from_fn(|n| u8::try_from(n * 7 + 3).unwrap()));
        let mut group =
            Self { set: Set::new(key, Unread::Count), needles: Vec::new(), buffer: Box::new(Buffer::EMPTY) };
        for secret in secrets {
            for needle in needles(&key, secret).unwrap() {
                group.set.add(needle.spot);
                group.needles.push(needle);
            }
        }
        group
    }

    /// What is seen when these bytes go out.
    pub fn sends(&mut self, bytes: &[u8]) -> Verdict {
        scan(bytes, &mut self.buffer, &self.set, &Table(&self.needles))
    }
}

struct Table<'n>(&'n [Needle]);

impl Lookup for Table<'_> {
    fn needle(&self, spot: u32, nth: u32) -> Option<Needle> {
        assert!(nth < CROWD);
        self.0.iter().filter(|needle| needle.spot == spot).nth(nth.try_into().unwrap()).copied()
    }
}
