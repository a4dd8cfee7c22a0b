//! A unit's system calls, as a filter of the OCI runtime specification.
//!
//! Takes values of directives. Gives one filter where systemd loads several: a call passes when each of them lets it.
//! Groups are those of the systemd that is installed.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::guard;
use crate::programs::Program;
use crate::wait::{DEADLINE, Deadline};

/// `errno` as its number, such as those of `errno(3)`.
pub(super) const EPERM: i32 = libc::EPERM;

/// `CLONE_NEWCGROUP`, `IPC`, `NET`, `NS`, `PID`, `USER` and `UTS` together.
const NEW_NAMESPACES: i32 = libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS;
const WRITE_AND_EXECUTE: i32 = libc::PROT_WRITE | libc::PROT_EXEC;
/// `S_ISUID` and `S_ISGID`.
const SET_IDS: i32 = 0o6000;
/// Flags with which opening makes a file: `O_CREAT`, and `O_TMPFILE` without `O_DIRECTORY`, which it has in it.
const CREATES: i32 = libc::O_CREAT | (libc::O_TMPFILE & !libc::O_DIRECTORY);
/// Policies that `RestrictRealtime=` leaves (systemd.exec(5)).
const ORDINARY_POLICIES: [i32; 3] = [libc::SCHED_OTHER, libc::SCHED_BATCH, libc::SCHED_IDLE];
/// Calls that make a file or change its mode, and which of their arguments is the mode.
const WITH_MODE: [(&str, u32); 8] = [
    ("chmod", 1),
    ("fchmod", 1),
    ("fchmodat", 2),
    ("mkdir", 1),
    ("mkdirat", 2),
    ("mknod", 1),
    ("mknodat", 2),
    ("creat", 1),
];

/// What a unit says about system calls.
#[derive(Debug)]
pub(super) struct Calls {
    allowed: BTreeSet<String>,
    refused_groups: BTreeSet<String>,
    pub(super) errno: i32,
    pub(super) families: Vec<i32>,
    restrictions: BTreeSet<Restriction>,
}

/// What some calls pass without only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Restriction {
    /// `RestrictNamespaces=`.
    Namespaces,
    /// `RestrictRealtime=`.
    RealTime,
    /// `RestrictSUIDSGID=`.
    SetIds,
    /// `MemoryDenyWriteExecute=`.
    WriteAndExecute,
}

impl Calls {
    pub(super) const fn new() -> Self {
        Self {
            allowed: BTreeSet::new(),
            refused_groups: BTreeSet::new(),
            errno: EPERM,
            families: Vec::new(),
            restrictions: BTreeSet::new(),
        }
    }

    /// A line of `SystemCallFilter=`. The first must allow: systemd takes its kind as that of the list.
    pub(super) fn filter(&mut self, value: &str) -> Result<()> {
        let (refuses, names) = value
            .strip_prefix('~')
            .map_or((false, value), |rest| (true, rest));
        ensure!(
            !(refuses && self.allowed.is_empty()),
            "a list that refuses comes first: it would allow everything else"
        );
        for name in names.split_whitespace() {
            for call in expanded(name)? {
                if refuses {
                    self.allowed.remove(&call);
                } else {
                    self.allowed.insert(call);
                }
            }
        }
        Ok(())
    }

    /// Refuses a call or group whatever the list says, as `Protect...=` do.
    pub(super) fn refuse(&mut self, name: &str) -> Result<()> {
        self.refused_groups.extend(expanded(name)?);
        Ok(())
    }

    /// Lets some calls pass with harmless arguments only.
    pub(super) fn restrict(&mut self, restriction: Restriction) {
        self.restrictions.insert(restriction);
    }

