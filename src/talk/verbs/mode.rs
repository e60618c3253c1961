//! `/mode [off|propose|auto]`: what a cycle does.

use crate::{
    scheduler::{Change, Status},
    store::Mode,
    talk::{
        access::Role,
        ask::{Answer, Ask, Next, Then},
        grammar::{Problem, Rest},
        verb::{Act, Asker, Verb, erase},
        view::View,
        words::{Arg, args},
    },
};

pub(super) static VERB: Verb = Verb {
    word: "mode",
    usage: "/mode [off|propose|auto]",
    examples: &["/mode", "/mode propose"],
    least_role: Role::Admin,
    read: |rest| SetMode::read(rest).map(erase),
    button: None,
};

struct SetMode {
    wanted: Option<Mode>,
}

impl SetMode {
    fn read(mut rest: Rest) -> Result<Self, Problem> {
        let wanted = rest.next_of(&["off", "propose", "auto"])?.map(|word| match word {
            "off" => Mode::Off,
            "auto" => Mode::Auto,
            _ => Mode::Propose,
        });
        rest.end(Self { wanted })
    }
}

impl Act for SetMode {
    /// Everybody may see which mode is in force.
    fn least_role(&self, usual: Role) -> Role {
        self.wanted.map_or(Role::Viewer, |_| usual)
    }

    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        Next::Ask(match self.wanted {
            None => Ask::Status(Then::new(|status: Status, view, now| {
                let mode = view.say("status-mode", args![mode = Arg::Html(view.mode(status.mode))]);
                let pause = status.pause.as_ref().map(|pause| view.pause_lines(pause, now));
                Answer::Page(view.page(std::iter::once(mode).chain(pause.into_iter().flatten()).collect()))
            })),
            Some(mode) => Ask::Change(
                Change::Mode(mode),
                Then::new(move |(changed, _), view: &View, _| {
                    let line = view.say("setting-mode", args![mode = Arg::Html(view.mode(mode))]);
                    Answer::Page(view.change_answer(&changed, line))
                }),
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::{answers, problem};

    #[test]
    fn the_mode_is_shown_and_changed() {
        insta::assert_snapshot!(["/mode", "/mode auto"].map(answers).join("\n"));
    }

    #[test]
    fn a_slip_of_the_finger_gets_a_suggestion() {
        let expected = &["off", "propose", "auto"];
        let similar = Some("propose");
        assert_eq!(problem("/mode propse"), Problem::NotOneOf { found: "propse".into(), expected, similar });
    }
}
