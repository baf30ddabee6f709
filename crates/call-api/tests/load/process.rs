//! What Linux says of a process: its memory, its CPU time, and what did not reach it.

use std::fs;
use std::time::Duration;

/// Ticks in a second of `/proc/PID/stat`: what `sysconf(_SC_CLK_TCK)` is on every Linux.
const TICKS: u64 = 100;

/// A line of `/proc/PID/status`, in kB: `RssAnon` is what it has beside files, `VmHWM` the most
/// that it ever had with them.
pub(crate) fn memory(process: u32, line: &str) -> u64 {
    let status = read(process, "status");
    let value = status.lines().find_map(|each| each.strip_prefix(line)?.strip_prefix(':'));
    let value = value.unwrap_or_else(|| panic!("no {line} in {status}"));
    number(value.trim_end_matches("kB"))
}

/// The CPU time that the process has used, the kernel's work for it included.
pub(crate) fn cpu_time(process: u32) -> Duration {
    let stat = read(process, "stat");
    // The second field is the program's name, in brackets, and may hold blanks.
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let fields: Vec<&str> = fields.split_whitespace().collect();
    Duration::from_millis((number(fields[11]) + number(fields[12])) * 1000 / TICKS)
}

/// The datagrams that were dropped because the UDP socket on this port was full. `None` when there is
/// no such socket.
pub(crate) fn drops(port: u16) -> Option<u64> {
    let sockets = fs::read_to_string("/proc/net/udp").expect("Linux lists its UDP sockets");
    let socket = sockets.lines().find(|line| line.contains(&format!(":{port:04X} ")))?;
    Some(number(socket.split_whitespace().last().unwrap_or_default()))
}

fn read(process: u32, file: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/{file}")).expect("Linux tells of its processes")
}

fn number(text: &str) -> u64 {
    text.trim().parse().unwrap_or_else(|error| panic!("{text:?} is no number: {error}"))
}
