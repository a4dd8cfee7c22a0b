//! Offsets of kernel structures, from the running kernel's BTF.
//!
//! Takes the bytes of `/sys/kernel/btf/vmlinux`. Gives the offset of a member by the names of structure and member,
//! looking into anonymous members. Never guesses: a name that is not there is an error. Bounded by the input's size.
//!
//! Format: `Documentation/bpf/btf.rst` of the kernel.

use std::collections::HashMap;

const MAGIC: u16 = 0xeb9f;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_FUNC: u32 = 12;
/// Anonymous members inside anonymous members; the kernel's deepest is 4.
const MAX_DEPTH: u32 = 8;
/// Members looked at for one name. The kernel's largest structures have some hundred, anonymous ones looked into.
const MAX_LOOKED_AT: u32 = 65_536;

/// Why an offset could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BtfError {
    /// Not BTF, or cut.
    #[error("the kernel's type information is malformed at byte {0}")]
    Malformed(usize),
    /// No structure of that name.
    #[error("the kernel's type information has no struct {0}")]
    NoStruct(&'static str),
    /// No member of that name.
    #[error("the kernel's struct {0} has no member {1}")]
    NoMember(&'static str, &'static str),
}

/// The structures and unions of a kernel.
#[derive(Debug)]
pub struct Btf<'a> {
    strings: &'a [u8],
    types: &'a [u8],
    /// By type id.
    composites: HashMap<u32, Composite<'a>>,
    /// Structures by name.
    names: HashMap<&'a [u8], u32>,
    /// Type id to the type it qualifies (typedef, const, volatile).
    aliases: HashMap<u32, u32>,
}

#[derive(Clone, Copy, Debug)]
struct Composite<'a> {
    members: &'a [u8],
    bit_offsets: bool,
}

/// One member: name, type, offset in bits.
type Member = (u32, u32, u32);

