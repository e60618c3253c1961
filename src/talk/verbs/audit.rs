//! `/audit`: who did what, for admins.

use crate::{
    store::AuditEntry,
    talk::{
        access::Role,
        ask::{Answer, Ask, Then},
        grammar::Rest,
        verb::{Verb, asks},
        view::{Page, View},
        words::{
            args, escape,
            format::{code, hung, name, words},
        },
    },
};

/// As many entries as fit on a phone.
const SHOWN: usize = 15;

/// More than this fits into no message.
const SHOWN_MAX: usize = 50;

pub(super) static VERB: Verb = Verb {
    word: "audit",
    usage: "/audit [N|PERSON]",
    examples: &["/audit 30", "/audit Anna"],
    least_role: Role::Admin,
    read: |rest| {
        let Audit { count, of } = Audit::read(rest);
        let answer = |entries: Vec<AuditEntry>, view: &View, _| Answer::Page(page(view, &entries));
        Ok(asks(move |_| Ask::Audit(count, of, Then::new(answer))))
    },
    button: None,
};

#[derive(Debug, PartialEq, Eq)]
struct Audit {
    count: usize,
    of: Option<String>,
}

impl Audit {
    /// A small number is a count; ids of people are larger.
    fn read(rest: Rest) -> Self {
        let of = rest.join_rest();
        let count = of.as_deref().and_then(|of| of.parse().ok()).filter(|count| *count <= SHOWN_MAX);
        Self { count: count.unwrap_or(SHOWN).max(1), of: of.filter(|_| count.is_none()) }
    }
}

fn page(view: &View, entries: &[AuditEntry]) -> Page {
    let key = if entries.is_empty() { "audit-empty" } else { "audit-title" };
    let mut lines = vec![view.say(key, args![])];
    lines.extend(entries.iter().flat_map(|AuditEntry { at, by, what, detail, .. }| {
        let by = by.as_ref().map(|by| format!(" {} ({})", name(&by.name), by.id)).unwrap_or_default();
        let did = format!("{}: {}", kind(view, what), subject(view, detail));
        hung([format!("{}{}", view.stamp(*at), escape(&by)), did], " ")
    }));
    view.narrow_page(lines)
}

/// What somebody did. A word that only another version of the program writes is shown as it is.
fn kind(view: &View, what: &str) -> String {
    let key = match what {
        "approve" => "audit-approve",
        "autopilot" => "audit-autopilot",
        "balance" => "audit-balance",
        "cancel" => "audit-cancel",
        "change" => "audit-change",
        "choose" => "audit-choose",
        "command" => "audit-command",
        "drain" => "audit-drain",
        "include" => "audit-include",
        "maintenance" => "audit-maintenance",
        "press" => "audit-press",
        "refresh" => "audit-refresh",
        "refused" => "audit-refused",
        "reject" => "audit-reject",
        "restored" => "audit-restored",
        "too-old" => "audit-too-old",
        "undo" => "audit-undo",
        other => return escape(&words(other)),
    };
    view.say(key, args![])
}

/// What it was done to: a plan, a cluster or a node by its number, else the words of the record.
fn subject(view: &View, detail: &str) -> String {
    let of = |key, rest: &str| view.say(key, args![rest = words(rest)]);
    match detail.split_once(' ') {
        Some(("proposal", rest)) => of("audit-of-proposal", rest),
        Some(("cluster", rest)) => of("audit-of-cluster", rest),
        Some(("node", rest)) => of("audit-of-node", rest),
        _ => code(&words(detail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::verbs::tests::answers;

    #[test]
    fn who_did_what_is_shown_newest_first() {
        insta::assert_snapshot!(answers("/audit"));
    }

    #[test]
    fn a_number_counts_and_a_name_or_an_id_chooses() {
        let read = |text| Audit::read(Rest::of(text).unwrap());
        assert_eq!(read("30"), Audit { count: 30, of: None });
        assert_eq!(read("Anna Petrova"), Audit { count: SHOWN, of: Some("Anna Petrova".into()) });
        assert_eq!(read("1002"), Audit { count: SHOWN, of: Some("1002".into()) });
    }
}
