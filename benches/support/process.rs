//! What the kernel says of a process.

use std::fs;

/// Returns a figure of `/proc/PID/status` in MiB: `VmRSS` is the memory in use, `VmHWM` the most that ever was.
pub fn memory(pid: u32, figure: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(':')).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<f64>().unwrap() / 1024.0
}
