//! Every constant of the search in one table: how much it tries, when it stops, and at which prices.
//!
//! All of them are counts or ratios, never times, so that the same cluster gives the same plan.

/// A difference below this is rounding, not a gain.
pub(super) const NOTHING: f64 = 1e-9;

/// How exact the optimum of a linear program is. One MiB of a node of 2 TiB is more.
pub(super) const BOUND_EXACT: f64 = 1e-7;

/// Rounds of search at most. A later round goes on from where the earlier ones lead to, so that planning again finds
/// nothing. Every round has to gain something. More than three were never seen.
pub(super) const ROUNDS_MAX: usize = 8;

/// The least gain for a migration that evens out. A migration that moves 1 % of all memory must lower the imbalance
/// squared by 0.000 01. At an imbalance of 0.2 a good move gains a thousand times as much; around 0.005 it gains less.
pub const GAIN_MIN: f64 = 1e-3;

/// Cells of a cover's table that is exact, at most, for one resource and for two: 300 GiB and 400 vCPUs are as many. With 128 steps for each of two
/// resources covers cost up to 1.17 of the optimum where nodes have 1.5 TiB.
pub(super) const CELLS_EXACT: i64 = 1 << 14;
pub(super) const CELLS_EXACT_BOTH: i64 = 1 << 17;

/// Steps of a table that cannot be exact, since no two VMs are alike, for one resource and for each of two. It is
/// filled twice: rounded so that a cover is one, and so that its cost is a bound.
pub(super) const CELLS_ROUNDED: i64 = 4096;
pub(super) const CELLS_ROUNDED_EACH: i64 = 200;

/// A plan that costs so little more than the bound is not searched for further: a rounded bound is that much too low.
pub(super) const PROVEN: f64 = 1.002;

/// Prices of a move, in units of cost. They are tried one after the other while a plan has too many moves.
pub(super) const PRICES: [f64; 5] = [2.0, 8.0, 32.0, 128.0, 1e4];

/// How many times dearer overload is than what it costs to remove it, so that removing it always pays.
pub(super) const OVERLOAD_PRICE: f64 = 20.0;

/// How many times dearer a target above its ceilings is than a source above its thresholds, at the beginning and at
/// the end of a run. A target may not stay so. At 1 the cheapest sets were often such that may not be: .91 of the
/// removable overload on clusters that cannot be cleared; at 3 .996, rising from 1 to 6 .998. Runs take turns, since
/// either finds what the other does not.
pub(super) const OVERFILL_PRICES: [(f64, f64); 2] = [(1.0, 6.0), (3.0, 3.0)];

/// How many times more trials a run has that begins with the best set of a small cluster, and trials of such a run at most.
/// On 27 clusters of 8 to 16 nodes 8 times as many lowered the cost by .2 % and took twice as long: dealing anew finds as
/// much.
pub(super) const REFINED: usize = 2;
pub(super) const REFINED_MAX: usize = 200_000;

/// How often a target is taken by chance instead of the emptier of two.
pub(super) const ANYWHERE: f64 = 0.5;

/// VMs that leave a target in one trial so that another fits, at most.
pub(super) const EJECTED_MAX: usize = 12;

/// Runs that begin with the ideal, where there is one; later ones begin with the best set.
pub(super) const FROM_IDEAL: u64 = 2;

/// With a limit of migrations, a search begins at this part of what a move relieves for each unit of `RELIEF_START`.
pub(super) const LIMITED: f64 = 0.1;

/// First and last temperature of a search for relief, in mean costs of a move. It begins so hot that a node may become
/// overloaded again for a while: in a tight cluster room has to be made first.
pub(super) const RELIEF_START: f64 = 1.0;
pub(super) const RELIEF_END: f64 = 0.003;

/// First temperatures of searches for evenness, in mean gains of a move, one after the other, and the last one of all. The
/// first search begins from a good set of moves, so it begins cooler. Where VMs are very large every way to a better set
/// leads over worse ones: on eight such clusters cool searches alone ended at up to 2.1 times the imbalance.
pub(super) const LEVEL_STARTS: [f64; 4] = [0.3, 4.5, 1.2, 4.5];
pub(super) const LEVEL_END: f64 = 1e-3;

/// Searches for evenness: as many as these trials are enough for, with few moves so many for
/// each, and so many runs at most. Each begins with the same set.
pub(super) const LEVEL_TRIALS: usize = 900_000;
pub(super) const LEVEL_TRIALS_EACH: usize = 100_000;
pub(super) const LEVEL_RUNS: usize = 4;

