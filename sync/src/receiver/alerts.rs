//! Acknowledge and resolve come from either side; the earlier time wins.

use uuid::Uuid;

/// What an alert row says of people: Unix ms and the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct People {
    pub acknowledged: Option<(i64, Option<Uuid>)>,
    pub resolved: Option<(i64, Option<Uuid>)>,
}

/// Merges what the hub says with what central's row says. `escalated_ms` is the hub's: an acknowledgement older than
/// the last escalation counts on neither side.
pub fn merge(hub: People, central: People, escalated_ms: Option<i64>) -> People {
    let counts = |acknowledged: &(i64, Option<Uuid>)| escalated_ms.is_none_or(|at| acknowledged.0 >= at);
    People {
        acknowledged: earlier(hub.acknowledged.filter(counts), central.acknowledged.filter(counts)),
        resolved: earlier(hub.resolved, central.resolved),
    }
}

/// `alerts.status` after the merge; `hub` is what the hub says, `level` its escalation level.
pub fn status(people: People, hub: &str, level: i64) -> &str {
    if people.resolved.is_some() {
        "resolved"
    } else if people.acknowledged.is_some() {
        "acknowledged"
    } else if matches!(hub, "acknowledged" | "resolved") {
        // The acknowledgement the hub meant no longer counts. Level 1 is the alarm itself; time raises it further.
        if level > 1 { "escalated" } else { "active" }
    } else {
        hub
    }
}

fn earlier<T>(left: Option<(i64, T)>, right: Option<(i64, T)>) -> Option<(i64, T)> {
    match (left, right) {
        (Some(left), Some(right)) => Some(if right.0 < left.0 { right } else { left }),
        (left, right) => left.or(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn people(acknowledged: Option<i64>, resolved: Option<i64>) -> People {
        People { acknowledged: acknowledged.map(|at| (at, None)), resolved: resolved.map(|at| (at, None)) }
    }

    #[track_caller]
    fn check(hub: People, central: People, escalated: Option<i64>, want: People, want_status: &str) {
        let merged = merge(hub, central, escalated);
        assert_eq!(merged, want);
        assert_eq!(status(merged, "acknowledged", 2), want_status);
    }

    #[test]
    fn the_earlier_time_wins_and_an_escalation_voids_what_came_before() {
        let none = people(None, None);
        check(none, none, None, none, "escalated");
        check(people(Some(5), None), people(Some(3), None), None, people(Some(3), None), "acknowledged");
        check(people(Some(3), None), people(Some(5), None), None, people(Some(3), None), "acknowledged");
        check(people(Some(5), None), people(Some(3), None), Some(4), people(Some(5), None), "acknowledged");
        check(people(Some(3), None), people(Some(3), None), Some(4), none, "escalated");
        check(people(Some(4), None), none, Some(4), people(Some(4), None), "acknowledged");
        check(people(Some(5), Some(9)), people(None, Some(7)), None, people(Some(5), Some(7)), "resolved");
    }

    #[test]
    fn what_the_hub_says_stands_when_nobody_acted() {
        assert_eq!(status(People::default(), "active", 0), "active");
        assert_eq!(status(People::default(), "resolved", 1), "active");
    }
}
