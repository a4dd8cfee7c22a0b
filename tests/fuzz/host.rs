//! What the host and its programs say: program files, kernel types, processes, configuration.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use sensor_user::capture::attach::site::ends::Around;
use sensor_user::capture::attach::site::{self, ArgumentSet, ReturnSite, Returns, Site, Sites, go};
use sensor_user::capture::btf::Btf;
use sensor_user::capture::discover::elf::{Elf, Machine, Table, Wanted};
use sensor_user::capture::discover::recognise::recognise;
use sensor_user::capture::discover::{container, labels, process, rustls};
use sensor_user::capture::tracepoint;
use sensor_user::config::{File as Named, Inputs, load};

thread_local! {
    /// A file without a name.
    static SCRATCH: RefCell<File> = RefCell::new(scratch());
}

fn scratch() -> File {
    let thread = std::thread::current().id();
    let path = std::env::temp_dir().join(format!("sensor-fuzz-{}-{thread:?}", std::process::id()));
    let mut options = File::options();
    let file = options
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .expect("a scratch file");
    std::fs::remove_file(path).expect("it was made just now");
    file
}

fn with_file(bytes: &[u8], look: impl FnOnce(&File)) {
    SCRATCH.with_borrow_mut(|file| {
        use std::io::Seek as _;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .expect("the scratch file is ours");
        file.write_all(bytes).expect("the scratch file is ours");
        look(file);
    });
}

/// A program or library of anybody's.
pub(crate) fn elf(input: &[u8]) {
    with_file(input, |file| {
        let Ok(elf) = Elf::parse(file) else { return };
        let wanted: Wanted = [(&b"SSL_read"[..], "SSL_read"), (b"SSL_write", "SSL_write")].into();
        for table in [Table::Dynamic, Table::Static] {
            for symbol in elf.functions(table, &wanted).unwrap_or_default() {
                let code = elf.code(&symbol, 64).unwrap_or_default();
                assert!(code.len() <= 64 && code.len() <= input.len());
                elf.extent(symbol.offset);
            }
        }
        assert!(elf.build_id().is_none_or(|id| id.len() <= input.len()));
        let _version = rustls::version(&elf);
        for found in recognise(&elf).unwrap_or_default() {
            assert!(
                found
                    .functions
                    .iter()
                    .all(|function| function.offset < input.len() as u64)
            );
            let shown = found.version.unwrap_or_default();
            assert!(!shown.chars().any(char::is_control), "{shown:?}");
        }
    });
}

pub(crate) fn btf(input: &[u8]) {
    let Ok(btf) = Btf::parse(input) else { return };
    let _offset = btf.offset("sock", "member");
    let _value = btf.enumerator("VALUE");
    let _count = btf.parameters("function");
}

/// A function and what lies behind it, as far as a program may lead there.
struct Code<'a> {
    all: &'a [u8],
    /// Bytes of the function itself.
    length: usize,
}

impl Code<'_> {
    fn at(&self, at: i64) -> Option<&[u8]> {
        self.all.get(usize::try_from(at).ok()?..)
    }

    /// Each is where its bytes are, and none is chosen twice.
    fn check(&self, sites: &[Site]) {
        for site in sites {
            let there = self.at(site.offset).unwrap_or_default();
            assert!(there.starts_with(site.bytes()), "{site:?} is not there");
        }
        let mut offsets: Vec<i64> = sites.iter().map(|site| site.offset).collect();
        offsets.sort_unstable();
        offsets.dedup();
        assert_eq!(offsets.len(), sites.len(), "an instruction twice");
    }

    fn check_all(&self, sites: &Sites, returns: Returns) {
        let within = |site: &Site| usize::try_from(site.offset).is_ok_and(|at| at <= self.length);
        assert!(within(&sites.entry), "the entry is outside");
        self.check(&[sites.entry]);
        match &sites.ret {
            ReturnSite::None => assert_eq!(returns, Returns::Unwanted),
            ReturnSite::Impossible => {}
            ReturnSite::Trampoline(site) => {
                assert_eq!(returns, Returns::Cheapest);
                assert!(within(site), "the trampoline is outside");
                self.check(&[*site]);
            }
            ReturnSite::Instructions(found) => {
                assert!(
                    !found.is_empty() && found.iter().all(within),
                    "a return is outside"
                );
                self.check(found);
            }
            ReturnSite::Framed(found) => {
                assert!(!found.is_empty(), "no return");
                self.check(found);
            }
        }
    }
}