    /// The filter.
    pub(super) fn config(&self) -> Result<Value> {
        ensure!(!self.allowed.is_empty(), "the unit has no list of system calls");
        let mut plain: BTreeSet<&str> = self.allowed.iter().map(String::as_str).collect();
        for refused in &self.refused_groups {
            plain.remove(refused.as_str());
        }
        let mut rules = Vec::new();
        self.conditions(&mut plain, &mut rules);
        let names: Vec<&str> = plain.into_iter().collect();
        rules.push(json!({ "names": names, "action": "SCMP_ACT_ALLOW" }));
        Ok(json!({
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": self.errno,
            "architectures": [format!("SCMP_ARCH_{}", std::env::consts::ARCH.to_uppercase())],
            "syscalls": rules,
        }))
    }

    /// Moves calls that pass with some arguments only from `plain` into rules.
    fn conditions(&self, plain: &mut BTreeSet<&str>, rules: &mut Vec<Value>) {
        let has = |restriction| self.restrictions.contains(&restriction);
        let mut only = |call: &str, conditions: &[Value]| {
            if plain.remove(call) {
                rules.extend(conditions.iter().map(|condition| allow_if(call, condition)));
            }
        };
        if has(Restriction::Namespaces) {
            only("clone", &[masked(0, NEW_NAMESPACES, 0)]);
        }
        if has(Restriction::WriteAndExecute) {
            let not_both =
                [0, libc::PROT_WRITE, libc::PROT_EXEC].map(|found| masked(2, WRITE_AND_EXECUTE, found));
            only("mmap", &not_both);
            for call in ["mprotect", "pkey_mprotect"] {
                only(call, &[masked(2, libc::PROT_EXEC, 0)]);
            }
            only("shmat", &[masked(2, libc::SHM_EXEC, 0)]);
        }
        if has(Restriction::RealTime) {
            only(
                "sched_setscheduler",
                &ORDINARY_POLICIES.map(|policy| compare(1, "EQ", policy)),
            );
        }
        if has(Restriction::SetIds) {
            for (call, index) in WITH_MODE {
                only(call, &[masked(index, SET_IDS, 0)]);
            }
            for (call, flags) in [("open", 1), ("openat", 2)] {
                only(call, &[masked(flags, CREATES, 0), masked(flags + 1, SET_IDS, 0)]);
            }
        }
        if !self.families.is_empty() && plain.remove("socket") {
            self.socket(rules);
        }
        // Calls whose flags are in memory, which no filter sees: programs take the older call when told that there is none.
        for (is_wanted, call) in [
            (has(Restriction::Namespaces), "clone3"),
            (has(Restriction::SetIds), "openat2"),
        ] {
            if is_wanted && plain.remove(call) {
                rules.push(refuse(call, libc::ENOSYS, None));
            }
        }
    }

    /// Other families are refused with the kernel's own word for them.
    fn socket(&self, rules: &mut Vec<Value>) {
        let mut families = self.families.clone();
        families.sort_unstable();
        rules.extend(
            families
                .iter()
                .map(|family| allow_if("socket", &compare(0, "EQ", *family))),
        );
        let (Some(first), Some(last)) = (families.first(), families.last()) else {
            return;
        };
        let between = (*first..*last).filter(|family| !families.contains(family));
        let outside = [compare(0, "LT", *first), compare(0, "GT", *last)];
        let others = between.map(|family| compare(0, "EQ", family)).chain(outside);
        rules.extend(others.map(|condition| refuse("socket", libc::EAFNOSUPPORT, Some(&condition))));
    }
}

fn allow_if(call: &str, condition: &Value) -> Value {
    json!({ "names": [call], "action": "SCMP_ACT_ALLOW", "args": [condition] })
}

fn refuse(call: &str, errno: i32, condition: Option<&Value>) -> Value {
    let arguments: Vec<&Value> = condition.into_iter().collect();
    json!({ "names": [call], "action": "SCMP_ACT_ERRNO", "errnoRet": errno, "args": arguments })
}

/// The bits of a mask in an argument are these.
fn masked(index: u32, mask: i32, found: i32) -> Value {
    json!({ "index": index, "value": mask, "valueTwo": found, "op": "SCMP_CMP_MASKED_EQ" })
}

