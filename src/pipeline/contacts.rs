//! Whom a hub calls that has no central: rows of `escalation_contacts` of its own organization.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use crate::audit::event_types::{CONTACT_ADDED, CONTACT_REMOVED};
use crate::audit::{Actor, Entity};
use crate::control::ContactsAdd;
use crate::store::people::{self, Contact};

use super::people::NAME_CHARS_MAX;
use super::registry::Registry;
use super::{Core, entered};

/// Contacts of a hub that has no central: a kitchen calls a handful.
const CONTACTS_MAX: usize = 50;
/// Of a contact: smaller is called earlier.
const PRIORITY: std::ops::RangeInclusive<i32> = 0..=9;

impl Core {
    pub(super) fn add_contact(&mut self, add: &ContactsAdd) -> Result<Value> {
        self.check_contacts_are_own()?;
        let name = add.name.trim();
        if name.is_empty() || name.chars().count() > NAME_CHARS_MAX || name.chars().any(char::is_control) {
            bail!("a name has 1 to {NAME_CHARS_MAX} characters and no control characters");
        }
        let phone = entered::phone(&add.phone)?;
        let email = add.email.as_deref().map(entered::email).transpose()?;
        if !PRIORITY.contains(&add.priority) {
            bail!("a priority is 0 (called first) to {}", PRIORITY.end());
        }
        self.flush()?;
        let organization = self.place.organization;
        let there = people::contacts(self.store.connection(), organization)?;
        if let Some(other) = there.iter().find(|contact| contact.phone == phone) {
            bail!("{phone} is the number of {} already", other.name);
        }
        if there.len() >= CONTACTS_MAX {
            bail!("a hub holds at most {CONTACTS_MAX} contacts");
        }
        let stamp = self.stamp_now();
        let now_ms = self.wall_of(stamp).0.0;
        let id = self.new_id(stamp);
        let contact = Contact { id, name: name.to_owned(), phone, email, priority: add.priority };
        self.store.write(|tx| Ok(people::insert_contact(tx, organization, &contact, now_ms)?))?;
        self.registry = Registry::load(self.store.connection(), self.place)?;
        // Not the number: what stands in the chain stays there for good.
        let fields =
            [("id", id.to_string().into()), ("name", name.into()), ("priority", add.priority.into())];
        self.note_by(Actor::Installer, CONTACT_ADDED, Entity::Site, fields, stamp.mono);
        self.flush()?;
        Ok(json!({ "said": format!("{name} is called at {} now", contact.phone), "id": id }))
    }

    pub(super) fn list_contacts(&self) -> Result<Value> {
        let contacts = people::contacts(self.store.connection(), self.place.organization)?;
        Ok(json!({ "contacts": contacts }))
    }

    pub(super) fn remove_contact(&mut self, named: &str) -> Result<Value> {
        self.check_contacts_are_own()?;
        self.flush()?;
        let phone = entered::phone(named).ok();
        let mut found = people::contacts(self.store.connection(), self.place.organization)?;
        found.retain(|contact| {
            contact.name == named.trim()
                || Some(&contact.phone) == phone.as_ref()
                || contact.id.to_string() == named
        });
        let [contact] = &found[..] else {
            match found.len() {
                0 => bail!("no contact {named:?}: `frostguard-hub contacts list` shows them"),
                many => bail!("{many} contacts are named {named:?}: give the phone number"),
            }
        };
        let stamp = self.stamp_now();
        self.store.write(|tx| Ok(people::remove_contact(tx, contact.id)?))?;
        self.registry = Registry::load(self.store.connection(), self.place)?;
        let fields = [("id", contact.id.to_string().into()), ("name", contact.name.clone().into())];
        self.note_by(Actor::Installer, CONTACT_REMOVED, Entity::Site, fields, stamp.mono);
        self.flush()?;
        Ok(json!({ "said": format!("{} is not called any more", contact.name) }))
    }

    fn check_contacts_are_own(&self) -> Result<()> {
        if self.is_enrolled()? {
            bail!(
                "this hub is enrolled: contacts are kept in the central product and come down by themselves"
            );
        }
        Ok(())
    }
}
