//! Why a step of a plan ended as it did.

use chrono::{DateTime, Utc};

use super::{Arg, Words, args, plain};
use crate::{
    model::{ApiFailure, TaskFailure, Trouble, Whereabouts},
    planner::Unfit,
    store::Ending,
};

impl Words {
    /// Words why a step ended as it did, without markup.
    #[must_use]
    pub fn plain_ending(&self, ending: &Ending, now: DateTime<Utc>) -> String {
        plain(&self.ending(ending, now))
    }

    pub(crate) fn ending(&self, ending: &Ending, now: DateTime<Utc>) -> String {
        match ending {
            Ending::Unfit(unfit) => self.unfit(unfit, now),
            Ending::NotOffered => self.say("ending-not-offered", args![]),
            Ending::NodeOccupied { vm_name, by } => {
                self.say("ending-node-occupied", args![vm = vm_name, n = by.to_string()])
            }
            Ending::AlreadyMoving => self.say("ending-already-moving", args![]),
            Ending::SomebodyElse => self.say("ending-somebody-else", args![]),
            Ending::Doubted(flaw) => self.flaw(flaw),
            Ending::NotAllowed(failure @ ApiFailure::Forbidden { .. }) => {
                self.say("ending-not-allowed", args![why = Arg::Html(self.api_failure(failure))])
            }
            Ending::Busy(failure) => {
                self.say("ending-busy", args![why = Arg::Html(self.api_failure(failure))])
            }
            Ending::NotUnderstood(failure) => {
                self.say("ending-not-understood", args![why = Arg::Html(self.api_failure(failure))])
            }
            Ending::VmManager(failure) | Ending::NotAllowed(failure) => {
                self.say("ending-vmmanager", args![why = Arg::Html(self.api_failure(failure))])
            }
            Ending::CancelledBy(person) => {
                self.say("ending-cancelled", args![who = format!("{} ({})", person.name, person.id)])
            }
            Ending::GivenUp(person) => {
                self.say("ending-given-up", args![who = format!("{} ({})", person.name, person.id)])
            }
            Ending::DryRun => self.say("ending-dry-run", args![]),
            Ending::Stopped => self.say("ending-stopped", args![]),
            Ending::Restarted => self.say("ending-restarted", args![]),
            Ending::Store(failure) => self.trouble(&Trouble::Store(failure.clone())),
            Ending::Planning(said) => self.trouble(&Trouble::Planning(said.clone())),
            Ending::Panicked => self.say("ending-panicked", args![]),
            Ending::NoAnswer(Whereabouts::OnSource) => self.say("ending-nothing-began", args![]),
            Ending::NoAnswer(place) => self.with_place("ending-no-answer", *place),
            Ending::TaskVanished(place) => self.with_place("ending-task-vanished", *place),
            Ending::TaskComplete(place) => self.with_place("ending-task-complete", *place),
            Ending::TaskWord { word, place } if word.is_empty() => {
                self.with_place("ending-task-wordless", *place)
            }
            Ending::TaskWord { word, place } => {
                let place = self.place(*place);
                self.say("ending-task-word", args![word = self.quote(word), place = place])
            }
            Ending::TaskFailed(TaskFailure::Said(said)) => {
                self.say("ending-task-said", args![said = self.quote(said)])
            }
            Ending::TaskFailed(TaskFailure::Cancelled) => self.say("ending-task-cancelled", args![]),
            Ending::TaskFailed(TaskFailure::Silent) => self.say("ending-task-failed", args![]),
            Ending::Other(said) => self.older_sentence(said),
        }
    }

    pub(crate) fn unfit(&self, unfit: &Unfit, now: DateTime<Utc>) -> String {
        match unfit {
            Unfit::VmGone => self.say("unfit-vm-gone", args![]),
            Unfit::NodeGone(node) => self.say("unfit-node-gone", args![node = node.to_string()]),
            Unfit::Moved { now } => self.say("unfit-moved", args![node = now.to_string()]),
            Unfit::AlreadyThere => self.say("unfit-already-there", args![]),
            Unfit::Vm(why) => self.say("unfit-vm", args![why = Arg::Html(self.skip_why(why, now))]),
            Unfit::Target(refusal) => {
                self.say("unfit-target", args![why = Arg::Html(self.target_refusal(*refusal))])
            }
            Unfit::Held(reason) => self.say("unfit-held", args![why = Arg::Html(self.hold(reason))]),
            Unfit::NoRelief => self.say("unfit-no-relief", args![]),
        }
    }

    fn with_place(&self, key: &str, place: Whereabouts) -> String {
        self.say(key, args![place = self.place(place)])
    }

    pub(crate) fn place(&self, place: Whereabouts) -> String {
        match place {
            Whereabouts::OnTarget => self.say("vm-on-target", args![]),
            Whereabouts::OnSource => self.say("vm-on-source", args![]),
            Whereabouts::Elsewhere(node) => self.say("vm-elsewhere", args![node = node.to_string()]),
            Whereabouts::Gone => self.say("unfit-vm-gone", args![]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::words::{Language, samples};

    #[test]
    fn every_ending_is_worded_in_every_language() {
        for (language, name) in [(Language::En, "endings_en"), (Language::Ru, "endings_ru")] {
            let words = Words { language, ..Words::english() };
            let endings = samples::endings();
            let lines: Vec<_> =
                endings.iter().map(|ending| words.ending(ending, DateTime::UNIX_EPOCH)).collect();
            insta::assert_snapshot!(name, lines.join("\n"));
        }
    }
}