/// The same in clusters of so few nodes with so few VMs on each, on average: trials are cheap there, and dead ends are many.
/// With 30 VMs on each node nothing is gained by it.
pub(super) const LEVEL_FEW_NODES: usize = 16;
pub(super) const LEVEL_FEW_VMS: usize = 8;
pub(super) const LEVEL_TRIALS_FEW: usize = 1_500_000;
pub(super) const LEVEL_RUNS_FEW: usize = 6;

/// A search begins with two runs that are so many times shorter, by chances of their own. Where they come to the same end,
/// it ends: a small cluster and a small limit have few sets to look at.
pub(super) const PROBE: usize = 16;
pub(super) const PROBES: [u64; 2] = [101, 102];

/// Two short searches for evenness end in the same dead end where VMs are very large: 3.7 times the imbalance. So they
/// are trusted only with so few moves, or in clusters of so few nodes.
pub(super) const AGREED_MOVES: usize = 4;
pub(super) const AGREED_NODES: usize = 6;

/// Runs of a search at most. Each goes on from the best set of those before.
pub(super) const RUNS: u64 = 6;

/// Runs in a cluster that is too large for an ideal.
pub(super) const RUNS_LARGE: u64 = 3;

/// Runs where the limit of migrations is used up: there are fewer sets to look at.
pub(super) const RUNS_LIMITED: u64 = 3;

/// In clusters of so few nodes a search for relief has a single run, from the ideal, with fewer trials for each move and
/// each choice: dealing nodes anew looks at nearly all of the cluster, so it finds what longer runs find. On 40 full
/// clusters of 5 nodes two runs with twice the trials removed .07 % more overload, and took two thirds longer.
pub(super) const SMALL_NODES: usize = 6;
pub(super) const SMALL_TRIALS_EACH: usize = 1000;
pub(super) const SMALL_PER_CHOICE: usize = 40;

/// This many runs in a row without a better set end the search.
pub(super) const IDLE_MAX: u64 = 3;

/// Within one percent of the bound another run is not worth its time.
pub(super) const NEAR: f64 = 1.01;

/// A set that takes off all but this part of what an ideal takes off is as good as the ideal. Where no two VMs are alike,
/// no set takes off all.
pub(super) const NEARLY: f64 = 0.002;

/// Where no more than this part of the overload can be taken off, only what the ideal leads to is looked at; the second one
/// counts in clusters of up to `SMALL_NODES`. So the round that finds nothing is short.
pub(super) const SLIGHT: f64 = 0.01;
pub(super) const SLIGHT_SMALL: f64 = 0.05;

/// Trials between two steps of the temperature.
pub(super) const STRETCH: usize = 64;

/// How many of the fullest and of the emptiest nodes are looked at for each move that evens out.
pub(super) const CANDIDATES: usize = 6;

/// The most placements of a tiny cluster: 4 nodes with 7 movable VMs, or 3 with 9. All of them are looked at.
pub(super) const PLACEMENTS_MAX: u64 = 20_000;

/// A placement is looked at again when it is reached with fewer steps. This many looks are made in all.
pub(super) const LOOKS_MAX: usize = 40_000;

/// Trials of one run of a search.
pub(super) struct Trials {
    pub per_move: usize,
    pub least: usize,
    pub most: usize,
}

/// Trials for each single move that there is to choose from. A small cluster is searched through with fewer.
const PER_CHOICE: usize = 600;

/// Relief within a limit that is used up: every move counts.
pub(super) const RELIEF_LIMITED: Trials = Trials { per_move: 5000, least: 20_000, most: 300_000 };
/// Relief without limit.
pub(super) const RELIEF: Trials = Trials { per_move: 3000, least: 10_000, most: 250_000 };

/// Evening out: large clusters need more trials for each node, and few moves need fewer.
pub(super) fn leveling(nodes: usize, moves: usize) -> Trials {
    Trials { per_move: 7500, least: 400_000.min(moves * 50_000), most: 600_000.max(nodes * 2000) }
}

impl Trials {
    /// The trials for a set of so many moves out of so many choices.
    pub(super) fn of(&self, moves: usize, choices: usize) -> usize {
        (moves * self.per_move).clamp(self.least, self.most).min(choices * PER_CHOICE)
    }
}

/// Other orders that are tried where not every move can run in the first one.
pub(super) const ORDERS_MAX: usize = 40;

/// Sets of moves that are ordered, at most.
pub(super) const ORDERED_MAX: usize = 16;

