//! Why VMmanager, the store or the planner could not be used.

use chrono::TimeDelta;

use super::{Arg, Words, args, escape, format::code};
use crate::{
    model::{
        AnswerFlaw, ApiFailure, ApiSettingsFlaw, Body, BodyKind, Damage, DiskFailure, ExportFlaw, Flaw, List,
        LoginRefusal, Quote, RowShape, Said, Silence, StoreFailure, Trouble,
    },
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
        let why = Arg::Html;
        match failure {
            ApiFailure::Settings(flaw) => {
                self.say("api-settings", args![why = why(self.api_settings_flaw(flaw))])
            }
            ApiFailure::Credentials(refusal) => {
                self.say("api-credentials", args![why = why(self.login_refusal(refusal))])
            }
            ApiFailure::NoLogin { what: asked } => self.say(
                "api-no-login",
                args![what = what(asked), variable = Arg::Html(code("VMMANAGER_PATH_PREFIX"))],
            ),
            ApiFailure::Forbidden { what: asked, said } => {
                self.say("api-forbidden", args![what = what(asked), why = why(self.server_reason(said))])
            }
            ApiFailure::Unavailable { what: asked, waited: 0 } => {
                self.say("api-put-off", args![what = what(asked)])
            }
            ApiFailure::Unavailable { what: asked, waited } => {
                self.say("api-unavailable", args![what = what(asked), waited = self.seconds(*waited)])
            }
            ApiFailure::NoAnswer { what: asked, said } => {
                self.say("api-no-answer", args![what = what(asked), why = why(self.silence(said))])
            }
            ApiFailure::NotFound { what: asked, said, code: _ } => {
                self.say("api-not-found", args![what = what(asked), why = why(self.server_reason(said))])
            }
            ApiFailure::Refused { what: asked, said: said @ Said::Words(_), status, code } => {
                let numbers = self.server_reason(&Said::Numbers { status: *status, code: *code });
                self.say(
                    "api-refused-numbers",
                    args![what = what(asked), why = why(self.server_reason(said)), numbers = why(numbers)],
                )
            }
            ApiFailure::Refused { what: asked, said, .. } => {
                self.say("api-refused", args![what = what(asked), why = why(self.server_reason(said))])
            }
            ApiFailure::Unreadable { what: asked, said } => {
                self.say("api-unreadable", args![what = what(asked), why = why(self.answer_flaw(said))])
            }
            ApiFailure::Other(said) => self.older_sentence(said),
        }
    }

    fn seconds(&self, seconds: u64) -> String {
        self.lasting(TimeDelta::seconds(i64::try_from(seconds).unwrap_or(i64::MAX / 1000)))
    }

    fn api_settings_flaw(&self, flaw: &ApiSettingsFlaw) -> String {
        match flaw {
            ApiSettingsFlaw::UserInAddress => self.say("settings-user-in-address", args![]),
            ApiSettingsFlaw::Client(said) => self.say("settings-client", args![said = self.quote(said)]),
            ApiSettingsFlaw::NoCertificate => self.say("settings-no-certificate", args![]),
            ApiSettingsFlaw::Authority(said) => {
                self.say("settings-authority", args![said = self.quote(said)])
            }
            ApiSettingsFlaw::Other(said) => self.in_quotes(said),
        }
    }

    fn login_refusal(&self, refusal: &LoginRefusal) -> String {
        match refusal {
            LoginRefusal::NotConfirmed => self.say("login-not-confirmed", args![]),
            LoginRefusal::NoToken => self.say("login-no-token", args![]),
            LoginRefusal::Rests { because, seconds } => self.say(
                "login-rests",
                args![why = Arg::Html(self.login_refusal(because)), left = self.seconds(*seconds)],
            ),
            LoginRefusal::Said(said) => self.server_reason(said),
        }
    }

    /// What an answer gave as its reason.
    fn server_reason(&self, said: &Said) -> String {
        match said {
            Said::Words(words) => self.in_quotes(words),
            Said::Numbers { status, code: None } => {
                self.say("said-status", args![status = status.to_string()])
            }
            Said::Numbers { status, code: Some(code) } => {
                self.say("said-status-code", args![status = status.to_string(), code = code.to_string()])
            }
            Said::Foreign { status, body } => self
                .say("said-foreign", args![status = status.to_string(), body = Arg::Html(self.body(*body))]),
        }
    }

    fn silence(&self, silence: &Silence) -> String {
        let because = |key: &str, said: &Quote| match said.is_empty() {
            true => self.say(key, args![]),
            false => format!("{}: {}", self.say(key, args![]), self.in_quotes(said)),
        };
        match silence {
            Silence::TimedOut(said) => because("silence-timed-out", said),
            Silence::Lost(said) => because("silence-lost", said),
            Silence::Status { status, said: Said::Words(said) } => {
                let status = self.server_reason(&Said::Numbers { status: *status, code: None });
                format!("{status}: {}", self.in_quotes(said))
            }
            Silence::Status { said, .. } => self.server_reason(said),
            Silence::Other(said) => self.in_quotes(said),
        }
    }

    fn answer_flaw(&self, flaw: &AnswerFlaw) -> String {
        let (key, line, column, body) = match flaw {
            AnswerFlaw::CutOff { line, column, body } => ("answer-cut-off", line, column, body),
            AnswerFlaw::NotJson { line, column, body } => ("answer-not-json", line, column, body),
            AnswerFlaw::OddShape { line, column, body } => ("answer-odd-shape", line, column, body),
            AnswerFlaw::TooLong { bytes_max } => {
                return self.say("answer-too-long", args![n = bytes_max.to_string()]);
            }
            AnswerFlaw::VmWithoutNode { vm } => {
                return self.say("answer-vm-without-node", args![vm = vm.to_string()]);
            }
            AnswerFlaw::Panicked(said) | AnswerFlaw::Other(said) => return self.in_quotes(said),
        };
        self.say(
            key,
            args![line = line.to_string(), column = column.to_string(), body = Arg::Html(self.body(*body)),],
        )
    }

    fn body(&self, body: Body) -> String {
        let key = match body.kind {
            BodyKind::Empty => return self.say("body-empty", args![]),
            BodyKind::Object => "body-object",
            BodyKind::List => "body-list",
            BodyKind::Page => "body-page",
            BodyKind::Text => "body-text",
        };
        self.say(key, args![n = body.bytes])
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
            Flaw::UnreadableRows { list, rows, first, shape } => {
                let shape = match shape {
                    RowShape::NoId => "flaw-shape-no-id",
                    RowShape::NoObject => "flaw-shape-no-object",
                };
                let shape = Arg::Html(self.say(shape, args![]));
                let (list, first) = (Arg::Html(self.list(*list)), first.to_string());
                self.say("flaw-unreadable", args![list = list, n = *rows, first = first, shape = shape])
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
            Flaw::Other(said) => self.older_sentence(said),
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
            StoreFailure::Damaged(damage) => {
                self.say("store-damaged", args![why = Arg::Html(self.damage(damage))])
            }
            StoreFailure::Newer { found, known } => {
                self.say("store-newer", args![found = found.to_string(), known = known.to_string()])
            }
            StoreFailure::Disk(DiskFailure::File { path, said }) => {
                self.say("store-file", args![path = Arg::Html(code(path)), said = self.quote(said)])
            }
            StoreFailure::Disk(DiskFailure::Files(said) | DiskFailure::Other(said)) => self.in_quotes(said),
            StoreFailure::InFlight { vm } => self.say("store-in-flight", args![vm = vm.to_string()]),
            StoreFailure::Closed(earlier) => {
                self.say("store-closed", args![why = Arg::Html(self.store_failure(earlier))])
            }
            StoreFailure::Opening => self.say("store-opening", args![]),
            StoreFailure::Export(ExportFlaw::CutOff) => self.say("export-cut-off", args![]),
            StoreFailure::Export(ExportFlaw::Count { has, of }) => {
                self.say("export-count", args![has = has.to_string(), of = of.to_string()])
            }
            StoreFailure::Export(ExportFlaw::Unreadable(said)) => {
                self.say("export-unreadable", args![said = self.quote(said)])
            }
            StoreFailure::Unwritable(said) => self.say("store-unwritable", args![said = self.quote(said)]),
            StoreFailure::NoSuchEntry(entry) => self.say("store-no-entry", args![n = entry.to_string()]),
            StoreFailure::EntryEnded(entry) => self.say("store-entry-ended", args![n = entry.to_string()]),
            StoreFailure::NoSuchProposal(id) => self.say("store-no-proposal", args![n = id.to_string()]),
            StoreFailure::Other(said) => self.older_sentence(said),
        }
    }

    fn damage(&self, damage: &Damage) -> String {
        match damage {
            Damage::Emptied => self.say("damage-emptied", args![]),
            Damage::Missing => self.say("damage-missing", args![]),
            Damage::EndLost { has, of } => {
                self.say("damage-end-lost", args![has = has.to_string(), of = of.to_string()])
            }
            Damage::EntryLost { entry, vm } => {
                self.say("damage-entry-lost", args![n = entry.to_string(), vm = vm.to_string()])
            }
            Damage::Record { tree, key, said } => self.say(
                "damage-record",
                args![record = Arg::Html(code(&format!("{tree}/{key}"))), said = self.quote(said)],
            ),
            Damage::Files(said) | Damage::Panicked(said) | Damage::Other(said) => self.in_quotes(said),
        }
    }

    /// A sentence that an older version recorded, in English.
    pub(crate) fn older_sentence(&self, said: &Quote) -> String {
        self.say("recorded", args![said = said.as_str()])
    }

    /// Somebody else's words, marked as such, as an argument of a message.
    pub(crate) fn quote(&self, said: &Quote) -> Arg {
        Arg::Html(self.in_quotes(said))
    }

    /// Somebody else's words, marked as such.
    pub(crate) fn in_quotes(&self, said: &Quote) -> String {
        match said.is_empty() {
            true => self.say("said-nothing", args![]),
            false => self.say("quotation", args![said = Arg::Html(escape(said.as_str()))]),
        }
    }
}
