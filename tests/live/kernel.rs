//! The kernel source, or, without the feature `live`, a stand-in that says so.

#[cfg(feature = "live")]
pub(crate) use sensor_user::capture::kernel::{KernelSource, Options};

#[cfg(not(feature = "live"))]
pub(crate) use absent::{KernelSource, Options};

#[cfg(not(feature = "live"))]
mod absent {
    use std::path::PathBuf;
    use std::time::Duration;

    use sensor_common::counter::Counter;
    use sensor_user::capture::Record;

    /// The part of the source's options that the tests set.
    #[derive(Clone, Debug, Default)]
    #[expect(dead_code, reason = "nothing is started, so nothing reads them")]
    pub(crate) struct Options {
        pub(crate) pids: Vec<u32>,
        pub(crate) libraries: Vec<PathBuf>,
        pub(crate) ring_bytes: u32,
        pub(crate) message_limit: u64,
        pub(crate) everyone: bool,
    }

    /// Never starts.
    #[derive(Debug)]
    pub(crate) struct KernelSource;

    impl KernelSource {
        pub(crate) fn start(options: &Options) -> Result<Self, std::io::Error> {
            Err(std::io::Error::new(
                std::io::ErrorKind::Unsupported,
                format!("built without the feature live; options were {options:?}"),
            ))
        }

        #[expect(
            clippy::unused_self,
            clippy::unnecessary_wraps,
            reason = "the shape of the real source"
        )]
        pub(crate) fn poll(&mut self, _: Duration, _: &mut Vec<Record>) -> Result<usize, std::io::Error> {
            Ok(0)
        }

        #[expect(clippy::unused_self, reason = "the shape of the real source")]
        pub(crate) fn counter(&self, _: Counter) -> u64 {
            0
        }

        #[expect(clippy::unused_self, reason = "the shape of the real source")]
        pub(crate) fn watch(&mut self, _: u32) {}

        #[expect(clippy::unused_self, reason = "the shape of the real source")]
        pub(crate) fn stop(self) {}
    }
}
