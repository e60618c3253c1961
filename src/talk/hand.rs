//! The buttons under an alert: somebody takes it in hand, or silences it for an hour.

use super::{
    access::Role,
    ask::{Answer, Ask, Next, Then},
    cards::HandKind,
    verb::{Act, Asker, ButtonKind, erase},
    view::StalePress,
};

/// The buttons that begin with `a`.
pub(super) const BUTTON: ButtonKind = ButtonKind { mark: "a", read: |rest| Press::read(rest).map(erase) };

/// Silencing an alert concerns everybody, so it takes a person who could mend its cause.
pub(super) const LEAST_ROLE: Role = Role::Operator;

struct Press {
    kind: HandKind,
    key: String,
}

/// Returns the data of a button under the alert with this key.
pub(super) fn data(key: &str, kind: HandKind) -> String {
    match kind {
        HandKind::Take => format!("a:t:{key}"),
        HandKind::Snooze => format!("a:z:{key}"),
    }
}

/// Returns the key of the alert that the data of a button names.
pub(super) fn key_in(data: &str) -> Option<&str> {
    data.strip_prefix("a:t:").or_else(|| data.strip_prefix("a:z:"))
}

impl Press {
    fn read(rest: &str) -> Option<Self> {
        let (kind, key) = rest.split_once(':')?;
        let kind = match kind {
            "t" => HandKind::Take,
            "z" => HandKind::Snooze,
            _ => return None,
        };
        Some(Self { kind, key: key.to_owned() })
    }
}

impl Act for Press {
    fn answer(self: Box<Self>, _: &Asker<'_>) -> Next {
        let then = Then::new(|is_open, view, _| match is_open {
            true => Answer::Passing(view.hand_noted()),
            false => Answer::Window(view.stale_press(StalePress::Unknown)),
        });
        Next::Ask(Ask::Hand(self.key, self.kind, then))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::view::BUTTON_DATA_BYTES_MAX;

    #[test]
    fn what_a_button_says_is_read_again() {
        for kind in [HandKind::Take, HandKind::Snooze] {
            let key = format!("f-{}-{}", u64::MAX, u64::MAX);
            let data = data(&key, kind);
            assert!(data.len() <= BUTTON_DATA_BYTES_MAX, "{data}");
            let read = Press::read(data.strip_prefix("a:").unwrap()).unwrap();
            assert_eq!((read.kind, read.key), (kind, key));
        }
        assert!(Press::read("x:1").is_none() && Press::read("t").is_none());
    }
}
