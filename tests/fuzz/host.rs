//! What the host and its programs say: program files, kernel types, processes, configuration.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use sensor_user::capture::btf::Btf;
use sensor_user::capture::discover::elf::{Elf, Table, Wanted};
use sensor_user::capture::discover::recognise::recognise;
use sensor_user::capture::discover::{container, labels, process, rustls};
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
        };
        for problem in load(&inputs).err().unwrap_or_default() {
            assert!(!problem.to_string().is_empty());
        }
    });
}
