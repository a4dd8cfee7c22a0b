use super::*;

const PROCESS: Key = Key { pid: 7, start_ns: 70 };

fn kernel(entries: &[(Entry, u64)]) -> [u64; ENTRIES] {
    let mut values = [0; ENTRIES];
    for (entry, value) in entries {
        values[*entry as usize] = *value;
    }
    values
}

fn captured() -> Vec<(Entry, u64)> {
    vec![
        (Entry::TlsCalls, 2),
        (Entry::TlsBytes, 100),
        (Entry::SocketCalls, 2),
        (Entry::SocketBytes, 50),
        (Entry::WholeCalls, 1),
        (Entry::PartCalls, 1),
        (Entry::CipherCalls, 1),
        (Entry::UnknownCalls, 1),
        (Entry::SubmittedBytes, 70),
        (Entry::RingFullBytes, 20),
        (Entry::LimitBytes, 10),
        (Entry::CipherBytes, 30),
        (Entry::UnknownBytes, 20),
    ]
}

fn filled() -> Ledger {
    let ledger = Ledger::default();
    ledger.set_kernel(PROCESS, kernel(&captured()));
    let tally = ledger.tally(PROCESS);
    tally.add(Post::ReceivedBytes, 70);
    tally.add(Post::OrderedBytes, 60);
    tally.add(Post::LateBytes, 4);
    tally.shift(Post::HeldBytes, 0, 6);
    tally.add(Post::MissingLost, 20);
    tally.add(Post::HeadBytes, 40);
    tally.add(Post::SkippedBytes, 15);
    tally.shift(Post::WaitingBytes, 0, 9);
    tally.shift(Post::WaitingBytes, 9, 5);
    ledger
}

#[test]
fn an_account_that_closes_is_balanced() {
    assert_eq!(filled().unbalanced(), None);
}

#[test]
fn each_equation_notices_one_byte_or_call_too_many() {
    for (post, equation) in [
        (Post::ReceivedBytes, Equation::Ring),
        (Post::OrderedBytes, Equation::Order),
        (Post::LateBytes, Equation::Order),
        (Post::BodyBytes, Equation::Parsing),
        (Post::CutBytes, Equation::Parsing),
    ] {
        let ledger = filled();
        ledger.tally(PROCESS).add(post, 1);
        assert_eq!(
            ledger.unbalanced().map(|found| found.equation),
            Some(equation),
            "{post:?}"
        );
    }
    for (entry, equation) in [
        (Entry::TlsCalls, Equation::Calls),
        (Entry::UnknownCalls, Equation::Calls),
        (Entry::TlsBytes, Equation::Bytes),
        (Entry::FaultBytes, Equation::Bytes),
    ] {
        let mut entries = captured();
        entries.push((
            entry,
            entries
                .iter()
                .find(|(of, _)| *of == entry)
                .map_or(0, |(_, value)| *value)
                + 1,
        ));
        let ledger = filled();
        ledger.set_kernel(PROCESS, kernel(&entries));
        assert_eq!(
            ledger.unbalanced().map(|found| found.equation),
            Some(equation),
            "{entry:?}"
        );
    }
    let ledger = filled();
    ledger.tally(PROCESS).add(Post::MissingFault, 15);
    assert_eq!(
        ledger.unbalanced().map(|found| found.equation),
        Some(Equation::Missing)
    );
}

#[test]
fn a_running_check_waits_for_rest_and_tells_once() {
    let ledger = filled();
    ledger.tally(PROCESS).add(Post::BodyBytes, 1);
    let at = |emptied_ns, now_ns| {
        ledger.emptied(emptied_ns);
        ledger.check(now_ns)
    };
    assert_eq!(at(1_000, 1_000), [], "never at first sight");
    ledger.tally(PROCESS).add(Post::BodyBytes, 1);
    let since = 2 * REST_NS;
    assert_eq!(at(since, since), [], "bytes are under way");
    let late = since + 100 * REST_NS;
    assert_eq!(at(since + REST_NS - 1, late), [], "they may wait in the ring");
    assert_eq!(at(since + REST_NS, late).len(), 1);
    assert_eq!(at(late, late), [], "told once");
}

#[test]
fn ended_processes_make_room_and_nothing_is_forgotten() {
    let ledger = Ledger::default();
    let key = |pid: usize| Key {
        pid: u32::try_from(pid).unwrap(),
        start_ns: pid as u64,
    };
    for pid in 1..=PROCESSES {
        ledger.tally(key(pid)).add(Post::ReceivedBytes, 1);
        ledger.set_kernel(
            key(pid),
            kernel(&[(Entry::SubmittedBytes, 1), (Entry::LastTlsNs, pid as u64)]),
        );
    }
    // Nobody has ended: the newcomer is one of the others.
    ledger.tally(key(PROCESSES + 1)).add(Post::ReceivedBytes, 5);
    ledger.end(key(3));
    ledger.end(key(4));
    let held = ledger.tally(key(3));
    ledger.tally(key(PROCESSES + 2)).add(Post::ReceivedBytes, 7);
    let accounts = ledger.accounts();
    assert_eq!(accounts.len(), PROCESSES + 1);
    let others = accounts
        .iter()
        .find(|account| account.process == Key::OTHERS)
        .unwrap();
    assert_eq!(
        (
            others.user(Post::ReceivedBytes),
            others.kernel(Entry::SubmittedBytes)
        ),
        (6, 1)
    );
    assert_eq!(others.kernel(Entry::LastTlsNs), 4, "a time is no sum");
    assert!(
        accounts.iter().any(|account| account.process == key(3)),
        "a stream holds it"
    );
    drop(held);
    let received: u64 = accounts
        .iter()
        .map(|account| account.user(Post::ReceivedBytes))
        .sum();
    assert_eq!(received, PROCESSES as u64 + 12);
}
