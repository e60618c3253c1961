//! Who may do what: one table. Pure; by numeric user id, never by name or by chat alone.

use std::collections::BTreeSet;

use crate::model::Person;

/// What a person may do; each role may do all that the ones before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Looks.
    Viewer,
    /// Also proposes, approves, rejects, cancels, excludes and pauses.
    Operator,
    /// Also ends a dry run and changes the mode.
    Admin,
}

/// Telegram's stand-in for an administrator who hides behind the group.
pub const ANONYMOUS_ADMIN: i64 = 1_087_968_824;
/// Telegram's stand-in for a person who writes as a channel.
const CHANNEL_BOT: i64 = 136_817_688;
/// Telegram's own account, which forwards the posts of a linked channel.
const TELEGRAM: i64 = 777_000;

/// Who wrote or pressed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    Person(Person),
    /// An administrator whom Telegram shows without a name.
    AnonymousAdmin,
    /// A channel, or the chat that speaks for somebody.
    Channel(i64),
}

/// Where it was written or pressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub chat: i64,
    pub private: bool,
}

/// Who is listed, and which chat is configured (already followed where the group moved).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lists {
    pub admins: BTreeSet<i64>,
    pub operators: BTreeSet<i64>,
    pub viewers: BTreeSet<i64>,
    pub chat: Option<i64>,
}

/// The administrators of a group as Telegram has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChatAdmins {
    Known(BTreeSet<i64>),
    /// Telegram did not say; nobody is more than a viewer until it does.
    Unknown,
}

/// Why somebody has no role here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stranger {
    AnonymousAdmin,
    Channel(i64),
    /// Lists are set and this person is on none.
    NotListed(i64),
    /// Neither the configured chat nor the private chat of somebody listed.
    OtherChat {
        chat: i64,
        person: i64,
    },
}

impl Sender {
    /// Tells a person from those that only look like one. `speaks_for` is the chat that the message is sent as.
    #[must_use]
    pub fn new(person: Option<Person>, speaks_for: Option<i64>, chat: i64) -> Self {
        match (speaks_for, person) {
            (Some(channel), _) if channel != chat => Self::Channel(channel),
            (Some(_), _) => Self::AnonymousAdmin,
            (None, Some(person)) if person.id == ANONYMOUS_ADMIN => Self::AnonymousAdmin,
            (None, Some(person)) if person.id == CHANNEL_BOT || person.id == TELEGRAM => {
                Self::Channel(person.id)
            }
            (None, Some(person)) => Self::Person(person),
            (None, None) => Self::Channel(chat),
        }
    }

    /// Returns the id by which this sender is counted and audited.
    #[must_use]
    pub fn id(&self) -> i64 {
        match self {
            Self::Person(person) => person.id,
            Self::AnonymousAdmin => ANONYMOUS_ADMIN,
            Self::Channel(id) => *id,
        }
    }
}

impl Lists {
    /// Tells whether nobody is listed: then the chat itself decides.
    #[must_use]
    pub fn are_empty(&self) -> bool {
        self.admins.is_empty() && self.operators.is_empty() && self.viewers.is_empty()
    }

    /// Tells whether roles in this place come from Telegram's own administrators.
    #[must_use]
    pub fn need_chat_admins(&self, place: Place) -> bool {
        self.are_empty() && !place.private && self.chat == Some(place.chat)
    }

    fn listed_role(&self, person: i64) -> Option<Role> {
        [(Role::Admin, &self.admins), (Role::Operator, &self.operators), (Role::Viewer, &self.viewers)]
            .into_iter()
            .find(|(_, list)| list.contains(&person))
            .map(|(role, _)| role)
    }
}

/// Returns the role of the person who wrote or pressed there.
///
/// # Errors
///
/// Says why there is none.
pub fn role_of(
    sender: &Sender,
    place: Place,
    chat_admins: &ChatAdmins,
    lists: &Lists,
) -> Result<Role, Stranger> {
    let person = match sender {
        Sender::AnonymousAdmin => return Err(Stranger::AnonymousAdmin),
        Sender::Channel(id) => return Err(Stranger::Channel(*id)),
        Sender::Person(person) => person.id,
    };
    let configured = lists.chat == Some(place.chat);
    if lists.are_empty() {
        return match (configured, place.private) {
            (true, true) => Ok(Role::Admin),
            (true, false) => Ok(chat_admins.role_of(person)),
            (false, _) => Err(Stranger::OtherChat { chat: place.chat, person }),
        };
    }
    match lists.listed_role(person) {
        Some(role) if configured || place.private => Ok(role),
        Some(_) => Err(Stranger::OtherChat { chat: place.chat, person }),
        None if configured => Err(Stranger::NotListed(person)),
        None => Err(Stranger::OtherChat { chat: place.chat, person }),
    }
}

