//! A publish to what the pipeline is told of it.

use rumqttc::Publish;

use crate::codec::Codecs;
use crate::config::MqttSection;
use crate::counters::Counters;
use crate::domain::MonoMs;
use crate::frame::{AckToken, MqttPacket, SourceEvent};
use crate::source::shapes;

/// What is kept of a refused message, to see what it was.
const REFUSED_BYTES_MAX: usize = 1024;
/// What is kept of its topic, which may have 65,535 bytes.
const REFUSED_TOPIC_CHARS_MAX: usize = 256;

/// How a publish came.
pub struct Delivery<'a> {
    pub config: &'a MqttSection,
    pub codecs: &'a Codecs,
    pub at: MonoMs,
    /// None at QoS 0.
    pub ack: Option<AckToken>,
}

/// Every publish gives one event, so that every one is acknowledged.
pub fn event_of(delivery: &Delivery, publish: &Publish, counters: &Counters) -> SourceEvent {
    let name = &delivery.config.name;
    counters.add("mqtt.messages", name, 1);
    if publish.dup {
        counters.add("mqtt.redelivered", name, 1);
    }
    if shapes::is_chatter(delivery.config.kind, &publish.topic) {
        counters.add("mqtt.ignored", name, 1);
        return SourceEvent::Ignored { ack: delivery.ack };
    }
    match understand(delivery, publish) {
        Ok(event) => event,
        Err(refusal) => {
            counters.add(refusal.counter, name, 1);
            let kept = publish.payload.len().min(REFUSED_BYTES_MAX);
            let topic: String = publish.topic.chars().take(REFUSED_TOPIC_CHARS_MAX).collect();
            SourceEvent::Refused {
                port: name.clone(),
                reason: format!("{topic}: {}", refusal.reason),
                bytes: publish.payload[..kept].to_vec(),
                at: delivery.at,
                ack: delivery.ack,
            }
        }
    }
}

struct Refusal {
    counter: &'static str,
    reason: String,
}

fn understand(delivery: &Delivery, publish: &Publish) -> Result<SourceEvent, Refusal> {
    let refuse = |counter, reason: &str| Err(Refusal { counter, reason: reason.to_owned() });
    if publish.retain {
        // It tells what was, at a time nobody knows.
        return refuse("mqtt.retained", "a retained message is no reading");
    }
    if !delivery.config.topics().iter().any(|filter| matches(filter, &publish.topic)) {
        return refuse(
            "mqtt.unsubscribed",
            "not subscribed; the broker remembers an earlier subscription of this client id",
        );
    }
    let mut frame = shapes::frame_of(
        delivery.config.kind,
        &delivery.config.name,
        &publish.topic,
        &publish.payload,
        delivery.at,
        delivery.codecs,
    )
    .map_err(|reason| Refusal { counter: "mqtt.not_understood", reason })?;
    frame.ack = delivery.ack;
    frame.identity.packet = delivery.ack.map(|_| MqttPacket {
        id: publish.pkid,
        topic: publish.topic.clone(),
        is_redelivered: publish.dup,
    });
    Ok(SourceEvent::Frame(Box::new(frame)))
}

/// MQTT 3.1.1, 4.7: whether a topic falls under a filter.
fn matches(filter: &str, topic: &str) -> bool {
    // Brokers do not deliver their own topics ($SYS) to a filter that begins with a wildcard.
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut levels = topic.split('/');
    for wanted in filter.split('/') {
        match (wanted, levels.next()) {
            // Also the level above: `a/#` takes `a`.
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (wanted, Some(level)) if wanted == level => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: &str, topic: &str, payload: &str) -> (SourceEvent, Counters) {
        let text = format!("name = 'b'\nurl = 'mqtt://b'\nkind = '{kind}'");
        let config: MqttSection = toml::from_str(&text).unwrap();
        let ack = Some(AckToken { source: 1, connection: 1, message: 7 });
        let publish = Publish::new(topic, rumqttc::QoS::AtLeastOnce, payload);
        let counters = Counters::default();
        let delivery = Delivery { config: &config, codecs: &Codecs::default(), at: MonoMs(0), ack };
        (event_of(&delivery, &publish, &counters), counters)
    }

    #[test]
    fn the_kinds_own_filters_take_what_their_shapes_understand() {
        let eui = "0102030405060708";
        let state = r#"{"temperature":4.2}"#;
        let status = r#"{"batteryLevel":80.0}"#;
        for (kind, topic, payload) in [
            ("zigbee2mqtt", "zigbee2mqtt/walk-in", state),
            ("zigbee2mqtt", "zigbee2mqtt/kitchen/walk-in", state),
            ("chirpstack-v4", &format!("application/1/device/{eui}/event/status"), status),
            ("chirpstack-v3", &format!("application/1/device/{eui}/event/status"), status),
        ] {
            let (event, _) = event(kind, topic, payload);
            assert!(matches!(event, SourceEvent::Frame(_)), "{kind} {topic}: {event:?}");
        }
    }

    #[test]
    fn what_a_bridge_says_about_itself_is_acknowledged_and_not_kept() {
        let (said, counters) = event("zigbee2mqtt", "zigbee2mqtt/bridge/logging", r#"{"level":"info"}"#);
        assert!(matches!(said, SourceEvent::Ignored { ack: Some(_) }), "{said:?}");
        assert_eq!(counters.snapshot().get("mqtt.ignored{b}"), Some(&1));
        let long = format!("zigbee2mqtt/{}/set", "x".repeat(60_000));
        let (SourceEvent::Refused { reason, .. }, _) = event("zigbee2mqtt", &long, "{}") else {
            panic!("is refused")
        };
        assert!(reason.len() < 400, "{} bytes of a topic are kept", reason.len());
    }

    #[test]
    fn topics_match_filters() {
        for (filter, topic, want) in [
            ("a/+/c", "a/b/c", true),
            ("a/+/c", "a/b/d", false),
            ("a/+", "a/b/c", false),
            ("a/+", "a/", true),
            ("a/#", "a/b/c", true),
            ("a/#", "a", true),
            ("#", "a/b", true),
            ("#", "$SYS/x", false),
            ("a", "a/b", false),
            ("zigbee2mqtt/+", "zigbee2mqtt/Kühlraum", true),
            ("+/x", "é/x", true),
        ] {
            assert_eq!(matches(filter, topic), want, "{filter} {topic}");
        }
    }
}
