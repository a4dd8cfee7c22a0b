use proptest::prelude::*;

use super::*;

const ID: &str = "5c2bf1f0a9d04e0c8f8c1d3f4f5c6a7b8c9d0e1f2a3b4c5d6e7f8091a2b3c4d5";
const OUTER: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const POD: &str = "1f0c9f6e-2a8b-4c5d-9e7f-0123456789ab";
const SYSTEMD_POD: &str = "1f0c9f6e_2a8b_4c5d_9e7f_0123456789ab";
const STATIC_POD: &str = "0123456789abcdef0123456789abcdef";

type Expected = Option<(Option<&'static str>, Option<Runtime>)>;

/// Path, and pod and runtime when it is a container. `ID`, `POD`, `S_POD`, `STATIC` and `OUTER` stand for the constants.
const SHAPES: &[(&str, Expected)] = &[
    // Docker, cgroupfs driver (docs.docker.com, "Runtime metrics").
    ("/docker/ID", Some((None, Some(Runtime::Docker)))),
    // Docker, systemd driver (the same).
    (
        "/system.slice/docker-ID.scope",
        Some((None, Some(Runtime::Docker))),
    ),
    // Docker in Docker, private cgroup namespace seen from outside.
    ("/docker/OUTER/docker/ID", Some((None, Some(Runtime::Docker)))),
    // A service of systemd inside of a Docker container.
    (
        "/docker/ID/system.slice/nginx.service",
        Some((None, Some(Runtime::Docker))),
    ),
    // Podman, systemd manager (libpod/container_internal_linux.go: "libpod-" + id + ".scope").
    (
        "/machine.slice/libpod-ID.scope",
        Some((None, Some(Runtime::Podman))),
    ),
    // crun puts the payload one deeper (crun's run.oci.systemd.subgroup).
    (
        "/machine.slice/libpod-ID.scope/container",
        Some((None, Some(Runtime::Podman))),
    ),
    // Podman, rootless.
    (
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope",
        Some((None, Some(Runtime::Podman))),
    ),
    // Podman, cgroupfs manager (CgroupfsDefaultCgroupParent "/libpod_parent").
    ("/libpod_parent/libpod-ID", Some((None, Some(Runtime::Podman)))),
    // Podman, split cgroups (--cgroups=split).
    (
        "/system.slice/web.service/libpod-payload-ID",
        Some((None, Some(Runtime::Podman))),
    ),
    // Podman's monitor is not in the container.
    ("/machine.slice/libpod-conmon-ID.scope", None),
    // containerd, systemd driver, burstable (containerd/pkg/cri: cri-containerd:ID under the pod's slice).
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podS_POD.slice/cri-containerd-ID.scope",
        Some((Some(POD), Some(Runtime::Containerd))),
    ),
    // The same, guaranteed (kubelet's cm/pod_container_manager_linux.go has no class in between).
    (
        "/kubepods.slice/kubepods-podS_POD.slice/cri-containerd-ID.scope",
        Some((Some(POD), Some(Runtime::Containerd))),
    ),
    // The same, a static pod.
    (
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-ID.scope",
        Some((Some(STATIC_POD), Some(Runtime::Containerd))),
    ),
    // kubelet says systemd, containerd says cgroupfs (containerd issue 4900's shape).
    (
        "/system.slice/containerd.service/kubepods-besteffort-podS_POD.slice:cri-containerd:ID",
        Some((Some(POD), Some(Runtime::Containerd))),
    ),
    // cgroupfs driver: the name does not tell the runtime.
    ("/kubepods/burstable/podPOD/ID", Some((Some(POD), None))),
    ("/kubepods/podPOD/ID", Some((Some(POD), None))),
    // CRI-O, systemd and cgroupfs (internal/config/cgmgr: "crio-" + id).
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podS_POD.slice/crio-ID.scope",
        Some((Some(POD), Some(Runtime::Crio))),
    ),
    (
        "/kubepods/besteffort/podPOD/crio-ID",
        Some((Some(POD), Some(Runtime::Crio))),
    ),
    // CRI-O with crun: the payload one deeper.
    (
        "/kubepods.slice/kubepods-podS_POD.slice/crio-ID.scope/container",
        Some((Some(POD), Some(Runtime::Crio))),
    ),
    // CRI-O's monitor.
    (
        "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podS_POD.slice/crio-conmon-ID.scope",
        None,
    ),
    // kind: a node is a Docker container, its kubelet has a root of its own.
    (
        "/docker/OUTER/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/\
         kubelet-kubepods-besteffort-podS_POD.slice/cri-containerd-ID.scope",
        Some((Some(POD), Some(Runtime::Containerd))),
    ),
    // nerdctl, systemd and cgroupfs.
    (
        "/system.slice/nerdctl-ID.scope",
        Some((None, Some(Runtime::Containerd))),
    ),
    ("/default/ID", Some((None, Some(Runtime::Containerd)))),
    // Amazon ECS on EC2.
    ("/ecs/0123456789abcdef0123456789abcdef/ID", Some((None, None))),
    // Seen from another cgroup namespace (cgroup_namespaces(7)).
    ("/../../podPOD/ID", Some((Some(POD), None))),
    // No containers.
    ("/", None),
    ("/system.slice/containerd.service", None),
    ("/user.slice/user-1000.slice/session-2.scope", None),
    ("/init.scope", None),
    ("/kubepods/burstable/podPOD", None),
    ("/machine.slice/machine-debian.scope", None),
];

