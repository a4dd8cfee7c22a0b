use super::process::open_regular;
use super::*;

#[test]
fn the_linkers_configuration_is_followed_one_level_deep() {
    let root = tempfile::tempdir().unwrap();
    let parts = root.path().join("parts");
    fs::create_dir(&parts).unwrap();
    fs::write(
        root.path().join("ld.so.conf"),
        "# comment\ninclude parts/*.conf\n/opt/one\n",
    )
    .unwrap();
    fs::write(parts.join("b.conf"), "/opt/three\ninclude /nowhere/*.conf\n").unwrap();
    fs::write(parts.join("a.conf"), "/opt/two\n").unwrap();
    fs::write(parts.join("a.conf.dpkg-old"), "/opt/not\n").unwrap();
    let directories = library_directories(&root.path().join("ld.so.conf"));
    let shown: Vec<_> = directories.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(
        shown,
        [
            "/opt/two",
            "/opt/three",
            "/opt/one",
            "/lib",
            "/usr/lib",
            "/lib64",
            "/usr/lib64"
        ]
    );
}

#[test]
fn a_file_is_read_once_until_it_changes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.so");
    fs::write(&path, "not a library").unwrap();
    let mut cache = Cache::default();
    for _ in 0..3 {
        let (_, inspected) = cache.inspect(&open_regular(&path).unwrap()).unwrap();
        assert!(matches!(inspected.error, Some(ElfError::NotElf)));
    }
    assert_eq!(cache.readings(), 1);
    fs::write(&path, "not a library either").unwrap();
    cache.inspect(&open_regular(&path).unwrap()).unwrap();
    assert_eq!(cache.readings(), 2);
}

#[test]
fn this_test_carries_no_tls_stack_it_could_be_hooked_through() {
    let file = open_regular(Path::new("/proc/self/exe")).unwrap();
    let (_, inspected) = Cache::default().inspect(&file).unwrap();
    assert!(inspected.error.is_none(), "{:?}", inspected.error);
    assert_eq!(inspected.machine, Some(Machine::native()));
    assert!(!inspected.stacks.iter().any(|found| found.stack.is_covered()));
}
