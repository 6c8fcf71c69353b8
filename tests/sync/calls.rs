//! Who is called comes from central, and what became of it goes back.

use crate::central::Central;
use crate::kitchen::{COLD, Kitchen, WARM};
use crate::support::modem::{Behaviour, Modem};
use crate::support::{Scratch, wait_for};

const BEN: &str = "+4915198765432";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn central_names_who_is_called_and_hears_what_became_of_it() {
    let central = Central::start().await;
    let desk = Scratch::new("modem");
    let modem = Modem::start(desk.join("modem"), Behaviour { report: Some(0), ..Behaviour::default() });
    let settings =
        format!("[rules]\nconfirm_delay_min = 0\n[notify.modem]\npath = '{}'\n", modem.path().display());
    let mut kitchen = Kitchen::with(&settings).furnish();
    let (_, code) = central.add_hub("Kitchen", &[]);
    kitchen.enrol(&central.receiver.url(), &code, &["--create-units"]);
    central
        .run(&format!(
            "INSERT INTO escalation_contacts (organization_id, name, phone, priority)
             SELECT id, 'Ben', '{BEN}', 0 FROM organizations"
        ))
        .await;
    kitchen.hear_both(0..2, COLD);
    kitchen.hub.wait_status("the contact", |status| (status["people"]["contacts"] == 1).then_some(()));

    kitchen.hear(&[(2, 0, WARM)]);
    let text = wait_for("the SMS", || modem.messages().into_iter().find(|sms| sms.recipient == BEN));
    assert!(text.text.contains("Fridge is too warm"), "{text:?}");
    central
        .wait(
            "the delivery in central",
            &format!(
                "SELECT count(*) = 1 FROM notification_deliveries AS d JOIN alerts AS a ON a.id = d.alert_id
                 WHERE d.channel = 'sms' AND d.recipient = '{BEN}' AND d.status = 'delivered' AND d.retry_count = '0'
                    AND d.sent_at IS NOT NULL AND d.delivered_at >= d.sent_at AND a.severity = 'critical'
                    AND a.escalation_level = 1"
            ),
        )
        .await;

    // Taken centrally: nobody is called any more; then it is over, and Ben hears of it.
    central
        .run("UPDATE alerts SET status = 'acknowledged', acknowledged_at = now() WHERE resolved_at IS NULL")
        .await;
    kitchen.hub.wait_status("the acknowledgement", |status| {
        (status["alerts"][0]["status"] == "acknowledged").then_some(())
    });
    kitchen.hear(&[(3, 0, COLD), (4, 0, COLD)]);
    wait_for("the all-clear", || modem.messages().into_iter().find(|sms| sms.text.contains("OK Fridge")));
    kitchen.wait_sent();
    let rows = central.texts("SELECT status::text FROM notification_deliveries ORDER BY scheduled_at").await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    kitchen.stop();
}