impl<'a> Btf<'a> {
    /// Reads headers and the list of types.
    pub fn parse(data: &'a [u8]) -> Result<Self, BtfError> {
        if u16_at(data, 0)? != MAGIC {
            return Err(BtfError::Malformed(0));
        }
        let header = u32_at(data, 4)? as usize;
        let section = |offset: usize| -> Result<&'a [u8], BtfError> {
            let start = header.saturating_add(u32_at(data, offset)? as usize);
            let length = u32_at(data, offset + 4)? as usize;
            data.get(start..start.saturating_add(length))
                .ok_or(BtfError::Malformed(offset))
        };
        let mut btf = Self {
            strings: section(16)?,
            types: section(8)?,
            composites: HashMap::new(),
            names: HashMap::new(),
            aliases: HashMap::new(),
        };
        btf.index()?;
        Ok(btf)
    }

    fn index(&mut self) -> Result<(), BtfError> {
        for (id, found) in (1..).zip(Types(self.types, 0)) {
            let found = found?;
            match found.kind {
                KIND_STRUCT | KIND_UNION => {
                    self.composites.insert(
                        id,
                        Composite {
                            members: found.body,
                            bit_offsets: found.flag,
                        },
                    );
                    if found.kind == KIND_STRUCT && found.name != 0 {
                        let name = self.string(found.name)?;
                        self.names.entry(name).or_insert(id);
                    }
                }
                // typedef, volatile, const, restrict
                8..=11 => {
                    self.aliases.insert(id, found.third);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Value of the first enumerator of that name; `None` when no enumeration has it.
    pub fn enumerator(&self, wanted: &str) -> Result<Option<u32>, BtfError> {
        for found in Types(self.types, 0) {
            let found = found?;
            if found.kind != KIND_ENUM {
                continue;
            }
            for raw in found.body.chunks_exact(8) {
                if self.string(u32_at(raw, 0)?)? == wanted.as_bytes() {
                    return u32_at(raw, 4).map(Some);
                }
            }
        }
        Ok(None)
    }

    /// Number of parameters of a function; `None` when there is none of that name.
    pub fn parameters(&self, wanted: &str) -> Result<Option<u32>, BtfError> {
        let mut prototype = None;
        for found in Types(self.types, 0) {
            let found = found?;
            if found.kind == KIND_FUNC && self.string(found.name)? == wanted.as_bytes() {
                prototype = Some(found.third);
                break;
            }
        }
        let Some(prototype) = prototype.and_then(|id| usize::try_from(id).ok()) else {
            return Ok(None);
        };
        // Type ids begin with 1.
        let found = Types(self.types, 0)
            .nth(prototype.saturating_sub(1))
            .transpose()?;
        Ok(found.and_then(|found| u32::try_from(found.count).ok()))
    }

    fn string(&self, offset: u32) -> Result<&'a [u8], BtfError> {
        let tail = self
            .strings
            .get(offset as usize..)
            .ok_or(BtfError::Malformed(offset as usize))?;
        let end = memchr::memchr(0, tail).ok_or(BtfError::Malformed(offset as usize))?;
        Ok(tail.get(..end).unwrap_or_default())
    }

    /// Offset in bytes of a member of a structure, anonymous members looked into.
    pub fn offset(&self, structure: &'static str, member: &'static str) -> Result<u32, BtfError> {
        let id = self
            .names
            .get(structure.as_bytes())
            .ok_or(BtfError::NoStruct(structure))?;
        let mut left = MAX_LOOKED_AT;
        self.find(*id, member.as_bytes(), MAX_DEPTH, &mut left)?
            .map(|bits| bits / 8)
            .ok_or(BtfError::NoMember(structure, member))
    }

    fn find(&self, id: u32, wanted: &[u8], depth: u32, left: &mut u32) -> Result<Option<u32>, BtfError> {
        let Some(composite) = self.composites.get(&id) else {
            return Ok(None);
        };
        for (name, member_type, bits) in composite.members() {
            *left = left.checked_sub(1).ok_or(BtfError::Malformed(name as usize))?;
            if name != 0 {
                if self.string(name)? == wanted {
                    return Ok(Some(bits));
                }
            } else if depth > 0
                && let Some(inner) = self.find(self.resolve(member_type), wanted, depth - 1, left)?
            {
                let offset = bits.checked_add(inner);
                return offset.map(Some).ok_or(BtfError::Malformed(name as usize));
            }
        }
        Ok(None)
    }

    fn resolve(&self, mut id: u32) -> u32 {
        for _ in 0..MAX_DEPTH {
            match self.aliases.get(&id) {
                Some(next) => id = *next,
                None => break,
            }
        }
        id
    }
}

/// One type as it is written.
struct Type<'a> {
    name: u32,
    kind: u32,
    count: usize,
    flag: bool,
    /// Size, or the type that this one refers to.
    third: u32,
    body: &'a [u8],
}

/// The types from a position on, in the order of their ids.
struct Types<'a>(&'a [u8], usize);

impl<'a> Types<'a> {
    fn read(&mut self) -> Result<Type<'a>, BtfError> {
        let (types, at) = (self.0, self.1);
        let (name, info, third) = (u32_at(types, at)?, u32_at(types, at + 4)?, u32_at(types, at + 8)?);
        let (kind, count) = ((info >> 24) & 0x1f, (info & 0xffff) as usize);
        let start = at + 12;
        let length = body_bytes(kind, count).ok_or(BtfError::Malformed(at))?;
        let body = types.get(start..start + length).ok_or(BtfError::Malformed(at))?;
        self.1 = start + length;
        Ok(Type {
            name,
            kind,
            count,
            flag: info >> 31 != 0,
            third,
            body,
        })
    }
}

impl<'a> Iterator for Types<'a> {
    type Item = Result<Type<'a>, BtfError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.1 >= self.0.len() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            // What follows a type of unknown length cannot be found.
            self.1 = self.0.len();
        }
        Some(read)
    }
}

impl Composite<'_> {
    fn members(&self) -> impl Iterator<Item = Member> {
        let mask = if self.bit_offsets { 0x00ff_ffff } else { u32::MAX };
        self.members.chunks_exact(12).filter_map(move |raw| {
            Some((
                u32_at(raw, 0).ok()?,
                u32_at(raw, 4).ok()?,
                u32_at(raw, 8).ok()? & mask,
            ))
        })
    }
}

