//! Remembers, over sled: proposals, the journal of migrations, history, audit, settings changed by chat.

mod records;

pub use records::{
    Approval, Approver, AuditEntry, JournalEntry, JournalState, Mode, Origin, Outcome, Pause, Proposal,
    ProposalState, ReplyTo, Settings, Step, StepState,
};
