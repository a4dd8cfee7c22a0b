//! One copy of a program per function, for kernels that do not tell a probe its cookie (before Linux 5.15).
//!
//! Each copy has read-only globals of its own, of which one is the cookie. They are loaded when a file first needs
//! them, and attached by one perf event per probe. Commands and structures: `include/uapi/linux/bpf.h` and
//! `include/uapi/linux/perf_event.h`.
#![expect(
    unsafe_code,
    reason = "bpf(2), perf_event_open(2) and its ioctls have no safe wrapper here"
)]

use std::collections::{HashMap, HashSet};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aya::Ebpf;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::multi::{bpf, descriptor, load_btf, load_program, relocation};
use super::{AttachBackend, AttachError, Attachment, Hook, Point, Programs, program_of};

const BPF_MAP_CREATE: i64 = 0;
const BPF_MAP_LOOKUP_ELEM: i64 = 1;
const BPF_MAP_UPDATE_ELEM: i64 = 2;
const BPF_MAP_FREEZE: i64 = 22;
const BPF_MAP_TYPE_ARRAY: u32 = 2;
const BPF_F_RDONLY_PROG: u32 = 1 << 7;
/// Programs for perf events name no attach type.
const NO_ATTACH_TYPE: u32 = 0;
const PERF_FLAG_FD_CLOEXEC: u64 = 8;
/// `_IOW('$', 8, __u32)`
const PERF_EVENT_IOC_SET_BPF: libc::c_ulong = 0x4004_2408;
/// `_IO('$', 0)`
const PERF_EVENT_IOC_ENABLE: libc::c_ulong = 0x2400;
/// Where the kernel says the number of its uprobe events, and which bit of `config` makes one a return probe.
const EVENT_SOURCE: &str = "/sys/bus/event_source/devices/uprobe";

/// Names of the two globals.
const HAS_COOKIE: &str = "HAS_COOKIE";
const FIXED_COOKIE: &str = "FIXED_COOKIE";

/// `struct` of `BPF_MAP_CREATE` in `union bpf_attr`, up to the last field used.
#[repr(C)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
}

/// `struct` of `BPF_MAP_*_ELEM` in `union bpf_attr`; `BPF_MAP_FREEZE` takes its first field.
#[repr(C)]
#[derive(Default)]
struct MapElement {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

/// `struct perf_event_attr` up to `config2` (`PERF_ATTR_SIZE_VER1`).
#[repr(C)]
#[derive(Default)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    bp_type: u32,
    uprobe_path: u64,
    probe_offset: u64,
}

/// Issues a bpf(2) command on a map.
fn on_map(command: i64, element: &MapElement) -> io::Result<()> {
    // SAFETY: `element` is a repr(C) prefix of union bpf_attr of its true size; its key and value point to memory that
    // the caller keeps and that is as large as the map's.
    let status = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(element),
            size_of::<MapElement>(),
        )
    };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The read-only globals: the section they are in, their content, and where the two that differ are.
#[derive(Debug)]
struct Globals {
    section: String,
    content: Vec<u8>,
    has_cookie: usize,
    fixed_cookie: usize,
}

impl Globals {
    /// Takes the content from the map that aya made, which holds what the loader set.
    fn of(object: &[u8], ebpf: &Ebpf) -> io::Result<Self> {
        let elf = object::File::parse(object).map_err(io::Error::other)?;
        let place = |name: &str| {
            let symbol = elf.symbol_by_name(name)?;
            let section = elf.section_by_index(symbol.section_index()?).ok()?;
            Some((
                section.name().ok()?.to_owned(),
                usize::try_from(symbol.address()).ok()?,
                usize::try_from(section.size()).ok()?,
            ))
        };
        let absent = || io::Error::other("the object has no cookie among its globals");
        let (section, fixed_cookie, size) = place(FIXED_COOKIE).ok_or_else(absent)?;
        let (other, has_cookie, _) = place(HAS_COOKIE).ok_or_else(absent)?;
        if section != other {
            return Err(absent());
        }
        let fd = ebpf.map(&section).and_then(descriptor).ok_or_else(absent)?;
        let mut content = vec![0_u8; size];
        let key = 0_u32;
        on_map(
            BPF_MAP_LOOKUP_ELEM,
            &MapElement {
                map_fd: number(fd)?,
                key: std::ptr::from_ref(&key) as u64,
                value: content.as_mut_ptr() as u64,
                ..MapElement::default()
            },
        )?;
        Ok(Self {
            section,
            content,
            has_cookie,
            fixed_cookie,
        })
    }

