use super::*;
use crate::config::ByteSize;

/// A process, second by second.
struct Process {
    governor: Governor,
    look: Look,
}

impl Process {
    fn new(cpu_percent: u32, memory_bytes: u64) -> Self {
        let limits = config::Limits {
            cpu_percent,
            memory_bytes: ByteSize(memory_bytes),
            ..config::Limits::default()
        };
        Self {
            governor: Governor::new(&limits, None),
            look: Look {
                now_ns: 1000 * SECOND,
                cpu_ns: 0,
                resident: 0,
                lost: 0,
            },
        }
    }

    /// So many seconds at a percentage of a processor, with so many records lost in each; the grades that it went
    /// through.
    fn runs(&mut self, seconds: usize, percent: u64, lost: u64) -> Vec<u8> {
        let mut grades = Vec::new();
        for _ in 0..seconds {
            self.look.now_ns += SECOND;
            self.look.cpu_ns += percent * SECOND / 100;
            self.look.lost += lost;
            if self.governor.step(self.look) != Step::Stay {
                grades.push(self.governor.grade);
            }
        }
        grades
    }
}

#[test]
fn without_ceilings_nothing_is_too_much_but_what_the_ring_loses() {
    let mut process = Process::new(0, 0);
    process.look.resident = 64 << 30;
    assert!(process.runs(1000, 400, 0).is_empty());
    assert_eq!(process.runs(3, 400, 1), [1], "three seconds in a row");
}

#[test]
fn a_burst_is_no_strain() {
    let mut process = Process::new(100, 0);
    for _ in 0..20 {
        assert!(process.runs(2, 10, 1).is_empty());
        assert!(process.runs(1, 10, 0).is_empty());
        assert!(
            process.runs(2, 100, 0).is_empty(),
            "four seconds of five are idle"
        );
        assert!(process.runs(5, 10, 0).is_empty());
    }
}

#[test]
fn grades_rise_a_step_at_a_time_and_stay_at_the_last() {
    let mut process = Process::new(50, 0);
    assert_eq!(process.runs(5 + 1, 50, 0), [1]);
    assert!(process.runs(4, 50, 0).is_empty(), "the step has not shown yet");
    assert_eq!(process.runs(100, 50, 0), [2, 3]);
}

#[test]
fn the_cause_is_told() {
    let mut process = Process::new(50, 1000);
    process.runs(6, 0, 0);
    process.look.resident = 900;
    process.look.now_ns += SECOND;
    assert_eq!(process.governor.step(process.look), Step::Up(Cause::Memory.bit()));
}

#[test]
fn calm_brings_it_down_and_relapses_make_it_wait() {
    let mut process = Process::new(100, 0);
    assert_eq!(process.runs(6, 100, 0), [1]);
    // Between the two marks nothing happens.
    assert!(process.runs(200, 85, 0).is_empty());
    assert_eq!(process.runs(16, 30, 0), [0]);
    for wait in [20, 40, 80, 160, 320, 320] {
        assert_eq!(process.runs(6, 100, 0), [1]);
        assert!(process.runs(wait, 30, 0).is_empty(), "{wait} seconds");
        assert_eq!(process.runs(6, 30, 0), [0], "{wait} seconds");
    }
    process.runs(700, 30, 0);
    assert_eq!(process.runs(6, 100, 0), [1]);
    assert_eq!(process.runs(16, 30, 0), [0], "long ago is forgotten");
}

#[test]
fn the_process_is_looked_at() {
    let before = processor_ns();
    let mut sum = 0_u64;
    while processor_ns() == before {
        sum = sum.wrapping_add(1);
    }
    assert!(resident() > 1 << 20, "{}", resident());
}

#[test]
fn other_ceilings_hold_from_the_next_look_on() {
    let mut process = Process::new(0, 0);
    assert!(process.runs(20, 60, 0).is_empty());
    let limits = |cpu_percent| config::Limits {
        cpu_percent,
        ..config::Limits::default()
    };
    process.governor.limit(&limits(50));
    assert_eq!(process.runs(1, 60, 0), [1]);
    process.governor.limit(&limits(0));
    assert_eq!(process.runs(100, 60, 0), [0], "there is no ceiling any more");
}

#[test]
fn what_a_thread_took_is_read_while_it_runs() {
    let own = rustix::thread::gettid().as_raw_nonzero().get();
    let before = thread_ns(own);
    while thread_ns(own) < before + 20_000_000 {
        std::hint::spin_loop();
    }
    assert!(processor_ns() > thread_ns(own) / 2);
    assert_eq!(thread_ns(-1), 0, "there is none");
}
