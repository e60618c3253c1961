//! The planner on recorded, generated and tiny clusters: its rules, its promises and its quality.

mod level;
mod measured;
mod migrations;
mod properties;
mod quality;
mod relief;
mod rules;
#[expect(dead_code, clippy::expect_used, reason = "shared with the benches, which use the rest")]
mod support;