/// Bytes that follow the three words of a type; `None` for a kind this reader does not know, whose length is unknown.
fn body_bytes(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // int, var, decl_tag
        1 | 14 | 17 => 4,
        // array
        3 => 12,
        // struct, union, datasec, enum64
        4 | 5 | 15 | 19 => 12 * count,
        // enum, func_proto
        6 | 13 => 8 * count,
        // ptr, fwd, typedef, volatile, const, restrict, func, float, type_tag
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

fn u16_at(data: &[u8], at: usize) -> Result<u16, BtfError> {
    let bytes = data.get(at..at + 2).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u16::from_le_bytes).ok_or(BtfError::Malformed(at))
}

fn u32_at(data: &[u8], at: usize) -> Result<u32, BtfError> {
    let bytes = data.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map(u32::from_le_bytes).ok_or(BtfError::Malformed(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(length: usize) -> u32 {
        u32::try_from(length).unwrap()
    }

    /// A hand-made blob: `struct outer { int a; struct { const struct { int deep; } ; } ; }`.
    fn blob() -> Vec<u8> {
        let strings = b"\0outer\0a\0deep\0";
        let kind = |kind: u32, count: u32| kind << 24 | count;
        let words: Vec<u32> = [
            vec![0, kind(1, 0), 4, 32],                 // 1: int
            vec![0, kind(4, 1), 4, 9, 1, 0],            // 2: anonymous struct { deep }
            vec![0, kind(10, 0), 2],                    // 3: const 2
            vec![0, kind(5, 1), 4, 0, 3, 0],            // 4: anonymous union { 3 }
            vec![1, kind(4, 2), 12, 7, 1, 0, 0, 4, 64], // 5: outer { a; 4 at 64 bits }
        ]
        .concat();
        let types: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut out = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, word(types.len()), word(types.len()), word(strings.len())] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&types);
        out.extend_from_slice(strings);
        out
    }

    #[test]
    fn looks_into_anonymous_members() {
        let blob = blob();
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.offset("outer", "a"), Ok(0));
        assert_eq!(btf.offset("outer", "deep"), Ok(8));
        assert_eq!(btf.offset("outer", "b"), Err(BtfError::NoMember("outer", "b")));
        assert_eq!(btf.offset("inner", "b"), Err(BtfError::NoStruct("inner")));
    }

    /// Kind and number of members of a structure.
    fn structure(members: u32) -> u32 {
        KIND_STRUCT << 24 | members
    }

    /// `struct outer` of one member without a name, at so many bits, of type `inner`; then other types.
    fn one_nameless_member(at: u32, inner: u32, others: &[u32]) -> Vec<u8> {
        let strings = b"\0outer\0deep\0";
        let words = [&[1, structure(1), 4, 0, inner, at], others].concat();
        let types: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut out = vec![0x9f, 0xeb, 1, 0];
        for word in [24, 0, word(types.len()), word(types.len()), word(strings.len())] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        [out, types, strings.to_vec()].concat()
    }

    #[test]
    fn offsets_beyond_all_structures_are_an_error() {
        let blob = one_nameless_member(u32::MAX, 2, &[0, structure(1), 4, 7, 0, 8]);
        let btf = Btf::parse(&blob).unwrap();
        assert_eq!(btf.offset("outer", "deep"), Err(BtfError::Malformed(0)));
    }

    #[test]
    fn members_that_hold_each_other_end() {
        // 60 members, each of which is the structure itself: 60^8 ways through it.
        let members = [0, 2, 0].repeat(60);
        let blob = one_nameless_member(0, 2, &[&[0, structure(60), 4], members.as_slice()].concat());
        let btf = Btf::parse(&blob).unwrap();
        assert!(matches!(btf.offset("outer", "deep"), Err(BtfError::Malformed(_))));
    }

    #[test]
    fn any_cut_is_an_error_or_a_smaller_answer_never_a_panic() {
        let blob = blob();
        for end in 0..blob.len() {
            if let Ok(btf) = Btf::parse(blob.get(..end).unwrap()) {
                assert!(btf.offset("outer", "deep").is_ok_and(|offset| offset == 8));
            }
        }
    }
}
