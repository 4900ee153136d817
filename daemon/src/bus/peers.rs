//! Who may see transcripts: root, the daemon's own user, and one configured group. The one guard of the bus layer.

use super::errors::Error;
use std::sync::Mutex;
use zbus::Connection;
use zbus::fdo::DBusProxy;
use zbus::names::{BusName, OwnedUniqueName, UniqueName};

/// More subscribers than any vehicle has programs; a bound, so that nobody can fill the memory.
const MOST: usize = 32;

/// The peers that asked for transcripts and may have them.
#[derive(Debug, Default)]
pub struct Peers {
    names: Mutex<Vec<OwnedUniqueName>>,
}

impl Peers {
    /// Adds a peer after checking who it is.
    ///
    /// # Errors
    /// [`Error::AccessDenied`] for anyone but root, the daemon's user and members of `group`.
    pub async fn admit(
        &self,
        connection: &Connection,
        peer: &UniqueName<'_>,
        group: &str,
    ) -> Result<(), Error> {
        let bus = DBusProxy::new(connection).await?;
        let who = bus
            .get_connection_credentials(BusName::from(peer.to_owned()))
            .await
            .map_err(zbus::Error::from)?;
        let uid = who.unix_user_id();
        let groups = who.unix_group_ids().cloned().unwrap_or_default();
        if !may_see(uid, &groups, group) {
            return Err(Error::AccessDenied(format!(
                "transcripts go only to root, to the daemon's own user and to members of group \"{group}\": \
                 add the caller's user to it, or set bus.transcripts_group"
            )));
        }
        self.forget_the_gone(&bus).await;
        self.add(OwnedUniqueName::from(peer.to_owned()))
    }

    /// Unique names are never used twice, so a peer that went without a word costs nothing until the next one comes.
    async fn forget_the_gone(&self, bus: &DBusProxy<'_>) {
        for name in self.list() {
            if let Ok(false) = bus
                .name_has_owner(BusName::from(name.as_ref().to_owned()))
                .await
            {
                self.dismiss(name.as_str());
            }
        }
    }

    /// Forgets a peer; true if it was one.
    pub fn dismiss(&self, peer: &str) -> bool {
        let mut names = self.lock();
        let before = names.len();
        names.retain(|name| name.as_str() != peer);
        names.len() != before
    }

    /// Forgets all peers: after a restart of the bus their names mean nothing.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// The peers now.
    #[must_use]
    pub fn list(&self) -> Vec<OwnedUniqueName> {
        self.lock().clone()
    }

    fn add(&self, peer: OwnedUniqueName) -> Result<(), Error> {
        let mut names = self.lock();
        if names.contains(&peer) {
            return Ok(());
        }
        if names.len() >= MOST {
            return Err(Error::Failed(format!(
                "{MOST} subscribers are registered already: Unsubscribe one first"
            )));
        }
        names.push(peer);
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<OwnedUniqueName>> {
        self.names
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn may_see(uid: Option<u32>, groups: &[u32], group: &str) -> bool {
    // SAFETY: geteuid has no preconditions and cannot fail.
    let own = unsafe { libc::geteuid() };
    let by_user = uid.is_some_and(|uid| uid == 0 || uid == own);
    let members = std::fs::read_to_string("/etc/group")
        .ok()
        .and_then(|text| group_id(&text, group));
    by_user || members.is_some_and(|gid| groups.contains(&gid))
}

/// The id of a group in the text of `/etc/group`.
fn group_id(text: &str, group: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(group)).then(|| fields.nth(1)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_whole_name() {
        let text = "root:x:0:\nvocar-transcripts:x:977:alice,bob\nvocar:x:978:\nbroken\n";
        assert_eq!(group_id(text, "vocar"), Some(978));
        assert_eq!(group_id(text, "vocar-transcripts"), Some(977));
        assert_eq!(group_id(text, "voc"), None);
        assert_eq!(group_id(text, "broken"), None);
    }

    #[test]
    fn strangers_see_nothing() {
        assert!(may_see(Some(0), &[], "nosuchgroup"));
        assert!(!may_see(Some(65_533), &[65_533], "nosuchgroup"));
        assert!(!may_see(None, &[], "root"));
        assert!(may_see(None, &[0], "root"));
    }

    #[test]
    fn the_list_is_bounded() {
        let peers = Peers::default();
        for n in 0..MOST {
            peers
                .add(OwnedUniqueName::try_from(format!(":1.{n}")).unwrap())
                .unwrap();
        }
        peers
            .add(OwnedUniqueName::try_from(":1.0").unwrap())
            .unwrap();
        assert!(
            peers
                .add(OwnedUniqueName::try_from(":1.99").unwrap())
                .is_err()
        );
        assert!(peers.dismiss(":1.3") && !peers.dismiss(":1.3"));
    }
}
