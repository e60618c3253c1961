//! The one command that a node answers with its reading. Runs in any POSIX `sh` as an unprivileged user.
//!
//! It works in every login shell: there is no quote, no `!` and no line end inside its single quotes, since csh and fish
//! treat these in their own way. `timeout` ends a command that takes too long; closing the channel would not.

use std::time::Duration;

/// The first line of an answer; what stands before it (a banner of a login script) is passed over.
pub(super) const HEAD: &str = "@vm-balancer 1";

/// The last line of an answer; without it the text is cut off.
pub(super) const END: &str = "@end";

/// The pause between two samples of one command.
///
/// The kernel counts a hundred ticks a second, so one second shows one percent of a core.
pub(super) const SAMPLE_PAUSE: Duration = Duration::from_secs(1);

/// How many samples of CPU time one command takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Samples {
    /// The use is the difference to an earlier reading.
    One,
    /// There is no earlier reading to compare with.
    Two,
}

/// Load, memory and pressure, then who runs QEMU and under which name.
///
/// CPUs are counted in `/proc/stat`, because `nproc` counts only those that the login session may use.
/// Only QEMU's processes are looked at closely; reading every process would cost a second on a busy node.
const PREPARE: &str = concat!(
    r#"echo "@vm-balancer 1"; "#,
    r#"echo @loadavg; cat /proc/loadavg; "#,
    r#"echo @cpus; grep -c "^cpu[0-9]" /proc/stat; "#,
    r#"echo @nproc; nproc 2>/dev/null; "#,
    r#"echo @model; grep -m 1 "^model name" /proc/cpuinfo; "#,
    r#"echo @ticks; getconf CLK_TCK 2>/dev/null; "#,
    r#"echo @meminfo; grep -E "^(MemTotal|MemFree|MemAvailable|Buffers|Cached|HugePages_Free|Hugepagesize):" /proc/meminfo; "#,
    r#"for r in cpu memory io; do echo "@pressure $r"; cat /proc/pressure/$r 2>/dev/null; done; "#,
    r#"pids=; stats=; "#,
    r#"for f in $(grep -lE "^(qemu-system|qemu-kvm|kvm$)" /proc/[0-9]*/comm 2>/dev/null); do "#,
    r#"p=${f%/comm}; pids="$pids ${p#/proc/}"; stats="$stats $p/stat"; done; "#,
    r#"echo @names; for p in $pids; do echo "pid $p"; tr "\0" "\n" 2>/dev/null </proc/$p/cmdline; done 2>/dev/null | "#,
    r#"sed -n -e "/^pid [0-9]*$/p" -e "/^-name$/{n;s/^/name /;p;}"; "#,
);

/// Where the kernel hides other users' processes, libvirt's read-only socket is asked.
const SAMPLE: &str = concat!(
    r#"echo @sample; cat /proc/uptime; grep "^cpu " /proc/stat; "#,
    r#"if [ -n "$pids" ]; then cat $stats 2>/dev/null; "#,
    r#"elif command -v virsh >/dev/null 2>&1; then echo @domstats; "#,
    r#"timeout VIRSH virsh -r -c qemu:///system domstats --cpu-total 2>/dev/null | grep -E "^Domain:|cpu\.time="; fi; "#,
);

/// Writes the command; `timeout` is how long the caller waits for it.
pub(super) fn reading(samples: Samples, timeout: Duration) -> String {
    let patience = timeout.as_secs().max(1);
    let sample = SAMPLE.replace("VIRSH", &(patience / 3).clamp(1, 5).to_string());
    let samples = match samples {
        Samples::One => sample,
        Samples::Two => format!("{sample}sleep 1; {sample}"),
    };
    // One second more than we wait, so that the node never cuts off an answer that comes in time.
    let killed_after = patience + 1 + SAMPLE_PAUSE.as_secs();
    format!("env LC_ALL=C timeout {killed_after} sh -c '{PREPARE}{samples}echo {END}'")
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        path::Path,
        process::{Child, Command, Stdio},
    };

    use super::*;
    use crate::ssh::{Reading, parse, testing};

    #[test]
    fn the_command_passes_through_any_login_shell() {
        let command = reading(Samples::Two, Duration::from_secs(10));
        let script = command.split('\'').nth(1).unwrap();
        assert_eq!(command.matches('\'').count(), 2);
        assert!(!script.contains(['!', '\n']) && !script.contains(r"\\") && !script.contains("VIRSH"));
        assert!(script.starts_with(&format!("echo \"{HEAD}\"; ")));
        assert!(command.starts_with("env LC_ALL=C timeout 12 sh -c "));
    }

    /// On whatever machine the tests run: its own numbers, and two processes that call themselves QEMU.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_real_shell_finds_the_vm_that_burns_cpu() {
        let folder = tempfile::tempdir().unwrap();
        let _burner = qemu(folder.path(), "311_web-1", "while :; do :; done");
        let _sleeper = qemu(folder.path(), "312_db-1", "read line");
        for shell in ["sh", "bash"] {
            let command = reading(Samples::Two, Duration::from_secs(60));
            let said = Command::new(shell).args(["-c", &command]).output().unwrap();
            assert!(said.status.success(), "{shell}: {}", String::from_utf8_lossy(&said.stderr));
            let answer = parse::answer(&String::from_utf8_lossy(&said.stdout)).unwrap();
            let reading = Reading::new(&answer, None, None, testing::now());

            let cpus = fs::read_to_string("/proc/cpuinfo").unwrap().matches("processor\t").count();
            assert_eq!(reading.cpus.map(|cpus| cpus as usize), Some(cpus));
            assert!(reading.memory_total > reading.memory_used && reading.memory_used.is_some());
            let cores = |name: &str| reading.domains.iter().find(|d| d.name == name).unwrap().cores.unwrap();
            assert!(cores("311_web-1") > cores("312_db-1"), "{shell}: {:?}", reading.domains);
        }
    }

    /// Ends with the test.
    struct Killed(Child);

    impl Drop for Killed {
        fn drop(&mut self) {
            self.0.kill().unwrap();
            self.0.wait().unwrap();
        }
    }

    /// A shell under QEMU's name and with QEMU's options; it waits for its standard input or burns CPU.
    ///
    /// A link, for a copy could still be open for writing in a process that another test just forked.
    fn qemu(folder: &Path, name: &str, what: &str) -> Killed {
        let program = folder.join("qemu-kvm");
        if !program.exists() {
            std::os::unix::fs::symlink("/bin/sh", &program).unwrap();
        }
        let named = format!("guest={name},debug-threads=on");
        let options = ["-c", what, "-name", &named, "-uuid", "5B3F0C56-0A31-4C37-9D0E-0E61A3C1F001"];
        Killed(Command::new(program).args(options).stdin(Stdio::piped()).spawn().unwrap())
    }
}
