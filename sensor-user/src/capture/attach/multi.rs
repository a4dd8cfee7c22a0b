//! `uprobe_multi` links: all points of a file and program in one link, gone in milliseconds when it is closed.
//!
//! aya 0.14 cannot load programs for this attachment type, so the programs are loaded here: the same object is parsed
//! again, its map references are relocated to aya's maps, and two `bpf(2)` commands do the rest. Commands and
//! structures: `include/uapi/linux/bpf.h`.
#![expect(
    unsafe_code,
    reason = "bpf(2) has no safe wrapper that knows this attachment type"
)]

use std::collections::HashSet;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use aya::maps::Map;

use super::{AttachBackend, AttachError, Attachment, Hook, Point, Programs, program_of};

const BPF_PROG_LOAD: i64 = 5;
const BPF_BTF_LOAD: i64 = 18;
/// Makes a link.
pub(in crate::capture) const BPF_LINK_CREATE: i64 = 28;
const BPF_PROG_TYPE_KPROBE: u32 = 2;
const BPF_TRACE_UPROBE_MULTI: u32 = 48;
const BPF_F_UPROBE_MULTI_RETURN: u32 = 1;
/// Bytes of verifier output asked for when a load failed.
const LOG_BYTES: usize = 1 << 20;

/// `struct` of `BPF_PROG_LOAD` in `union bpf_attr`, up to the last field used.
#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

/// `struct` of `BPF_BTF_LOAD` in `union bpf_attr`.
#[repr(C)]
#[derive(Default)]
struct BtfLoad {
    btf: u64,
    log_buf: u64,
    size: u32,
    log_size: u32,
    log_level: u32,
    padding: u32,
}

/// `struct` of `BPF_LINK_CREATE` with its `uprobe_multi` arm.
#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
    path: u64,
    offsets: u64,
    ref_ctr_offsets: u64,
    cookies: u64,
    cnt: u32,
    multi_flags: u32,
    pid: u32,
    padding: u32,
}

/// Issues one bpf(2) command.
pub(in crate::capture) fn command<T>(command: i64, attr: &T) -> io::Result<RawFd> {
    // SAFETY: `attr` is a repr(C) prefix of union bpf_attr and its true size is passed; the kernel reads no further.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attr), size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    RawFd::try_from(result).map_err(io::Error::other)
}

