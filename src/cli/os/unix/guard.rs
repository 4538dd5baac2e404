//! A process between us and a client, which ends the client and all that the client started when we are gone, however we
//! went. It is this program again, under another name.
//!
//! What we say to the guard goes through its standard input: a byte asks the client to end, and the end of that input, which
//! also comes when we are killed, has all processes ended. Its standard output tells how the start went, and its end that
//! nothing is left.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, wait};

use super::this_program;

/// The name under which this program is a guard.
const NAME: &str = "bittrace-guard";

/// What to say to have the client asked to end.
const END: u8 = b'e';

/// The command that runs `program` under a guard, with both ends of what is said. All that the client writes goes to `log`.
pub(super) fn command(
    program: &OsStr,
    arguments: &[OsString],
    log: File,
) -> io::Result<(Command, PipeWriter, PipeReader)> {
    let (heard, say) = io::pipe()?;
    let (told, tell) = io::pipe()?;
    let mut command = Command::new(this_program()?);
    command.arg0(NAME).arg(program).args(arguments).stdin(heard).stdout(tell).stderr(log);
    // Ctrl-C at the terminal is for us, who then end the rest in good order.
    command.process_group(0);
    Ok((command, say, told))
}

/// Waits until the client has started, or could not be.
pub(super) fn await_start(told: &mut PipeReader) -> io::Result<()> {
    let mut line = String::new();
    BufReader::with_capacity(1, told).read_line(&mut line)?;
    match line.trim().parse() {
        Ok(0) => Ok(()),
        Ok(number) => Err(io::Error::from_raw_os_error(number)),
        Err(_) => Err(io::Error::other("the process that guards the client did not start")),
    }
}

/// Asks the client to end.
pub(super) fn ask_to_end(say: &mut PipeWriter) {
    // It may have ended.
    let _ = say.write_all(&[END]);
}

/// Has all processes ended, and waits until they are.
pub(super) fn kill(say: Option<PipeWriter>, mut told: &PipeReader) {
    drop(say);
    let _ = io::copy(&mut told, &mut io::sink());
}

/// What this process is as a guard, by the name that it was started under; `None` where it is no guard.
pub(crate) fn run_if_guard() -> Option<ExitCode> {
    let mut words = std::env::args_os();
    if words.next()? != NAME {
        return None;
    }
    let program = words.next()?;
    let words: Vec<OsString> = words.collect();
    Some(guard(&program, &words).unwrap_or_else(|error| {
        let _ = writeln!(io::stdout(), "{}", error.raw_os_error().unwrap_or(-1));
        ExitCode::FAILURE
    }))
}

fn guard(program: &OsStr, words: &[OsString]) -> io::Result<ExitCode> {
    descendants::adopt();
    let log = io::stderr().as_fd().try_clone_to_owned()?;
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(log).process_group(0);
    let client = command.spawn()?.id();
    let Some(client) = i32::try_from(client).ok().and_then(Pid::from_raw) else {
        return Err(io::Error::other("a process without a number"));
    };
    // Who asked may be gone by now: the end of our input, which the thread below hears, then has the client ended.
    let _ = writeln!(io::stdout(), "0");
    thread::spawn(move || {
        let mut said = [0];
        while io::stdin().read_exact(&mut said).is_ok() {
            let _ = kill_process_group(client, Signal::TERM);
        }
        end_all(client);
        // Nobody is left who would hear how it ended.
        std::process::exit(1);
    });
    let status = loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((process, status))) if process == client => break status,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    };
    end_all(client);
    if let Some(signal) = status.terminating_signal()
        && let Some(signal) = Signal::from_named_raw(signal)
    {
        // As the client ended.
        let _ = kill_process(getpid(), signal);
    }
    let code = status.exit_status().or_else(|| status.terminating_signal().map(|signal| 128 + signal));
    Ok(ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}

/// Ends the client's process group, and whatever the client started outside of the group.
fn end_all(client: Pid) {
    for _ in 0..ROUNDS {
        let _ = kill_process_group(client, Signal::KILL);
        let left = descendants::of(getpid());
        if left.is_empty() {
            return;
        }
        for process in left {
            let _ = kill_process(process, Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
        thread::sleep(STEP);
    }
}

/// How long processors have worked for a process and all below it, those that ended and were waited for among them; `None`
/// where the system does not tell.
pub(super) fn processor_time(guard: u32) -> Option<Duration> {
    let guard = i32::try_from(guard).ok().and_then(Pid::from_raw)?;
    let below = descendants::of(guard).into_iter().filter_map(descendants::processor_time).sum::<Duration>();
    Some(descendants::processor_time(guard)? + below)
}

/// How often is looked for processes that are left: what a disk keeps from ending is not waited for longer than two seconds.
const ROUNDS: u32 = 200;
const STEP: Duration = Duration::from_millis(10);

/// Processes that were started below this one.
#[cfg(target_os = "linux")]
mod descendants {
    use std::collections::HashMap;
    use std::fs;
    use std::str::FromStr;
    use std::time::Duration;

    use rustix::param::clock_ticks_per_second;
    use rustix::process::{Pid, getpid, set_child_subreaper};

    /// Makes this process the parent of descendants whose own parent has ended.
    pub(super) fn adopt() {
        // Kernels before 3.4 cannot; then the process group has to do.
        let _ = set_child_subreaper(Some(getpid()));
    }

    /// The descendants of a process, those that have ended and are not waited for among them.
    pub(super) fn of(process: Pid) -> Vec<Pid> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
        for process in processes {
            if let Some(parent) = parent(process) {
                children.entry(parent).or_default().push(process);
            }
        }
        let mut found = Vec::new();
        let mut open = vec![process.as_raw_pid()];
        while let Some(process) = open.pop() {
            for child in children.remove(&process).unwrap_or_default() {
                open.push(child);
                found.extend(Pid::from_raw(child));
            }
        }
        found
    }

    /// The parent of a process.
    fn parent(process: i32) -> Option<i32> {
        field(&status(process)?, 1)
    }

    /// For how long processors have worked for a process, and for its children that ended and were waited for (proc(5): utime,
    /// stime, cutime, cstime).
    pub(super) fn processor_time(process: Pid) -> Option<Duration> {
        let status = status(process.as_raw_pid())?;
        let ticks: u64 = (11..15).filter_map(|place| field::<u64>(&status, place)).sum();
        Some(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second() as f64))
    }

    /// What the system says of a process, after its name, which stands in parentheses and may hold any character.
    fn status(process: i32) -> Option<String> {
        let status = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        Some(status.rsplit_once(')')?.1.to_owned())
    }

    fn field<T: FromStr>(status: &str, place: usize) -> Option<T> {
        status.split_whitespace().nth(place)?.parse().ok()
    }
}

/// Elsewhere the process group has to do.
#[cfg(not(target_os = "linux"))]
mod descendants {
    use std::time::Duration;

    use rustix::process::Pid;

    pub(super) const fn adopt() {}

    pub(super) const fn processor_time(_: Pid) -> Option<Duration> {
        None
    }

    pub(super) const fn of(_: Pid) -> Vec<Pid> {
        Vec::new()
    }
}