fn filled(shape: &str) -> String {
    shape
        .replace("OUTER", OUTER)
        .replace("S_POD", SYSTEMD_POD)
        .replace("STATIC", STATIC_POD)
        .replace("POD", POD)
        .replace("ID", ID)
}

fn expected(expected: Expected) -> Option<Container> {
    expected.map(|(pod, runtime)| Container {
        id: ID.into(),
        pod: pod.map(Into::into),
        runtime,
    })
}

#[test]
fn every_shape_is_read() {
    for (shape, wanted) in SHAPES {
        assert_eq!(of_path(&filled(shape)), expected(*wanted), "{shape}");
    }
}

#[test]
fn every_shape_is_read_from_either_kind_of_hierarchy() {
    for (shape, wanted) in SHAPES {
        let path = filled(shape);
        let texts = [
            format!("0::{path}\n"),
            format!("12:pids:{path}\n11:cpu,cpuacct:{path}\n1:name=systemd:{path}\n"),
            // Hybrid: the unified hierarchy is there and not used.
            format!("12:pids:{path}\n1:name=systemd:{path}\n0::/\n"),
        ];
        for text in texts {
            assert_eq!(parse(&text), expected(*wanted), "{text}");
        }
    }
}

#[test]
fn an_id_is_shown_as_tools_show_it() {
    let container = of_path(&format!("/docker/{ID}")).unwrap();
    assert_eq!(container.short(), "5c2bf1f0a9d0");
}

proptest! {
    #[test]
    fn an_id_is_never_made_up(text in "[0-9:a-f/_.\\-podslicekubernetesdockerscope\n]{0,400}") {
        if let Some(container) = parse(&text) {
            prop_assert_eq!(container.id.len(), ID_DIGITS);
            prop_assert!(text.contains(&*container.id));
        }
    }

    #[test]
    fn anything_may_be_a_path(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn what_is_around_a_container_does_not_change_it(
        before in "(/[a-z.]{1,20}){0,4}",
        after in "(/[a-z.]{1,20}){0,3}",
    ) {
        let path = format!("{before}/kubepods-pod{SYSTEMD_POD}.slice/cri-containerd-{ID}.scope{after}");
        let wanted = expected(Some((Some(POD), Some(Runtime::Containerd))));
        prop_assert_eq!(of_path(&path), wanted);
    }
}
