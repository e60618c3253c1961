//! Why VMmanager, the store or the planner could not be used, as data that the store keeps and people are shown.

use serde::{Deserialize, Serialize};

use super::{Quote, VmId};

/// Why something could not be done at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    VmManager(ApiFailure),
    Store(StoreFailure),
    /// The planner panicked.
    Planning(Quote),
}

/// Why a request to VMmanager gave nothing. `what` is the method and the path of the request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApiFailure {
    /// The settings of the client cannot be used.
    Settings(Quote),
    /// The user, password or token is not taken.
    Credentials(Quote),
    /// The user may not do this.
    Forbidden {
        what: String,
        said: Quote,
    },
    /// VMmanager put the request off for this many seconds and did not take it.
    Unavailable {
        what: String,
        waited: u64,
    },
    /// Silence, or the words of a gateway.
    NoAnswer {
        what: String,
        said: Quote,
    },
    /// There is no such function or object.
    NotFound {
        what: String,
        said: Quote,
    },
    Refused {
        what: String,
        said: Quote,
        status: u16,
        code: Option<i64>,
    },
    /// An answer of an unknown shape.
    Unreadable {
        what: String,
        said: Quote,
    },
    /// Text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

/// Why the store could not do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoreFailure {
    /// Another process has it open.
    Locked { path: String },
    /// Its files are damaged.
    Damaged(Quote),
    /// A newer version of this program wrote it.
    Newer { found: u32, known: u32 },
    /// A full disk, missing rights and the like.
    Disk(Quote),
    /// The VM has an open migration in the journal.
    InFlight { vm: VmId },
    /// Anything else, and text that an older version recorded.
    #[serde(untagged)]
    Other(Quote),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_store_and_text_of_an_older_version_is_read() {
        let failure = ApiFailure::Unavailable { what: "GET /vm/v3/host".into(), waited: 3 };
        let written = serde_json::to_string(&failure).unwrap();
        assert_eq!(written, r#"{"unavailable":{"what":"GET /vm/v3/host","waited":3}}"#);
        assert_eq!(serde_json::from_str::<ApiFailure>(&written).unwrap(), failure);
        let old = r#""no answer from vmmanager to GET /vm/v3/host: timed out""#;
        let said = Quote::of("no answer from vmmanager to GET /vm/v3/host: timed out");
        assert_eq!(serde_json::from_str::<ApiFailure>(old).unwrap(), ApiFailure::Other(said));
        let old = serde_json::from_str::<StoreFailure>(r#""failed to write /data: no space left""#).unwrap();
        assert_eq!(old, StoreFailure::Other("failed to write /data: no space left".into()));
    }
}
