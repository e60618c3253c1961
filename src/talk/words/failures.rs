//! Why VMmanager, the store or the planner could not be used.

use chrono::TimeDelta;

use super::{Arg, Words, args, escape, format::code};
use crate::{
    model::{ApiFailure, Flaw, List, Quote, StoreFailure, Trouble},
    store::Sight,
};

impl Words {
    pub(crate) fn trouble(&self, trouble: &Trouble) -> String {
        match trouble {
            Trouble::VmManager(failure) => {
                self.say("trouble-vmmanager", args![why = Arg::Html(self.api_failure(failure))])
            }
            Trouble::Store(failure) => {
                self.say("trouble-store", args![why = Arg::Html(self.store_failure(failure))])
            }
            Trouble::Planning(said) => self.say("trouble-planning", args![said = self.quote(said)]),
        }
    }

    pub(crate) fn api_failure(&self, failure: &ApiFailure) -> String {
        let what = |what: &str| Arg::Html(code(what));
        match failure {
            ApiFailure::Settings(said) => self.say("api-settings", args![said = self.quote(said)]),
            ApiFailure::Credentials(said) => self.say("api-credentials", args![said = self.quote(said)]),
            ApiFailure::Forbidden { what: asked, said } => {
                self.say("api-forbidden", args![what = what(asked), said = self.quote(said)])
            }
            ApiFailure::Unavailable { what: asked, waited: 0 } => {
                self.say("api-put-off", args![what = what(asked)])
            }
            ApiFailure::Unavailable { what: asked, waited } => {
                let waited = TimeDelta::seconds(i64::try_from(*waited).unwrap_or(i64::MAX / 1000));
                self.say("api-unavailable", args![what = what(asked), waited = self.lasting(waited)])
            }
            ApiFailure::NoAnswer { what: asked, said } => {
                self.say("api-no-answer", args![what = what(asked), said = self.quote(said)])
            }
            ApiFailure::NotFound { what: asked, said } => {
                self.say("api-not-found", args![what = what(asked), said = self.quote(said)])
            }
            ApiFailure::Refused { what: asked, said, status, code: None } => self.say(
                "api-refused",
                args![what = what(asked), said = self.quote(said), status = status.to_string()],
            ),
            ApiFailure::Refused { what: asked, said, status, code: Some(code) } => self.say(
                "api-refused-code",
                args![
                    what = what(asked),
                    said = self.quote(said),
                    status = status.to_string(),
                    code = code.to_string(),
                ],
            ),
            ApiFailure::Unreadable { what: asked, said } => {
                self.say("api-unreadable", args![what = what(asked), said = self.quote(said)])
            }
            ApiFailure::Other(said) => self.recorded(said),
        }
    }

    /// Why nobody knows what a plan led to; `None` where there was no look.
    pub(crate) fn unseen(&self, sight: Option<&Sight>) -> String {
        let why = match sight {
            None | Some(Sight::Seen { .. }) => return self.say("unseen", args![]),
            Some(Sight::Failed(trouble)) => self.trouble(trouble),
            Some(Sight::Incomplete(flaw)) => {
                self.say("hold-incomplete", args![why = Arg::Html(self.flaw(flaw))])
            }
            Some(Sight::TimedOut) => self.say("unseen-timed-out", args![]),
            Some(Sight::ClusterGone) => self.say("unseen-cluster-gone", args![]),
        };
        self.say("unseen-why", args![why = Arg::Html(why)])
    }

    /// What is wrong with a picture.
    pub(crate) fn flaw(&self, flaw: &Flaw) -> String {
        match flaw {
            Flaw::ShortList { list, rows, promised } => self.say(
                "flaw-short-list",
                args![
                    list = Arg::Html(self.list(*list)),
                    rows = rows.to_string(),
                    promised = promised.to_string(),
                ],
            ),
            Flaw::UnreadableRows { list, rows } => {
                self.say("flaw-unreadable", args![list = Arg::Html(self.list(*list)), n = *rows])
            }
            Flaw::DoubledRows { list, rows } => {
                self.say("flaw-doubled", args![list = Arg::Html(self.list(*list)), n = *rows])
            }
            Flaw::DamagedRow { list, id, fields } => self.say(
                "flaw-damaged",
                args![
                    list = Arg::Html(self.list(*list)),
                    id = id.to_string(),
                    fields = Arg::Html(code(fields.as_str())),
                ],
            ),
            Flaw::TasksRefused(failure) => {
                self.say("flaw-tasks-refused", args![why = Arg::Html(self.api_failure(failure))])
            }
            Flaw::UnlistedCluster => self.say("flaw-unlisted-cluster", args![]),
            Flaw::NodeWithoutCluster { node } => {
                self.say("flaw-node-without-cluster", args![node = node.to_string()])
            }
            Flaw::VmsWithoutNode { vms, example } => {
                self.say("flaw-vms-without-node", args![n = *vms, example = example.to_string()])
            }
            Flaw::Shrank { before, after } => {
                self.say("flaw-shrank", args![before = before.to_string(), after = after.to_string()])
            }
            Flaw::BrokenPlan { violations } => self.say("flaw-broken-plan", args![n = *violations]),
            Flaw::Other(said) => self.recorded(said),
        }
    }

    fn list(&self, list: List) -> String {
        let key = match list {
            List::Clusters => "list-clusters",
            List::Nodes => "list-nodes",
            List::Vms => "list-vms",
            List::Tasks => "list-tasks",
        };
        self.say(key, args![])
    }

    pub(crate) fn store_failure(&self, failure: &StoreFailure) -> String {
        match failure {
            StoreFailure::Locked { path } => self.say("store-locked", args![path = Arg::Html(code(path))]),
            StoreFailure::Damaged(said) => self.say("store-damaged", args![said = self.quote(said)]),
            StoreFailure::Newer { found, known } => {
                self.say("store-newer", args![found = found.to_string(), known = known.to_string()])
            }
            StoreFailure::Disk(said) => self.say("store-disk", args![said = self.quote(said)]),
            StoreFailure::InFlight { vm } => self.say("store-in-flight", args![vm = vm.to_string()]),
            StoreFailure::Other(said) => self.recorded(said),
        }
    }

    /// A sentence that an older version recorded, in English.
    pub(crate) fn recorded(&self, said: &Quote) -> String {
        self.say("recorded", args![said = said.as_str()])
    }

    /// Somebody else's words, marked as such, as an argument of a message.
    pub(crate) fn quote(&self, said: &Quote) -> Arg {
        Arg::Html(self.quoted(said))
    }

    /// Somebody else's words, marked as such.
    pub(crate) fn quoted(&self, said: &Quote) -> String {
        match said.is_empty() {
            true => self.say("said-nothing", args![]),
            false => self.say("quotation", args![said = Arg::Html(escape(said.as_str()))]),
        }
    }
}