/// How many times a few nodes are dealt anew at most, for relief and for evenness; how many nodes at least; and how many sets
/// in a row may turn out not to run.
pub(super) const REDEALS_MAX: usize = 3000;
pub(super) const REDEALS_LEVEL: usize = 300;
/// The same for evenness where nodes and VMs are so few: for each pair of nodes, and in all. In a cluster of
/// ten nodes with very large VMs the best set was found after more than a thousand.
pub(super) const REDEALS_LEVEL_EACH: usize = 15;
pub(super) const REDEALS_LEVEL_FEW: usize = 1500;

pub(super) const REDEAL_NODES: usize = 3;
pub(super) const REDEAL_ORDERS: usize = 60;
/// How much dearer than the best a set may be from which dealing goes on, at first.
pub(super) const REDEAL_DETOUR: f64 = 0.02;

/// Searches for a sequence that can run: how many, and the trials of each: at most, for each move, and trials × moves at
/// most, since a trial looks at all moves.
pub(super) const SEQUENCES: u64 = 4;
pub(super) const SEQUENCE_TRIALS: usize = 200_000;
pub(super) const SEQUENCE_TRIALS_EACH: usize = 10_000;
pub(super) const SEQUENCE_WORK: usize = 12_000_000;

/// Their first temperature, in mean costs of a move, and how many times dearer an overfilled target is than overload, at
/// first and at last. Prices that begin low and end high found most; above 100 they found nothing.
pub(super) const SEQUENCE_START: f64 = 0.3;
pub(super) const SEQUENCE_PRICES: [(f64, f64); 4] = [(0.3, 100.0), (0.3, 30.0), (1.0, 10.0), (3.0, 3.0)];

/// They begin where at least this part of what can be removed is missing because the best set cannot run, in clusters of
/// at least so many nodes.
pub(super) const SEQUENCE_MISSING: f64 = 0.02;
pub(super) const SEQUENCE_NODES: usize = 7;

/// Moves × moves × orders at most while nodes are dealt anew.
pub(super) const REDEAL_PAIRS: usize = 100_000;

/// Cells × rows of all programs of a search at most, for each pair of nodes and in all. A usual deal takes 40,000; one of
/// VMs of which no two are alike takes a hundred times more.
pub(super) const REDEAL_WORK_EACH: usize = 1_000_000;
pub(super) const REDEAL_WORK: usize = 150_000_000;

/// The search ends after this many times nodes × nodes deals without a better set; in clusters of up to `SMALL_NODES`, where
/// each deal looks at more than half of the cluster, after fewer.
pub(super) const REDEALS_IDLE: usize = 3;
pub(super) const REDEALS_IDLE_SMALL: usize = 1;

/// Where the pieces of a node's fullness end, as parts of its threshold away from the mean.
pub(super) const UNEVEN: [f64; 8] = [0.004, 0.008, 0.016, 0.03, 0.06, 0.12, 0.25, 0.5];

/// Moves that are left, at most, where VMs that are alike change targets: all pairs are looked at.
pub(super) const ALIKE_MAX: usize = 300;

/// Steps that may follow each other where each comes to the place that the one before left, while the first ones make things
/// less even.
pub(super) const CHAIN_MAX: usize = 4;

/// How many of them let VMs that are alike change targets all the time.
pub(super) const FREEING_ORDERS: u64 = 12;

/// Detours × nodes at most that are looked at for one VM to wait elsewhere.
pub(super) const DETOURS_WORK: usize = 100_000;

/// Orders × moves × moves at most: choosing a step looks at all that are left.
pub(super) const ORDERS_WORK: usize = 200_000;

/// Cells of the table of an ideal at most: some 30 nodes with ten kinds of VMs.
pub(super) const CELLS_IDEAL: usize = 60_000;

/// Steps of the simplex method at most, and after each number that is rounded.
pub(super) const PIVOTS_MAX: usize = 3000;
pub(super) const PIVOTS_DIVE: usize = 200;

/// How many times an ideal is rounded number by number: at most, and as often as so many cells allow.
pub(super) const DIVES_MAX: usize = 12;
/// The same in clusters of up to `SMALL_NODES`: dealing anew finds there what more of them find.
pub(super) const DIVES_SMALL: usize = 6;
pub(super) const DIVES_WORK: usize = 200_000;

/// In an ideal, how much all of a threshold weighs against cost, so that overload comes first.
pub(super) const OVERLOAD_OVER_COST: f64 = 1e6;