impl Around for Code<'_> {
    fn code(&self, at: i64) -> Option<Vec<u8>> {
        self.at(at).map(<[u8]>::to_vec)
    }

    fn numbers(&self, at: i64, count: u64) -> Option<Vec<i32>> {
        let (words, _) = self.at(at)?.as_chunks::<4>();
        let words = words.get(..usize::try_from(count).ok()?)?;
        Some(words.iter().map(|word| i32::from_le_bytes(*word)).collect())
    }
}

/// Machine code of anybody's: a function, and what it may lead to. The first byte chooses what is wanted of it, two more
/// where the function ends.
pub(crate) fn probe_sites(input: &[u8]) {
    let Some((choice, rest)) = input.split_first() else {
        return;
    };
    let (all, length) = super::cut(rest);
    let code = Code { all, length };
    let function = all.get(..length).unwrap_or_default();
    let needs = (0..4).filter(|argument| choice >> argument & 1 == 1);
    let needs = needs.fold(ArgumentSet::default(), ArgumentSet::with);
    let machine = if choice & 0x80 == 0 {
        Machine::X86_64
    } else {
        Machine::Aarch64
    };
    for returns in [Returns::Unwanted, Returns::Cheapest, Returns::WithoutTrampoline] {
        code.check_all(&site::choose(machine, function, needs, returns), returns);
        let found = site::choose_among(machine, function, &code, needs, returns);
        code.check_all(&found, returns);
        assert_eq!(
            found,
            site::choose_among(machine, function, &code, needs, returns)
        );
        code.check_all(&site::at_first_byte(machine, function, returns), returns);
    }
    let _away = site::is_jump_away(machine, function);
    for with_returns in [false, true] {
        if let Ok(sites) = go::choose(function, with_returns) {
            code.check(&[sites.entry]);
            if let ReturnSite::Instructions(found) = &sites.ret {
                code.check(found);
            }
        }
    }
    let _mark = go::mark(function, all);
}

/// The first line names a field; what follows is a tracepoint's format. The first line that has the field says where.
pub(crate) fn tracepoint_format(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (field, format) = text.split_once('\n').unwrap_or_default();
    let first = format.lines().find_map(|line| tracepoint::offset(line, field));
    assert_eq!(tracepoint::offset(format, field), first);
    assert!(first.is_none() || format.contains(field));
}

pub(crate) fn process(input: &[u8]) {
    process::fuzz(input);
    labels::fuzz(input);
    let text = String::from_utf8_lossy(input);
    for found in [container::parse(&text), container::of_path(&text)]
        .into_iter()
        .flatten()
    {
        assert_eq!(found.id.len(), 64);
        assert!(found.id.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(found.short().len(), 12);
    }
    let _function = rustls::function(input);
}

/// A file and variables of the environment: mistakes are told, and none of them stands beyond the file's end.
pub(crate) fn config(input: &[u8]) {
    with_file(input, |file| {
        let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let text = String::from_utf8_lossy(input);
        let pair = |line: &str| {
            let (name, value) = line.split_once('=')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        };
        let inputs = Inputs {
            file: Named::Given(path, "--config"),
            // Another file would be read.
            environment: text
                .lines()
                .filter_map(pair)
                .filter(|(name, _)| name != "API_SENSOR_CONFIG")
                .collect(),
            flags: Vec::new(),
            rules: vec!["API1-001", "API3-001"],
        };
        for problem in load(&inputs).err().unwrap_or_default() {
            assert!(!problem.to_string().is_empty());
        }
    });
}
