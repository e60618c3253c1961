//! `/whoami`: the id and the role of the person who asks, and the id of the chat.

use crate::talk::{
    access::Role,
    ask::{Answer, Next},
    verb::{Act, Asker, Verb, erase},
    words::{
        Arg, args,
        format::{code, name},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "whoami",
    usage: "/whoami",
    examples: &[],
    least_role: Role::Viewer,
    read: |rest| rest.end(Whoami).map(erase),
    button: None,
};

struct Whoami;

impl Act for Whoami {
    fn answer(self: Box<Self>, asker: &Asker<'_>) -> Next {
        let Asker { view, person, role, place, thread, .. } = asker;
        let chat = match thread {
            Some(thread) => format!("{}:{thread}", place.chat),
            None => place.chat.to_string(),
        };
        let id = Arg::Html(code(&person.id.to_string()));
        Next::Say(Answer::Page(view.page(vec![
            view.say("whoami", args![who = name(&person.name), id = id]),
            view.say("your-role", args![role = Arg::Html(view.role(*role))]),
            view.say("whoami-chat", args![chat = Arg::Html(code(&chat))]),
        ])))
    }
}

#[cfg(test)]
mod tests {
    use crate::talk::verbs::tests::answers;

    #[test]
    fn a_person_learns_the_ids_to_allow() {
        insta::assert_snapshot!(answers("/whoami"));
    }
}