/// Issues one bpf(2) command that returns a descriptor.
pub(in crate::capture) fn bpf<T>(number: i64, attr: &T) -> io::Result<OwnedFd> {
    let fd = command(number, attr)?;
    // SAFETY: the kernel just made this descriptor for us; nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `struct` of `BPF_MAP_CREATE` in `union bpf_attr`, as far as it is used.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

/// An empty array of programs with one place (`BPF_MAP_CREATE`, `BPF_MAP_TYPE_PROG_ARRAY`).
fn program_array() -> io::Result<OwnedFd> {
    const MAP_CREATE: i64 = 0;
    const PROG_ARRAY: u32 = 3;
    let attr = MapCreate {
        map_type: PROG_ARRAY,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
    };
    bpf(MAP_CREATE, &attr)
}

/// The loaded programs.
#[derive(Debug)]
pub struct Multi {
    /// In the order of [`Hook::ALL`].
    loaded: Vec<(Hook, OwnedFd)>,
    names: Programs,
}

impl Multi {
    /// Loads the programs of `object` against the maps that aya made. `names` are in the order of
    /// [`Hook::ALL`].
    pub fn load(object: &[u8], ebpf: &aya::Ebpf, names: Programs) -> Result<Self, AttachError> {
        let [program, ..] = names;
        let nowhere = program_array().map_err(|error| AttachError::Load {
            program,
            log: "no program array can be made".to_owned(),
            source: error,
        })?;
        // The kernel lets programs of one attach type only refer to an array of programs.
        let linked = Linked::of(object, ebpf, program, Some(("NOWHERE", nowhere.as_raw_fd())))?;
        let load = |hook| {
            Ok((
                hook,
                linked.load(program_of(names, hook), BPF_TRACE_UPROBE_MULTI)?,
            ))
        };
        Ok(Self {
            loaded: Hook::ALL
                .into_iter()
                .map(load)
                .collect::<Result<_, AttachError>>()?,
            names,
        })
    }
}

/// The kernel object, linked to aya's maps, for programs that aya cannot load.
pub(in crate::capture) struct Linked {
    object: aya_obj::Object,
    btf: Option<OwnedFd>,
}

impl Linked {
    /// Links it. `program` is named in errors; `instead` is a map that takes the place of aya's of that name.
    pub(in crate::capture) fn of(
        object: &[u8],
        ebpf: &aya::Ebpf,
        program: &'static str,
        instead: Option<(&str, RawFd)>,
    ) -> Result<Self, AttachError> {
        let refused = |error| relocation(program, error);
        let mut object = aya_obj::Object::parse(object).map_err(|error| relocation(program, error))?;
        let btf = load_btf(&mut object);
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        let maps = std::mem::take(&mut object.maps);
        let fds = maps.iter().filter_map(|(name, map)| {
            let shared = descriptor(ebpf.map(name)?)?;
            let own = instead.filter(|(replaced, _)| name == replaced);
            Some((name.as_str(), own.map_or(shared, |(_, fd)| fd), map))
        });
        object.relocate_maps(fds, &text).map_err(refused)?;
        object.relocate_calls(&text).map_err(refused)?;
        Ok(Self { object, btf })
    }

    /// Loads a program of kprobe type.
    pub(in crate::capture) fn load(
        &self,
        name: &'static str,
        attach_type: u32,
    ) -> Result<OwnedFd, AttachError> {
        load_program(&self.object, name, self.btf.as_ref(), attach_type)
    }
}

pub(super) fn relocation(
    program: &'static str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> AttachError {
    AttachError::Load {
        program,
        log: "relocation failed".to_owned(),
        source: io::Error::other(error),
    }
}

pub(super) fn descriptor(map: &Map) -> Option<RawFd> {
    let (Map::Array(data)
    | Map::PerCpuArray(data)
    | Map::HashMap(data)
    | Map::LruHashMap(data)
    | Map::ProgramArray(data)
    | Map::RingBuf(data)) = map
    else {
        return None;
    };
    Some(data.fd().as_fd().as_raw_fd())
}

/// Loads the object's type information, which `bpf_loop` needs: the kernel asks what the callback is. A kernel that
/// refuses it gets programs without; one that then needs it says so itself.
pub(super) fn load_btf(object: &mut aya_obj::Object) -> Option<OwnedFd> {
    let features = aya::features().btf()?;
    let bytes = object.fixup_and_sanitize_btf(features).ok()??.to_bytes();
    let size = u32::try_from(bytes.len()).ok()?;
    bpf(
        BPF_BTF_LOAD,
        &BtfLoad {
            btf: bytes.as_ptr() as u64,
            size,
            ..BtfLoad::default()
        },
    )
    .ok()
}

pub(super) fn load_program(
    object: &aya_obj::Object,
    name: &'static str,
    btf: Option<&OwnedFd>,
    attach_type: u32,
) -> Result<OwnedFd, AttachError> {
    let program = object.programs.get(name).ok_or(AttachError::NoProgram(name))?;
    let function = object
        .functions
        .get(&program.function_key())
        .ok_or(AttachError::NoProgram(name))?;
    let (functions, lines) = (
        function.func_info.func_info_bytes(),
        function.line_info.line_info_bytes(),
    );
    let mut attr = ProgLoad {
        prog_type: BPF_PROG_TYPE_KPROBE,
        insn_cnt: number(function.instructions.len()),
        insns: function.instructions.as_ptr() as u64,
        license: program.license.as_ptr() as u64,
        expected_attach_type: attach_type,
        ..ProgLoad::default()
    };
    if let Some(btf) = btf {
        attr.prog_btf_fd = u32::try_from(btf.as_raw_fd()).unwrap_or(0);
        attr.func_info = functions.as_ptr() as u64;
        attr.func_info_cnt = number(function.func_info.len());
        attr.func_info_rec_size = number(function.func_info_rec_size);
        attr.line_info = lines.as_ptr() as u64;
        attr.line_info_cnt = number(function.line_info.len());
        attr.line_info_rec_size = number(function.line_info_rec_size);
    }
    // BPF_OBJ_NAME_LEN is 16 with the terminating zero.
    for (slot, byte) in attr.prog_name.iter_mut().take(15).zip(name.bytes()) {
        *slot = byte;
    }
    bpf(BPF_PROG_LOAD, &attr).map_err(|source| AttachError::Load {
        program: name,
        log: why(attr),
        source,
    })
}

/// A count for the kernel; one that does not fit is refused by it.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The verifier's last lines about a program it refused.
fn why(mut attr: ProgLoad) -> String {
    let mut log = vec![0_u8; LOG_BYTES];
    attr.log_level = 1;
    attr.log_size = u32::try_from(log.len()).unwrap_or(0);
    attr.log_buf = log.as_mut_ptr() as u64;
    let again = bpf(BPF_PROG_LOAD, &attr);
    let text = String::from_utf8_lossy(&log);
    let text = text.trim_end_matches('\0').trim_end();
    let tail: Vec<&str> = text.lines().rev().take(12).collect();
    let tail: Vec<&str> = tail.into_iter().rev().collect();
    if again.is_ok() {
        "it was accepted when asked again".to_owned()
    } else {
        tail.join(" | ")
    }
}

/// Links of one file, at most one per hook.
#[derive(Debug)]
struct Links {
    /// Held for their drop.
    _fds: Vec<OwnedFd>,
    points: usize,
}

impl Attachment for Links {
    fn points(&self) -> usize {
        self.points
    }
}

impl AttachBackend for Multi {
    fn name(&self) -> &'static str {
        "uprobe_multi"
    }

    fn attach(&mut self, file: &Path, points: &[Point]) -> Result<Box<dyn Attachment>, AttachError> {
        let mut fds = Vec::new();
        // Returns first: an entry without its return would only leave a stale slot.
        for (hook, program) in self.loaded.iter().rev() {
            let here: Vec<&Point> = points.iter().filter(|point| point.hook == *hook).collect();
            if here.is_empty() {
                continue;
            }
            fds.push(
                link(program, *hook, file, &here).map_err(|source| AttachError::Link {
                    program: program_of(self.names, *hook),
                    file: file.display().to_string(),
                    source,
                })?,
            );
        }
        Ok(Box::new(Links {
            _fds: fds,
            points: points.len(),
        }))
    }
}

fn link(program: &OwnedFd, hook: Hook, file: &Path, points: &[&Point]) -> io::Result<OwnedFd> {
    let path = CString::new(file.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let offsets: Vec<u64> = points.iter().map(|point| point.offset).collect();
    let cookies: Vec<u64> = points.iter().map(|point| point.cookie).collect();
    bpf(
        BPF_LINK_CREATE,
        &LinkCreate {
            prog_fd: u32::try_from(program.as_raw_fd()).map_err(io::Error::other)?,
            attach_type: BPF_TRACE_UPROBE_MULTI,
            path: path.as_ptr() as u64,
            offsets: offsets.as_ptr() as u64,
            cookies: cookies.as_ptr() as u64,
            cnt: u32::try_from(points.len()).map_err(io::Error::other)?,
            multi_flags: if hook == Hook::Return {
                BPF_F_UPROBE_MULTI_RETURN
            } else {
                0
            },
            ..LinkCreate::default()
        },
    )
}
