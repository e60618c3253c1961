//! `/lang [en|ru|default] [chat]`: the language of the answers to one person, or of a chat.

use crate::talk::{
    Language,
    access::Role,
    ask::{Answer, Ask, Next, Spoken, Then, Whose},
    grammar::{Problem, Rest},
    verb::{Act, Asker, ButtonKind, Verb, erase},
    view::{Button, Page, View},
    words::{Arg, args},
};

pub(super) static VERB: Verb = Verb {
    word: "lang",
    usage: "/lang [en|ru|default] [chat]",
    examples: &["/lang ru", "/lang ru chat"],
    least_role: Role::Viewer,
    read: |rest| Speak::read(rest).map(erase),
    button: Some(ButtonKind { mark: "lang", read: |rest| Press::read(rest).map(erase) }),
};

/// What is asked: to look where nothing is chosen.
#[derive(Debug, PartialEq, Eq)]
struct Speak {
    whose: Whose,
    /// `Some(None)` takes a choice back.
    chosen: Option<Option<Language>>,
}

/// A button with a language: for the person who presses.
struct Press(Language);

impl Speak {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let chosen = rest.next_of(&["en", "ru", "default"])?.map(Language::from_code);
        let whose = if chosen.is_some() { rest.next_of(&["chat"])? } else { None };
        let whose = whose.map_or(Whose::Person, |_| Whose::Chat);
        rest.end(Self { whose, chosen })
    }
}

impl Press {
    fn read(rest: &str) -> Option<Self> {
        Language::from_code(rest).map(Self)
    }
}

impl Act for Speak {
    /// The language of a chat is everybody's there.
    fn least_role(&self, usual: Role) -> Role {
        match self.whose {
            Whose::Person => usual,
            Whose::Chat => Role::Admin,
        }
    }

    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let choice = self.chosen.map(|language| (self.whose, language));
        let then = Then::new(|spoken: Spoken, view: &View, _| Answer::Page(page(view, spoken)));
        Next::Ask(Ask::Language(choice, then))
    }
}

impl Act for Press {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|spoken: Spoken, view: &View, _| Answer::Rewrite(page(view, spoken)));
        Next::Ask(Ask::Language(Some((Whose::Person, Some(self.0))), then))
    }
}

fn page(view: &View, spoken: Spoken) -> Page {
    let Spoken { person, chat, default } = spoken;
    let named = |language: Language| Arg::Html(own_name(language));
    let line = |key, language: Option<Language>| match language {
        Some(language) => view.say(key, args![language = named(language)]),
        None => view.say(key, args![language = Arg::Html(view.say("lang-not-chosen", args![]))]),
    };
    let lines = vec![
        line("lang-yours", person),
        line("lang-of-chat", chat),
        view.say("lang-default", args![language = named(default)]),
        view.say("lang-how", args![]),
    ];
    let button =
        |language: Language| Button { label: own_name(language), data: format!("lang:{}", language.code()) };
    view.page(lines).with_row(Language::ALL.map(button).into())
}

/// Each language's own name, so that a person who cannot read the present language finds theirs.
fn own_name(language: Language) -> String {
    language.say("lang-name", args![])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::{answers, problem, read};

    #[test]
    fn a_person_chooses_for_answers_and_an_admin_for_the_chat() {
        let role = |text: &str| {
            let (verb, act) = read(text);
            act.least_role(verb.least_role)
        };
        assert_eq!([role("/lang"), role("/lang ru"), role("/lang default")], [Role::Viewer; 3]);
        assert_eq!([role("/lang ru chat"), role("/lang default chat")], [Role::Admin; 2]);
        assert!(matches!(problem("/lang de"), Problem::NotOneOf { .. }));
        assert!(matches!(problem("/lang ru all"), Problem::NotOneOf { .. }));
    }

    #[test]
    fn what_holds_for_the_person_and_the_chat_is_said() {
        insta::assert_snapshot!(["/lang", "/lang ru", "/lang ru chat"].map(answers).join("\n"));
    }
}