    /// A map of their own with this cookie, frozen: only then does the verifier take its content for constants.
    fn with(&self, cookie: u64) -> io::Result<OwnedFd> {
        let mut content = self.content.clone();
        put(&mut content, self.has_cookie, &0_u32.to_ne_bytes())?;
        put(&mut content, self.fixed_cookie, &cookie.to_ne_bytes())?;
        let map = bpf(
            BPF_MAP_CREATE,
            &MapCreate {
                map_type: BPF_MAP_TYPE_ARRAY,
                key_size: 4,
                value_size: u32::try_from(content.len()).map_err(io::Error::other)?,
                max_entries: 1,
                map_flags: BPF_F_RDONLY_PROG,
            },
        )?;
        let key = 0_u32;
        let element = MapElement {
            map_fd: number(map.as_raw_fd())?,
            key: std::ptr::from_ref(&key) as u64,
            value: content.as_ptr() as u64,
            ..MapElement::default()
        };
        on_map(BPF_MAP_UPDATE_ELEM, &element)?;
        on_map(
            BPF_MAP_FREEZE,
            &MapElement {
                map_fd: element.map_fd,
                ..MapElement::default()
            },
        )?;
        Ok(map)
    }
}

fn put(content: &mut [u8], at: usize, value: &[u8]) -> io::Result<()> {
    content
        .get_mut(at..at + value.len())
        .ok_or_else(|| io::Error::other("a global lies outside of its section"))?
        .copy_from_slice(value);
    Ok(())
}

fn number(fd: RawFd) -> io::Result<u32> {
    u32::try_from(fd).map_err(io::Error::other)
}

/// Loads copies as they are needed.
#[derive(Debug)]
pub struct Copies {
    ebpf: Arc<Mutex<Ebpf>>,
    parsed: aya_obj::Object,
    btf: Option<OwnedFd>,
    globals: Globals,
    names: Programs,
    loaded: HashMap<(Hook, u64), OwnedFd>,
    kind: u32,
    return_bit: u32,
}

impl Copies {
    /// Prepares to load programs of `object` against the maps that aya made. `names` are in the order of
    /// [`Hook::ALL`].
    pub fn load(object: &[u8], ebpf: Arc<Mutex<Ebpf>>, names: Programs) -> Result<Self, AttachError> {
        let [first, ..] = names;
        let refused = |error| relocation(first, error);
        let mut parsed = aya_obj::Object::parse(object).map_err(|error| relocation(first, error))?;
        let btf = load_btf(&mut parsed);
        let globals = {
            let made = ebpf.lock().unwrap_or_else(PoisonError::into_inner);
            Globals::of(object, &made).map_err(refused)?
        };
        let (kind, return_bit) = event_source().map_err(refused)?;
        Ok(Self {
            ebpf,
            parsed,
            btf,
            globals,
            names,
            loaded: HashMap::new(),
            kind,
            return_bit,
        })
    }

