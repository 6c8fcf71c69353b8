use uuid::Uuid;

/// The topics of one hub at one broker.
///
/// | topic | retained | payload |
/// |---|---|---|
/// | `<prefix>/<hub>/availability` | yes | `online`, `offline` |
/// | `<prefix>/<hub>/kitchen` | yes | the highest alert, who is called, the open alerts |
/// | `<prefix>/<hub>/units/<unit's UUID>` | yes | status, temperature, humidity, door |
/// | `<prefix>/<hub>/event` | no | each message, as webhooks carry it, and `event_type` |
/// | `<discovery prefix>/<component>/<hub>/<entity>/config` | yes | Home Assistant's discovery |
///
/// `<hub>` is the client id, which must be the hub's alone at a broker anyway.
#[derive(Clone, Debug)]
pub struct Names {
    base: String,
    /// None: no discovery.
    discovery: Option<String>,
    hub: String,
}

impl Names {
    /// An empty `discovery_prefix`: no discovery.
    pub fn new(prefix: &str, discovery_prefix: &str, client_id: &str) -> Self {
        let hub = segment(client_id);
        let discovery = Some(discovery_prefix.to_owned()).filter(|prefix| !prefix.is_empty());
        Self { base: format!("{prefix}/{hub}"), discovery, hub }
    }

    pub fn availability(&self) -> String {
        format!("{}/availability", self.base)
    }

    pub fn kitchen(&self) -> String {
        format!("{}/kitchen", self.base)
    }

    pub fn unit(&self, id: Uuid) -> String {
        format!("{}/units/{id}", self.base)
    }

    pub fn event(&self) -> String {
        format!("{}/event", self.base)
    }

    pub fn hub(&self) -> &str {
        &self.hub
    }

    pub fn discovery(&self) -> Option<&str> {
        self.discovery.as_deref()
    }

    /// Where Home Assistant says that it has started.
    pub fn birth(&self) -> Option<String> {
        self.discovery().map(|prefix| format!("{prefix}/status"))
    }

    /// Filters of what this hub may have left at the broker before it was started: topics of units that are gone.
    pub fn leftovers(&self) -> Vec<String> {
        let states = format!("{}/units/+", self.base);
        let configs = self.discovery().map(|prefix| format!("{prefix}/+/{}/+/config", self.hub));
        [Some(states), configs].into_iter().flatten().collect()
    }
}

/// Home Assistant takes letters, digits, dashes and underscores in ids.
fn segment(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '-' };
    text.chars().map(plain).collect()
}
