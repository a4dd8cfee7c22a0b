//! What the sensor says when it cannot, and with which code it ends.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use sensor_tests::guard;
use sensor_tests::programs;

use crate::sensor::{command, root_command, soon};

/// The user nobody, on every system.
const NOBODY: u32 = 65534;

/// Runs to the end; gives the code and standard error.
fn ends(command: &mut Command) -> (Option<i32>, String) {
    let output = guard::finish(command, soon()).unwrap();
    assert!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    (
        output.status.code(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

#[test]
fn a_wrong_flag_is_2_and_named() {
    for (arguments, said) in [
        (&["run", "--pdi", "1"][..], &["--pdi", "--help"][..]),
        (&["watch"], &["watch", "--help"]),
        (&["run", "--pid", "one"], &["--pid", "to do:"]),
        (&["run", "--output", "xml"], &["--output", "xml", "to do:"]),
        (&["run", "--duration", "soon"], &["--duration", "to do:"]),
        (&["record", "/nowhere/file.pcapng"], &["--plaintext"]),
        (&["rules", "API0-000"], &["API0-000", "to do:"]),
    ] {
        let Some(mut command) = command("wrong flags", &[]) else {
            return;
        };
        let (code, errors) = ends(command.args(arguments));
        assert_eq!(code, Some(2), "{arguments:?}: {errors}");
        for part in said {
            assert!(
                errors.contains(part),
                "{arguments:?} does not say {part}: {errors}"
            );
        }
    }
}

#[test]
fn a_configuration_that_is_not_there_or_is_wrong_is_2_with_name_and_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let wrong = directory.path().join("wrong.toml");
    fs::write(&wrong, "[watch]\npids = [1]\n[output]\nformat = \"xml\"\n").unwrap();
    let missing = directory.path().join("missing.toml");
    for (file, said) in [
        (&missing, &["missing.toml", "to do:"][..]),
        (&wrong, &["wrong.toml", "2 mistakes", "pids", "xml", "to do:"]),
    ] {
        for verb in ["run", "doctor"] {
            let Some(mut command) = command("wrong configuration", &[]) else {
                return;
            };
            let (code, errors) = ends(command.arg(verb).arg("--config").arg(file));
            assert_eq!(code, Some(2), "{verb}: {errors}");
            for part in said {
                assert!(errors.contains(part), "{verb} does not say {part}: {errors}");
            }
        }
    }
}

#[test]
fn a_recording_that_cannot_be_read_is_4_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let noise = directory.path().join("noise.pcapng");
    fs::write(&noise, [7; 4096]).unwrap();
    for file in [
        directory.path().join("missing.pcapng"),
        noise,
        directory.path().to_owned(),
    ] {
        let Some(mut command) = command("unreadable recordings", &[]) else {
            return;
        };
        command
            .arg("replay")
            .arg(&file)
            .args(["--output", "none", "--state-dir"]);
        let (code, errors) = ends(command.arg(directory.path().join("state")));
        assert_eq!(code, Some(4), "{errors}");
        for part in [file.to_str().unwrap(), "to do:"] {
            assert!(errors.contains(part), "{part} is not said: {errors}");
        }
    }
}

#[test]
fn a_user_without_privileges_gets_3_and_a_remedy() {
    let what = "run without privileges";
    let Some(sensor) = root_command(what, &[]) else {
        return;
    };
    let Some(setpriv) = setpriv() else {
        return programs::skipped(what, &"no setpriv (Debian package util-linux)");
    };
    // Below a directory that everybody may pass, whatever the modes of the build's own.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (binary, state) = (
        directory.path().join("api-sensor"),
        directory.path().join("state"),
    );
    fs::copy(sensor.get_program(), &binary).unwrap();
    fs::create_dir(&state).unwrap();
    fs::set_permissions(&state, fs::Permissions::from_mode(0o700)).unwrap();
    chown(&state, Some(NOBODY), Some(NOBODY)).unwrap();
    let run = |state: &Path| {
        let mut command = Command::new(&setpriv);
        let nobody = NOBODY.to_string();
        command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups"]);
        command.arg(&binary).args(["run", "--metrics-listen", "off"]);
        command.args(["--pid", &std::process::id().to_string(), "--state-dir"]);
        ends(command.arg(state))
    };
    let (code, errors) = run(&state);
    assert_eq!(code, Some(3), "{errors}");
    for part in ["to do:", "root", "CAP_BPF", "doctor"] {
        assert!(errors.contains(part), "{part} is not said: {errors}");
    }
    // Its own key was made before the kernel refused; another's place is refused first, with another remedy.
    let (code, errors) = run(&directory.path().join("elsewhere"));
    assert_eq!(code, Some(3), "{errors}");
    for part in ["elsewhere", "to do:", "--state-dir"] {
        assert!(errors.contains(part), "{part} is not said: {errors}");
    }
}

fn setpriv() -> Option<PathBuf> {
    ["/usr/bin/setpriv", "/bin/setpriv"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.is_file())
}