    /// The program of a hook that knows this cookie.
    fn program(&mut self, hook: Hook, cookie: u64) -> Result<RawFd, AttachError> {
        if let Some(program) = self.loaded.get(&(hook, cookie)) {
            return Ok(program.as_raw_fd());
        }
        let refused = |error: io::Error| AttachError::Load {
            program: program_of(self.names, hook),
            log: "its globals could not be made".to_owned(),
            source: error,
        };
        // The program keeps its map; this descriptor is not needed after the load.
        let globals = self.globals.with(cookie).map_err(refused)?;
        let mut copy = self.parsed.clone();
        let text: HashSet<usize> = copy.functions.keys().map(|(section, _)| *section).collect();
        let maps = std::mem::take(&mut copy.maps);
        {
            let made = self.ebpf.lock().unwrap_or_else(PoisonError::into_inner);
            let fds: Vec<(&str, RawFd, &aya_obj::Map)> = maps
                .iter()
                .filter_map(|(name, map)| {
                    let own = *name == self.globals.section;
                    let fd = if own {
                        globals.as_raw_fd()
                    } else {
                        descriptor(made.map(name)?)?
                    };
                    Some((name.as_str(), fd, map))
                })
                .collect();
            copy.relocate_maps(fds.into_iter(), &text)
                .map_err(|error| relocation(program_of(self.names, hook), error))?;
        }
        copy.relocate_calls(&text)
            .map_err(|error| relocation(program_of(self.names, hook), error))?;
        let program = load_program(
            &copy,
            program_of(self.names, hook),
            self.btf.as_ref(),
            NO_ATTACH_TYPE,
        )?;
        let fd = program.as_raw_fd();
        self.loaded.insert((hook, cookie), program);
        Ok(fd)
    }

    fn open(&self, program: RawFd, file: &Path, point: &Point) -> io::Result<OwnedFd> {
        let path = CString::new(file.as_os_str().as_bytes()).map_err(io::Error::other)?;
        let returns = u64::from(point.hook == Hook::Return) << self.return_bit;
        let event = PerfEvent {
            kind: self.kind,
            size: u32::try_from(size_of::<PerfEvent>()).map_err(io::Error::other)?,
            config: returns,
            sample_period: 1,
            wakeup_events: 1,
            uprobe_path: path.as_ptr() as u64,
            probe_offset: point.offset,
            ..PerfEvent::default()
        };
        // Every process, on the first processor: the program runs on whichever the probe is hit.
        let (everyone, processor, group) = (-1, 0, -1);
        // SAFETY: `event` is a perf_event_attr of the size it names, and its path lives until the call returns.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                std::ptr::from_ref(&event),
                everyone,
                processor,
                group,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
        // SAFETY: the kernel just made this descriptor for us; nothing else owns it.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        control(&event, PERF_EVENT_IOC_SET_BPF, program)?;
        control(&event, PERF_EVENT_IOC_ENABLE, 0)?;
        Ok(event)
    }
}

fn control(event: &OwnedFd, request: libc::c_ulong, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: both requests take a number, no pointer.
    let status = unsafe { libc::ioctl(event.as_raw_fd(), request, argument) };
    if status < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Number of the kernel's uprobe events, and the bit that makes one a return probe (`config:0`).
fn event_source() -> io::Result<(u32, u32)> {
    let read = |file: &str| std::fs::read_to_string(format!("{EVENT_SOURCE}/{file}"));
    let kind = read("type")?.trim().parse().map_err(io::Error::other)?;
    let format = read("format/retprobe")?;
    let bit = format.trim().strip_prefix("config:").unwrap_or_default();
    Ok((kind, bit.parse().map_err(io::Error::other)?))
}

/// Events of one file.
#[derive(Debug)]
struct Events(Vec<OwnedFd>);

impl Attachment for Events {
    fn points(&self) -> usize {
        self.0.len()
    }
}

impl AttachBackend for Copies {
    fn name(&self) -> &'static str {
        "perf, a program per function"
    }

    fn attach(&mut self, file: &Path, points: &[Point]) -> Result<Box<dyn Attachment>, AttachError> {
        let mut events = Vec::with_capacity(points.len());
        // Returns first: an entry without its return would only leave a stale slot.
        for hook in Hook::ALL.into_iter().rev() {
            for point in points.iter().filter(|point| point.hook == hook) {
                let program = self.program(hook, point.cookie)?;
                let event = self
                    .open(program, file, point)
                    .map_err(|source| AttachError::Link {
                        program: program_of(self.names, hook),
                        file: file.display().to_string(),
                        source,
                    })?;
                events.push(event);
            }
        }
        Ok(Box::new(Events(events)))
    }
}
