//! One perf event per probe: every kernel has it, closing is slow (about a tenth of a second each), and stable kernels
//! from July 2025 on demand `CAP_SYS_ADMIN` (CVE-2025-38466).

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use aya::Ebpf;
use aya::programs::uprobe::{UProbeAttachLocation, UProbeAttachPoint, UProbeLink, UProbeScope};
use aya::programs::{ProgramError, UProbe};

use super::{AttachBackend, AttachError, Attachment, Hook, Point, Programs, program_of};

/// The loaded programs, inside aya's object.
#[derive(Debug)]
pub struct Perf {
    ebpf: Arc<Mutex<Ebpf>>,
    names: Programs,
}

impl Perf {
    /// Loads the programs. `names` are in the order of [`Hook::ALL`].
    pub fn load(ebpf: Arc<Mutex<Ebpf>>, names: Programs) -> Result<Self, AttachError> {
        {
            let mut object = ebpf.lock().unwrap_or_else(PoisonError::into_inner);
            for name in names {
                let program = program(&mut object, name)?;
                program.load().map_err(|error| AttachError::Load {
                    program: name,
                    log: error.to_string(),
                    source: io::Error::other(error),
                })?;
            }
        }
        Ok(Self { ebpf, names })
    }
}

fn program<'a>(object: &'a mut Ebpf, name: &'static str) -> Result<&'a mut UProbe, AttachError> {
    object
        .program_mut(name)
        .and_then(|program| <&mut UProbe>::try_from(program).ok())
        .ok_or(AttachError::NoProgram(name))
}

/// Links of one file.
#[derive(Debug)]
struct Links(Vec<UProbeLink>);

impl Attachment for Links {
    fn points(&self) -> usize {
        self.0.len()
    }
}

impl AttachBackend for Perf {
    fn name(&self) -> &'static str {
        "perf"
    }

    fn attach(&mut self, file: &Path, points: &[Point]) -> Result<Box<dyn Attachment>, AttachError> {
        let mut object = self.ebpf.lock().unwrap_or_else(PoisonError::into_inner);
        let mut links = Vec::with_capacity(points.len());
        for hook in Hook::ALL.into_iter().rev() {
            let name = program_of(self.names, hook);
            for point in points.iter().filter(|point| point.hook == hook) {
                let program = program(&mut object, name)?;
                let link = attach_one(program, file, point).map_err(|error| AttachError::Link {
                    program: name,
                    file: file.display().to_string(),
                    source: io::Error::other(error),
                })?;
                links.push(link);
            }
        }
        Ok(Box::new(Links(links)))
    }
}

fn attach_one(program: &mut UProbe, file: &Path, point: &Point) -> Result<UProbeLink, ProgramError> {
    let place = UProbeAttachPoint {
        location: UProbeAttachLocation::AbsoluteOffset(point.offset),
        cookie: Some(point.cookie),
    };
    let id = program.attach(place, file, UProbeScope::AllProcesses)?;
    program.take_link(id)
}
