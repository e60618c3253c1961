//! Which menu of commands stands where: with what the role of its readers may do, in the language of their answers.

use super::{
    Language,
    access::{Lists, Role},
};

/// Each person takes two calls to Telegram at the start, so with long lists the last ones get everybody's menu.
const PEOPLE_MAX: usize = 20;

/// Who sees a menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MenuScope {
    Everybody,
    /// Everybody in a chat, or one person in private.
    Chat(i64),
    /// The administrators of a group.
    AdminsOf(i64),
    Member {
        chat: i64,
        person: i64,
    },
}

/// A menu of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Menu {
    pub scope: MenuScope,
    /// Only for those whose Telegram is in this language; `None` for all the others.
    pub readers: Option<Language>,
    pub language: Language,
    /// It has the commands of this role.
    pub role: Role,
}

/// Returns every menu. `language_of` tells the language of the first of some people and chats that chose one.
#[must_use]
pub fn menus(lists: &Lists, default: Language, language_of: impl Fn(&[i64]) -> Language) -> Vec<Menu> {
    let menu = |scope, role, of: &[i64]| Menu { scope, readers: None, language: language_of(of), role };
    let everybody = |readers: Option<Language>| Menu {
        scope: MenuScope::Everybody,
        readers,
        language: readers.unwrap_or(default),
        role: Role::Viewer,
    };
    let group = lists.chat.filter(|chat| *chat < 0);
    let mut menus = vec![everybody(None)];
    menus.extend(Language::ALL.map(Some).map(everybody));
    menus.extend(group.map(|chat| menu(MenuScope::Chat(chat), Role::Viewer, &[chat])));
    if lists.are_empty() {
        menus.extend(lists.chat.map(|chat| {
            let scope = if chat < 0 { MenuScope::AdminsOf(chat) } else { MenuScope::Chat(chat) };
            menu(scope, Role::Admin, &[chat])
        }));
    }
    let chose = |person: &i64| language_of(&[*person]) != default;
    let admins = lists.admins.iter().map(|person| (*person, Role::Admin));
    let operators = lists.operators.difference(&lists.admins).map(|person| (*person, Role::Operator));
    let viewers =
        lists.viewers.iter().filter(|it| !lists.admins.contains(it) && !lists.operators.contains(it));
    // The others see everybody's.
    let viewers = viewers.filter(|person| chose(person)).map(|person| (*person, Role::Viewer));
    for (person, role) in admins.chain(operators).chain(viewers).take(PEOPLE_MAX) {
        menus.push(menu(MenuScope::Chat(person), role, &[person]));
        menus.extend(group.map(|chat| menu(MenuScope::Member { chat, person }, role, &[person, chat])));
    }
    menus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_has_its_menu_in_the_language_of_its_answers() {
        let lists =
            Lists { admins: [1].into(), operators: [1, 2].into(), viewers: [3, 4].into(), chat: Some(-100) };
        let language_of =
            |ids: &[i64]| if ids.iter().any(|id| [2, 4].contains(id)) { Language::Ru } else { Language::En };
        let shown = menus(&lists, Language::En, language_of).into_iter().map(|menu| format!("{menu:?}"));
        insta::assert_snapshot!(shown.collect::<Vec<_>>().join("\n"));
    }

    #[test]
    fn without_lists_the_chat_itself_says_who_is_admin() {
        let scopes = |chat| {
            let lists = Lists { chat, ..Lists::default() };
            let all = menus(&lists, Language::En, |_| Language::En).into_iter();
            all.filter(|menu| menu.role == Role::Admin).map(|menu| menu.scope).collect::<Vec<_>>()
        };
        assert_eq!(scopes(Some(-100)), [MenuScope::AdminsOf(-100)]);
        assert_eq!(scopes(Some(7)), [MenuScope::Chat(7)]);
        assert_eq!(scopes(None), []);
    }

    #[test]
    fn the_number_of_menus_is_bounded() {
        let lists = Lists { admins: (1..1000).collect(), chat: Some(-100), ..Lists::default() };
        assert!(menus(&lists, Language::En, |_| Language::En).len() <= 2 * PEOPLE_MAX + 5);
    }
}