fn compare(index: u32, operator: &str, value: i32) -> Value {
    json!({ "index": index, "value": value, "op": format!("SCMP_CMP_{operator}") })
}

/// The calls of a group, as systemd has them; a call is itself.
fn expanded(name: &str) -> Result<Vec<String>> {
    if !name.starts_with('@') {
        return Ok(vec![name.to_owned()]);
    }
    let mut analyze = Command::new(Program::SystemdAnalyze.find()?);
    analyze.args(["syscall-filter", name]).stdin(Stdio::null());
    let listed = guard::run(&mut analyze, Deadline::after(DEADLINE))?;
    let mut calls = Vec::new();
    for member in members(&listed) {
        calls.extend(expanded(member)?);
    }
    if calls.is_empty() {
        bail!("systemd-analyze knows no calls of {name}");
    }
    Ok(calls)
}

/// Lines below a group's name; what begins with `#` describes it.
fn members(listed: &str) -> impl Iterator<Item = &str> {
    let lines = listed.lines().filter(|line| line.starts_with(' ')).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The number of an address family.
pub(super) fn family(name: &str) -> Result<i32> {
    let families = [
        ("AF_UNIX", libc::AF_UNIX),
        ("AF_INET", libc::AF_INET),
        ("AF_INET6", libc::AF_INET6),
        ("AF_NETLINK", libc::AF_NETLINK),
        ("AF_PACKET", libc::AF_PACKET),
    ];
    let found = families.iter().find(|(known, _)| *known == name);
    Ok(found.with_context(|| format!("{name} has no number here"))?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(lines: &[&str]) -> Calls {
        let mut calls = Calls::new();
        for line in lines {
            calls.filter(line).unwrap();
        }
        calls
    }

    fn rules<'v>(config: &'v Value, call: &str) -> Vec<&'v Value> {
        let all = config["syscalls"].as_array().unwrap().iter();
        all.filter(|rule| rule["names"].as_array().unwrap().iter().any(|name| name == call))
            .collect()
    }

    #[test]
    fn later_lines_take_away_and_add_and_refused_groups_stay_refused() {
        let mut calls = calls(&["read write bpf syslog", "~write bpf", "bpf"]);
        calls.refuse("syslog").unwrap();
        let config = calls.config().unwrap();
        assert_eq!(config["syscalls"][0]["names"], json!(["bpf", "read"]));
        assert_eq!(config["defaultErrnoRet"], EPERM);
        assert!(
            Calls::new().filter("~write").is_err(),
            "everything else would be allowed"
        );
        assert!(Calls::new().config().is_err());
    }

    #[test]
    fn restrictions_become_conditions_and_a_call_that_is_not_allowed_stays_so() {
        let mut calls = calls(&["clone clone3 mmap mprotect openat socket"]);
        calls.restrict(Restriction::Namespaces);
        calls.restrict(Restriction::SetIds);
        calls.restrict(Restriction::WriteAndExecute);
        calls.families = vec![libc::AF_INET6, libc::AF_UNIX, libc::AF_INET];
        let config = calls.config().unwrap();
        assert_eq!(rules(&config, "clone")[0]["args"][0]["value"], 2_114_060_288_u32);
        assert_eq!(rules(&config, "clone3")[0]["errnoRet"], libc::ENOSYS);
        assert_eq!(rules(&config, "mmap").len(), 3);
        assert_eq!(rules(&config, "openat").len(), 2);
        assert!(rules(&config, "chmod").is_empty());
        let refused = rules(&config, "socket");
        let refused = refused
            .iter()
            .filter(|rule| rule["errnoRet"] == libc::EAFNOSUPPORT);
        // Below 1, above 10, and 3 to 9 between.
        assert_eq!(refused.count(), 9);
    }

    #[test]
    fn a_groups_list_is_read() {
        let listed = "@aio\n    # Asynchronous IO\n    @other\n    io_setup\n";
        assert_eq!(members(listed).collect::<Vec<_>>(), ["@other", "io_setup"]);
    }
}
