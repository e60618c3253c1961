//! The planner on recorded, generated and tiny clusters: its rules, its promises and its quality.

mod properties;
mod quality;
mod rules;
mod support;
mod words;
