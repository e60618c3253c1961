//! Every constant of the search in one table: how much it tries, when it stops, and at which prices.
//!
//! All of them are counts or ratios, never times, so that the same cluster gives the same plan.

/// A difference below this is rounding, not a gain.
pub const NOTHING: f64 = 1e-9;

/// Rounds of search at most. A later round goes on from where the earlier ones lead to, so that planning again finds
/// nothing. Every round has to gain something. More than three were never seen.
pub const ROUNDS_MAX: usize = 8;

/// The least gain for a migration that evens out. A migration that moves 1 % of all memory must lower the imbalance
/// squared by 0.000 01. At an imbalance of 0.2 a good move gains a thousand times as much; around 0.005 it gains less.
pub const GAIN_MIN: f64 = 1e-3;

/// Cells of a cover's table at most. Beyond it amounts are rounded (VMs down, needs up), so a cover stays a cover.
/// 16 384 cells are 128 steps in each of two resources, finer than tariffs are.
pub const CELLS_MAX: usize = 16_384;

/// Prices of a move, in units of cost. They are tried one after the other while a plan has too many moves.
pub const PRICES: [f64; 5] = [2.0, 8.0, 32.0, 128.0, 1e4];

/// How many times dearer overload is than what it costs to remove it, so that removing it always pays.
pub const OVERLOAD_PRICE: f64 = 20.0;

/// How many times dearer a target above its ceilings is than a source above its thresholds. A target may not stay so.
/// At 1 the cheapest sets were often such that may not be: .91 of the removable overload on clusters that cannot be
/// cleared; at 3 .996, at 6 .98, because the way to better sets leads over overfilled targets.
pub const OVERFILL_PRICE: f64 = 3.0;

/// With a limit of migrations, a search begins at this part of what a move relieves for each unit of `RELIEF_START`.
pub const LIMITED: f64 = 0.1;

/// First and last temperature of a search for relief, in mean costs of a move. It begins so hot that a node may become
/// overloaded again for a while: in a tight cluster room has to be made first.
pub const RELIEF_START: f64 = 3.0;
pub const RELIEF_END: f64 = 0.003;

/// First and last temperature of a search for evenness, in mean gains of a move. It begins from a good set of moves, so
/// it begins cooler.
pub const LEVEL_START: f64 = 0.3;
pub const LEVEL_END: f64 = 1e-3;

/// Runs of a search at most. Each goes on from the best set of those before.
pub const RUNS: u64 = 6;

/// Runs where the limit of migrations is used up: there are fewer sets to look at.
pub const RUNS_LIMITED: u64 = 3;

/// This many runs in a row without a better set end the search.
pub const IDLE_MAX: u64 = 3;

/// Within one percent of the bound another run is not worth its time.
pub const NEAR: f64 = 1.01;

/// Trials between two steps of the temperature.
pub const STRETCH: usize = 64;

/// How many of the fullest and of the emptiest nodes are looked at for each move that evens out.
pub const CANDIDATES: usize = 6;

/// The most placements of a tiny cluster: 4 nodes with 7 movable VMs, or 3 with 9. All of them are looked at.
pub const PLACEMENTS_MAX: u64 = 20_000;

/// A placement is looked at again when it is reached with fewer steps. This many looks are made in all.
pub const LOOKS_MAX: usize = 40_000;

/// Trials of one run of a search.
pub struct Trials {
    pub per_move: usize,
    pub least: usize,
    pub most: usize,
}

/// Trials for each single move that there is to choose from. A small cluster is searched through with fewer.
const PER_CHOICE: usize = 600;

/// Relief within a limit that is used up: every move counts.
pub const RELIEF_LIMITED: Trials = Trials { per_move: 5000, least: 100_000, most: 300_000 };
/// Relief without limit.
pub const RELIEF: Trials = Trials { per_move: 2000, least: 300_000, most: 1_000_000 };

/// Evening out: large clusters need more trials for each node.
pub fn leveling(nodes: usize) -> Trials {
    Trials { per_move: 5000, least: 400_000, most: 500_000.max(nodes * 2000) }
}

impl Trials {
    /// The trials for a set of so many moves out of so many choices.
    pub fn of(&self, moves: usize, choices: usize) -> usize {
        (moves * self.per_move).clamp(self.least, self.most).min(choices * PER_CHOICE)
    }
}
