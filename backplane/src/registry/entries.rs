//! The rules of one user's entries, without clock, lock or storage: they change by comparing stamps, and only so.

use doorbell_protocol::{GatewayId, Stamp};

use super::Entry;

/// One user's entries: at most one a gateway, in the order of the gateways' names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries(Vec<Entry>);

/// What an enter did to a user's entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// A new entry.
    Added,
    /// The gateway's entry has a greater stamp now, instead of this one.
    Raised(Stamp),
    /// The entry there is as great or greater: nothing changed.
    Kept,
}

impl Entries {
    /// Enters or raises the gateway's entry; a stamp that is not greater changes nothing.
    pub fn place(&mut self, entry: Entry) -> Placed {
        match self.0.binary_search_by(|own| own.gateway.cmp(&entry.gateway)) {
            Ok(at) if self.0[at].stamp < entry.stamp => {
                let before = std::mem::replace(&mut self.0[at].stamp, entry.stamp);
                Placed::Raised(before)
            }
            Ok(_) => Placed::Kept,
            Err(at) => {
                self.0.insert(at, entry);
                Placed::Added
            }
        }
    }

    /// Removes the gateway's entry if its stamp is not greater than `up_to`; answers the entry's own stamp.
    pub fn remove(&mut self, gateway: &GatewayId, up_to: Stamp) -> Option<Stamp> {
        let at = self.0.iter().position(|own| own.gateway == *gateway && own.stamp <= up_to)?;
        Some(self.0.remove(at).stamp)
    }

    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Entry] {
        &self.0
    }

    /// Whether the user has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use doorbell_protocol::{Epoch, Generation};

    use super::*;

    fn stamp(epoch: u64, generation: u64) -> Stamp {
        Stamp { epoch: Epoch(epoch), generation: Generation(generation) }
    }

    fn entry(gateway: &str, epoch: u64, generation: u64) -> Entry {
        Entry { gateway: GatewayId::new(gateway).unwrap(), stamp: stamp(epoch, generation) }
    }

    #[test]
    fn only_a_greater_stamp_replaces_an_entry() {
        let cases = [
            ((2, 2), Placed::Kept),
            ((2, 1), Placed::Kept),
            ((1, 9), Placed::Kept),
            ((2, 3), Placed::Raised(stamp(2, 2))),
            ((3, 1), Placed::Raised(stamp(2, 2))),
        ];
        for ((epoch, generation), expected) in cases {
            let mut entries = Entries::default();
            assert_eq!(entries.place(entry("g", 2, 2)), Placed::Added);
            assert_eq!(entries.place(entry("g", epoch, generation)), expected);
            let kept = stamp(2, 2).max(stamp(epoch, generation));
            assert_eq!(entries.as_slice().iter().map(|e| e.stamp).collect::<Vec<_>>(), [kept]);
        }
    }

    #[test]
    fn only_a_stamp_that_is_not_smaller_removes_an_entry() {
        let cases = [((2, 2), true), ((2, 3), true), ((3, 0), true), ((2, 1), false), ((1, 9), false)];
        for ((epoch, generation), removes) in cases {
            let mut entries = Entries::default();
            entries.place(entry("g", 2, 2));
            let removed = entries.remove(&GatewayId::new("g").unwrap(), stamp(epoch, generation));
            assert_eq!(removed, removes.then_some(stamp(2, 2)), "{epoch}.{generation}");
            assert_eq!(entries.is_empty(), removes);
        }
    }

    #[test]
    fn gateways_do_not_touch_each_other() {
        let mut entries = Entries::default();
        entries.place(entry("b", 1, 1));
        entries.place(entry("a", 1, 1));

        entries.place(entry("b", 9, 9));
        entries.remove(&GatewayId::new("c").unwrap(), stamp(9, 9));

        assert_eq!(entries.as_slice(), [entry("a", 1, 1), entry("b", 9, 9)]);
    }
}