impl ChatAdmins {
    fn role_of(&self, person: i64) -> Role {
        match self {
            Self::Known(admins) if admins.contains(&person) => Role::Admin,
            Self::Known(_) | Self::Unknown => Role::Viewer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: Place = Place { chat: -100, private: false };

    #[test]
    fn without_lists_the_owner_of_the_configured_private_chat_is_admin() {
        let lists = Lists { chat: Some(7), ..Lists::default() };
        let own = Place { chat: 7, private: true };
        assert_eq!(role_of(&person(7), own, &ChatAdmins::Unknown, &lists), Ok(Role::Admin));
        let other = Place { chat: 8, private: true };
        assert_eq!(
            role_of(&person(8), other, &ChatAdmins::Unknown, &lists),
            Err(Stranger::OtherChat { chat: 8, person: 8 })
        );
    }

    #[test]
    fn without_lists_a_group_is_ruled_by_its_administrators() {
        let lists = Lists { chat: Some(-100), ..Lists::default() };
        let admins = ChatAdmins::Known(BTreeSet::from([1]));
        assert!(lists.need_chat_admins(GROUP));
        assert_eq!(role_of(&person(1), GROUP, &admins, &lists), Ok(Role::Admin));
        assert_eq!(role_of(&person(2), GROUP, &admins, &lists), Ok(Role::Viewer));
        assert_eq!(role_of(&person(1), GROUP, &ChatAdmins::Unknown, &lists), Ok(Role::Viewer));
    }

    #[test]
    fn with_any_list_only_the_listed_have_a_role() {
        let lists = listed_role();
        let admins = ChatAdmins::Known(BTreeSet::from([9]));
        assert!(!lists.need_chat_admins(GROUP));
        for (id, role) in [(1, Role::Admin), (2, Role::Operator), (3, Role::Viewer)] {
            assert_eq!(role_of(&person(id), GROUP, &admins, &lists), Ok(role));
            let own = Place { chat: id, private: true };
            assert_eq!(role_of(&person(id), own, &admins, &lists), Ok(role));
            let elsewhere = Place { chat: -200, private: false };
            assert_eq!(
                role_of(&person(id), elsewhere, &admins, &lists),
                Err(Stranger::OtherChat { chat: -200, person: id })
            );
        }
        assert_eq!(role_of(&person(9), GROUP, &admins, &lists), Err(Stranger::NotListed(9)));
    }

    #[test]
    fn somebody_on_two_lists_has_the_higher_role() {
        let mut lists = listed_role();
        lists.viewers.insert(1);
        assert_eq!(role_of(&person(1), GROUP, &ChatAdmins::Unknown, &lists), Ok(Role::Admin));
    }

    #[test]
    fn nobody_hides_behind_a_group_or_a_channel_even_when_listed() {
        let mut lists = listed_role();
        lists.admins.extend([ANONYMOUS_ADMIN, -300, CHANNEL_BOT, TELEGRAM]);
        let who = |person, speaks_for| {
            role_of(&Sender::new(person, speaks_for, -100), GROUP, &ChatAdmins::Unknown, &lists)
        };
        assert_eq!(who(Some(named(ANONYMOUS_ADMIN)), None), Err(Stranger::AnonymousAdmin));
        assert_eq!(who(Some(named(ANONYMOUS_ADMIN)), Some(-100)), Err(Stranger::AnonymousAdmin));
        assert_eq!(who(Some(named(CHANNEL_BOT)), Some(-300)), Err(Stranger::Channel(-300)));
        assert_eq!(who(Some(named(TELEGRAM)), None), Err(Stranger::Channel(TELEGRAM)));
        assert_eq!(who(None, None), Err(Stranger::Channel(-100)));
    }

    fn listed_role() -> Lists {
        Lists {
            admins: BTreeSet::from([1]),
            operators: BTreeSet::from([2]),
            viewers: BTreeSet::from([3]),
            chat: Some(-100),
        }
    }

    fn person(id: i64) -> Sender {
        Sender::new(Some(named(id)), None, -100)
    }

    fn named(id: i64) -> Person {
        Person { id, name: format!("person {id}") }
    }
}
