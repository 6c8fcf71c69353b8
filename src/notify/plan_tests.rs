use super::*;

const MINUTE: i64 = 60_000;
const LIMITS: Limits = Limits { cool_down_ms: 15 * MINUTE, sms_per_hour_max: 50 };

/// Minutes since the start, and what is asked of the plan.
enum Do {
    Add(i64, Item),
    /// At this minute a sender asks; these ids go out in one message, and arrive.
    Sends(i64, &'static [u128]),
    /// Nothing goes out before this minute.
    Waits(i64, i64),
    Idle(i64),
}
use Do::{Add, Idle, Sends, Waits};

fn item(id: u128, severity: Severity, cause: Cause) -> Item {
    Item {
        id: Uuid::from_u128(id),
        channel: Channel::Sms,
        recipient: "+491".into(),
        kind: Kind::Call,
        alert: Some(Uuid::from_u128(1_000 + id)),
        unit: Some(UnitNo(1)),
        severity,
        level: 1,
        cause,
        outage: None,
        words: None,
        due: Tick(0),
        tries: 0,
    }
}

fn warning(id: u128) -> Item {
    item(id, Severity::Warning, Cause::First)
}

fn critical(id: u128) -> Item {
    item(id, Severity::Critical, Cause::First)
}

fn moment(minute: i64) -> Moment {
    Moment { now: Tick(minute * MINUTE), quiet_until: None, is_storage_failed: false }
}

#[track_caller]
fn check(limits: Limits, steps: Vec<Do>) {
    let mut plan = Plan::new(limits);
    for step in steps {
        match step {
            Add(minute, item) => plan.add(Item { due: Tick(minute * MINUTE), ..item }, true),
            Sends(minute, ids) => match plan.next(Channel::Sms, None, moment(minute)) {
                Next::Send(items) => {
                    let mut got: Vec<u128> = items.iter().map(|item| item.id.as_u128()).collect();
                    got.sort_unstable();
                    assert_eq!(got, ids, "at minute {minute}");
                    let ids: Vec<Uuid> = items.iter().map(|item| item.id).collect();
                    plan.sent(&ids, Tick(minute * MINUTE));
                }
                other => panic!("{other:?} at minute {minute}, not {ids:?}"),
            },
            Waits(minute, until) => {
                let next = plan.next(Channel::Sms, None, moment(minute));
                assert_eq!(next, Next::Wait(Tick(until * MINUTE)), "at minute {minute}");
            }
            Idle(minute) => {
                assert_eq!(plan.next(Channel::Sms, None, moment(minute)), Next::Idle, "at minute {minute}");
            }
        }
    }
}

#[test]
fn what_falls_into_a_cool_down_goes_out_in_one_message_at_its_end() {
    check(
        LIMITS,
        vec![
            Idle(0),
            Add(0, warning(1)),
            Sends(0, &[1]),
            Idle(1),
            Add(3, warning(2)),
            Add(9, item(3, Severity::Critical, Cause::Escalated)),
            Waits(9, 15),
            Sends(15, &[2, 3]),
            Idle(15),
            // Every recipient has a cool-down of his own.
            Add(16, Item { recipient: "+492".into(), ..warning(4) }),
            Sends(16, &[4]),
        ],
    );
}

#[test]
fn the_first_call_of_a_critical_alert_and_an_all_clear_do_not_wait() {
    check(
        LIMITS,
        vec![
            Add(0, warning(1)),
            Sends(0, &[1]),
            Add(1, warning(2)),
            Add(2, critical(3)),
            // What waits goes with it.
            Sends(2, &[2, 3]),
            Add(3, critical(4)),
            Sends(3, &[4]),
            Add(4, item(5, Severity::Critical, Cause::Repeated)),
            Waits(4, 18),
            Add(5, Item { kind: Kind::AllClear, ..item(6, Severity::Critical, Cause::First) }),
            Sends(5, &[5, 6]),
        ],
    );
}

#[test]
fn the_hourly_limit_holds_back_warnings_first_and_no_first_critical_call() {
    let limits = Limits { cool_down_ms: 0, sms_per_hour_max: 5 };
    let to = |id: u128, item: Item| Item { recipient: format!("+{id}"), ..item };
    let again = |id| to(id, item(id, Severity::Critical, Cause::Repeated));
    check(
        limits,
        vec![
            Add(0, to(1, warning(1))),
            Sends(0, &[1]),
            Add(1, to(2, warning(2))),
            Sends(1, &[2]),
            Add(2, to(3, warning(3))),
            Sends(2, &[3]),
            Add(3, to(4, warning(4))),
            Sends(3, &[4]),
            // A fifth of the hour is kept for what is critical.
            Add(4, to(5, warning(5))),
            Waits(4, 60),
            Add(5, again(6)),
            Sends(5, &[6]),
            Add(6, again(7)),
            Waits(6, 60),
            Add(7, to(8, critical(8))),
            Sends(7, &[8]),
            // Six of the hour are out; when the oldest two are an hour old, one more may go.
            Waits(60, 61),
            Sends(61, &[7]),
        ],
    );
}

#[test]
fn quiet_hours_hold_back_what_is_not_critical() {
    let mut plan = Plan::new(LIMITS);
    plan.add(warning(1), true);
    let quiet = Moment { quiet_until: Some(Tick(480 * MINUTE)), ..moment(0) };
    assert_eq!(plan.next(Channel::Sms, None, quiet), Next::Wait(Tick(480 * MINUTE)));
    plan.add(critical(2), true);
    let Next::Send(items) = plan.next(Channel::Sms, None, quiet) else { panic!("the critical one goes") };
    assert_eq!(items.len(), 1);
    plan.sent(&[items[0].id], Tick(0));
    let Next::Send(items) = plan.next(Channel::Sms, None, moment(480)) else { panic!("in the morning") };
    assert_eq!(items[0].id, Uuid::from_u128(1));
    // Machines do not sleep.
    plan.add(Item { channel: Channel::Webhook, recipient: "ops".into(), ..warning(3) }, true);
    assert!(matches!(plan.next(Channel::Webhook, Some("ops"), quiet), Next::Send(_)));
}

#[test]
fn a_delivery_is_tried_six_times_with_growing_pauses() {
    let mut plan = Plan::new(LIMITS);
    plan.add(critical(1), true);
    let id = [Uuid::from_u128(1)];
    let mut now = Tick(0);
    for pause_s in [2, 4, 8, 16, 32] {
        let at = |now| Moment { now, ..moment(0) };
        assert!(matches!(plan.next(Channel::Sms, None, at(now)), Next::Send(_)), "{now:?}");
        assert_eq!(plan.next(Channel::Sms, None, at(now)), Next::Idle, "it is under way");
        assert!(plan.failed(&id, now, false).is_empty());
        let next = now.plus(pause_s * 1_000);
        assert_eq!(plan.next(Channel::Sms, None, at(now)), Next::Wait(next));
        now = next;
    }
    assert!(matches!(plan.next(Channel::Sms, None, Moment { now, ..moment(0) }), Next::Send(_)));
    assert_eq!(plan.failed(&id, now, false), id);
    assert!(plan.is_empty());
    // One that can never arrive is given up at once.
    plan.add(critical(2), true);
    assert!(matches!(plan.next(Channel::Sms, None, Moment { now, ..moment(0) }), Next::Send(_)));
    assert_eq!(plan.failed(&[Uuid::from_u128(2)], now, true), [Uuid::from_u128(2)]);
}

#[test]
fn nothing_goes_out_before_it_is_stored_unless_the_store_fails() {
    let mut plan = Plan::new(LIMITS);
    plan.add(critical(1), false);
    assert_eq!(plan.next(Channel::Sms, None, moment(0)), Next::Idle);
    let failing = Moment { is_storage_failed: true, ..moment(0) };
    assert!(matches!(plan.next(Channel::Sms, None, failing), Next::Send(_)));
    assert!(plan.failed(&[Uuid::from_u128(1)], Tick(0), false).is_empty());
    plan.stored();
    assert!(matches!(plan.next(Channel::Sms, None, moment(1)), Next::Send(_)));
}

#[test]
fn an_outage_of_a_source_is_told_once_at_each_severity() {
    let mut plan = Plan::new(LIMITS);
    let of =
        |id, severity| Item { outage: Some(outage("radio", severity)), ..item(id, severity, Cause::First) };
    plan.add(of(1, Severity::Warning), true);
    let Next::Send(first) = plan.next(Channel::Sms, None, moment(0)) else { panic!("it is told") };
    assert!(!plan.is_told(&first));
    plan.sent(&[first[0].id], Tick(0));
    plan.add(of(2, Severity::Warning), true);
    let Next::Send(second) = plan.next(Channel::Sms, None, moment(1)) else { panic!("it needs no message") };
    assert!(plan.is_told(&second), "and no cool-down either");
    plan.satisfied(&[second[0].id]);
    plan.add(of(3, Severity::Critical), true);
    let Next::Send(third) = plan.next(Channel::Sms, None, moment(2)) else { panic!("it got worse") };
    assert!(!plan.is_told(&third));
    plan.sent(&[third[0].id], Tick(2 * MINUTE));
    plan.end_outage("radio");
    plan.add(of(4, Severity::Warning), true);
    let Next::Send(fourth) = plan.next(Channel::Sms, None, moment(60)) else { panic!("another outage") };
    assert!(!plan.is_told(&fourth));
}

#[test]
fn the_gravest_goes_first_and_a_message_has_a_bounded_number_of_lines() {
    let mut plan = Plan::new(LIMITS);
    plan.add(Item { recipient: "+1".into(), ..warning(1) }, true);
    plan.add(Item { recipient: "+2".into(), due: Tick(5), ..critical(2) }, true);
    let Next::Send(items) = plan.next(Channel::Sms, None, moment(1)) else { panic!("something goes") };
    assert_eq!(items[0].id, Uuid::from_u128(2));
    for id in 100..100 + 2 * MERGED_SMS_MAX as u128 {
        plan.add(Item { recipient: "+3".into(), ..critical(id) }, true);
    }
    let Next::Send(items) = plan.next(Channel::Sms, Some("+3"), moment(1)) else { panic!("something goes") };
    assert_eq!(items.len(), MERGED_SMS_MAX);
}

#[test]
fn a_restart_remembers_what_went_out() {
    let mut plan = Plan::new(LIMITS);
    plan.remember(Channel::Sms, "+491", Tick(0), None);
    plan.add(warning(1), true);
    assert_eq!(plan.next(Channel::Sms, None, moment(5)), Next::Wait(Tick(15 * MINUTE)));
    assert!(matches!(plan.next(Channel::Sms, None, moment(15)), Next::Send(_)));
}

#[test]
fn a_critical_notice_does_not_wait_for_a_cool_down() {
    let notice = |id| Item { kind: Kind::Notice, alert: None, ..critical(id) };
    check(
        LIMITS,
        vec![
            Add(0, notice(1)),
            Sends(0, &[1]),
            // The battery of the hub is nearly empty, 5 minutes after the mains were lost.
            Add(5, notice(2)),
            Sends(5, &[2]),
        ],
    );
}

#[test]
fn a_call_of_an_outage_that_is_no_first_one_is_made() {
    let of = |id, cause| Item {
        outage: Some(outage("lns", Severity::Critical)),
        ..item(id, Severity::Critical, cause)
    };
    let mut plan = Plan::new(LIMITS);
    plan.add(of(1, Cause::First), true);
    let Next::Send(items) = plan.next(Channel::Sms, None, moment(0)) else { panic!() };
    assert!(!plan.is_told(&items));
    plan.sent(&[Uuid::from_u128(1)], Tick(0));
    plan.add(of(2, Cause::Repeated), true);
    let Next::Send(items) = plan.next(Channel::Sms, None, moment(60)) else { panic!() };
    assert!(!plan.is_told(&items), "an hour later nobody has taken it");
}
