//! Commands that can be tapped: `/node_10` is `/node #10`. Telegram makes a link of one word only.

use crate::model::{NodeId, VmId, find};

/// The commands that are linked.
const LINKED: [&str; 2] = ["node", "vm"];

pub(in crate::talk) fn node(id: NodeId) -> String {
    format!("/node_{id}")
}

pub(in crate::talk) fn vm(id: VmId) -> String {
    format!("/vm_{id}")
}

/// Returns the command's word and what stands behind it; `None` for what is no link.
pub(super) fn read(word: &str) -> Option<(String, Option<String>)> {
    let (verb, id) = word.split_once('_')?;
    let id: u64 = id.parse().ok()?;
    LINKED.contains(&verb).then(|| (verb.to_owned(), Some(find::by_id(id))))
}

#[cfg(test)]
mod tests {
    use crate::talk::verbs::tests::answers;

    #[test]
    fn a_link_is_the_command_with_an_id() {
        for (link, command) in [("/node_10", "/node #10"), ("/vm_1000@balancer_bot", "/vm #1000")] {
            assert_eq!(answers(link).replace(link, command), answers(command));
        }
        assert!(answers("/node_x").contains("There is no command"));
    }
}
