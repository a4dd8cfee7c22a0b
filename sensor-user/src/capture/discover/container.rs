//! From the names of control groups to containers and pods.
//!
//! Takes the text of `/proc/PID/cgroup`; gives a [`Container`]. Never asks a runtime, so it works without its socket
//! and for containers that ended. Bounded by the text. The shapes it knows, each from a runtime, are the table of the
//! tests; a name without an id of the usual form is no container.

use std::fs;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

/// Hexadecimal digits of an id: SHA-256 as docker, containerd, CRI-O and podman make it.
const ID_DIGITS: usize = 64;
/// Text of one process read at most: thirteen hierarchies, each with a path of some 250 bytes.
const MAX_BYTES: u64 = 16 << 10;

/// Who runs a container, as far as names tell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Runtime {
    /// Docker Engine.
    Docker,
    /// containerd, by its Kubernetes interface or by nerdctl.
    Containerd,
    /// CRI-O.
    Crio,
    /// Podman.
    Podman,
}

impl Runtime {
    /// Name in outputs: OpenTelemetry's `container.runtime.name`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Crio => "cri-o",
            Self::Podman => "podman",
        }
    }
}

/// The container that a process runs in.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Container {
    /// Its id, 64 hexadecimal digits.
    pub id: Box<str>,
    /// Uid of its Kubernetes pod, with dashes.
    pub pod: Option<Box<str>>,
    /// Its runtime; `None` where the name does not tell.
    pub runtime: Option<Runtime>,
}

impl Container {
    /// The first twelve digits, as the runtimes' own tools show it.
    pub fn short(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// The container of a process.
pub fn read(proc: &Path, pid: u32) -> std::io::Result<Option<Arc<Container>>> {
    let mut text = Vec::new();
    fs::File::open(proc.join(pid.to_string()).join("cgroup"))?
        .take(MAX_BYTES)
        .read_to_end(&mut text)?;
    Ok(parse(&String::from_utf8_lossy(&text)).map(Arc::new))
}

/// The container that the text of a `/proc/PID/cgroup` (cgroups(7)) names. The unified hierarchy is asked first: on
/// hosts with both kinds, a runtime that uses it uses it for everything.
pub fn parse(text: &str) -> Option<Container> {
    let path = |line: &'_ str| {
        let mut fields = line.splitn(3, ':');
        let number = fields.next()?.to_owned();
        // The path itself may contain colons.
        fields.nth(1).map(|path| (number, path.to_owned()))
    };
    let paths: Vec<(String, String)> = text.lines().filter_map(path).collect();
    let unified = paths.iter().filter(|(number, _)| number == "0");
    let others = paths.iter().filter(|(number, _)| number != "0");
    unified.chain(others).find_map(|(_, path)| of_path(path))
}

/// The innermost container of a path: a Kubernetes node may itself be a container.
pub fn of_path(path: &str) -> Option<Container> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let (at, (id, prefix)) = parts
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, part)| Some((at, id_in(part)?)))?;
    // The monitor of a container runs beside it, in a group that carries its id.
    if prefix.ends_with("conmon") {
        return None;
    }
    let around = parts.get(..=at)?;
    Some(Container {
        id: id.to_ascii_lowercase().into(),
        pod: around.iter().rev().take(3).find_map(|part| pod_in(part)),
        runtime: runtime(prefix, around),
    })
}

/// The id in one component and what stands before it: `docker-ID.scope`, `…slice:cri-containerd:ID`, `ID`.
fn id_in(part: &str) -> Option<(&str, &str)> {
    let name = part.strip_suffix(".scope").unwrap_or(part);
    let (prefix, id) = match name.rfind(['-', ':']) {
        Some(at) => (name.get(..at)?, name.get(at + 1..)?),
        None => ("", name),
    };
    let right = id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    right.then_some((id, prefix))
}

fn runtime(prefix: &str, around: &[&str]) -> Option<Runtime> {
    let prefix = prefix.rsplit(':').next().unwrap_or(prefix);
    match prefix {
        "docker" => return Some(Runtime::Docker),
        "cri-containerd" | "nerdctl" => return Some(Runtime::Containerd),
        "crio" => return Some(Runtime::Crio),
        "libpod" | "libpod-payload" => return Some(Runtime::Podman),
        _ => {}
    }
    match around.iter().rev().nth(1).copied() {
        Some("docker") => Some(Runtime::Docker),
        Some("libpod_parent") => Some(Runtime::Podman),
        Some("default" | "k8s.io") => Some(Runtime::Containerd),
        _ => None,
    }
}

/// The pod's uid in one component: `pod<uid>` (cgroupfs driver), `kubepods-burstable-pod<uid>.slice` (systemd driver,
/// which writes `_` for `-`). Static pods have a hash of 32 digits for a uid.
fn pod_in(part: &str) -> Option<Box<str>> {
    let end = part.find(".slice").unwrap_or(part.len());
    let name = part.get(..end)?;
    let at = name.rfind("pod")?;
    // `kubepods` and `libpod` have nothing of a uid behind.
    let uid = name.get(at + 3..)?;
    let whole = (at == 0 || name.as_bytes().get(at - 1) == Some(&b'-')) && is_uid(uid);
    whole.then(|| uid.replace('_', "-").to_ascii_lowercase().into())
}

fn is_uid(text: &str) -> bool {
    // RFC 9562, 4: groups of 8, 4, 4, 4 and 12 digits.
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    match text.len() {
        36 => text.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' | b'_' => dash(at),
            _ => byte.is_ascii_hexdigit() && !dash(at),
        }),
        32 => text.bytes().all(|byte| byte.is_ascii_hexdigit()),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
