//! The network of a run: a bridge with a network namespace for each host, or the addresses of this machine alone.
//!
//! The namespaces have no name outside of the process that holds them, so that nothing is left of them when that process and the
//! clients have ended, however they ended.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use bittrace_lab::scenario::{ByteRate, LinkPlan};
use tokio::time::sleep;

use crate::os::{LOOPBACK_INTERFACE, ProcessTree, check_namespaces, listen_in_namespace};

/// The link of a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) up: ByteRate,
    pub(super) down: ByteRate,
    pub(super) rtt: Duration,
}

/// Where the clients of a run are.
pub(super) enum Network {
    /// Each on an address of this machine.
    Loopback,
    /// Each in a namespace on a bridge.
    Bridge(Box<Bridge>),
}

/// A bridge in a namespace, and the namespaces of the hosts around it.
pub(super) struct Bridge {
    /// The process in whose namespaces all is.
    holder: ProcessTree,
    number: u32,
    /// Whether links have their delay and lose packets.
    delays: bool,
    /// How TCP reacts to congestion, where that is not as in a simulation.
    other_congestion: Option<String>,
    queue: Duration,
    mtu: u32,
    /// How many hosts there are, the tracker among them.
    hosts: usize,
}

impl Network {
    /// Makes the network for hosts with these links; `0` is the tracker, and hosts count from 1.
    pub(super) async fn make(links: &[Link], plan: &LinkPlan, folder: &Path) -> Result<Self> {
        if let Err(why) = check_namespaces() {
            bail!("{why}: --loopback runs all clients on addresses of this machine");
        }
        for program in PROGRAMS {
            if super::host::find(program).is_none() {
                bail!("{program} is not installed, and makes the network (package iproute2 or util-linux)");
            }
        }
        let log = folder.join("network.log");
        let words = ["--net", "--mount", "--propagation", "private", "sh", "-c"].map(OsString::from);
        let words = [&words[..], &[script(links, plan).into()]].concat();
        let mut holder = ProcessTree::start(OsStr::new("unshare"), &words, File::create(&log)?)
            .context("unshare cannot be started")?;
        let began = Instant::now();
        loop {
            let said = fs::read_to_string(&log).unwrap_or_default();
            if let Some(words) = said.lines().find_map(|line| line.strip_prefix(READY)) {
                let mut words = words.split_whitespace();
                let mut next = || words.next().ok_or_else(|| anyhow!("the network says too little: {said}"));
                let (number, netem, congestion) = (next()?, next()?, next()?);
                return Ok(Self::Bridge(Box::new(Bridge {
                    holder,
                    number: number.parse()?,
                    delays: netem == "yes",
                    other_congestion: (congestion != RENO).then(|| congestion.to_owned()),
                    queue: plan.queue.0,
                    mtu: plan.mtu,
                    hosts: links.len(),
                })));
            }
            if holder.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                let last = said.lines().last().unwrap_or("it takes too long");
                bail!("the network cannot be made: {last} (--loopback needs none)");
            }
            sleep(STEP).await;
        }
    }

    /// The address of a host, the tracker being 0. Neighbours are in different networks of 24 bits, by which peers tell hosts apart:
    /// those of one network get the same set of allowed-fast pieces (BEP 6).
    pub(super) fn address(&self, number: usize) -> IpAddr {
        let [first, second] = match self {
            Self::Loopback => [127, 77],
            Self::Bridge(_) => [10, 77],
        };
        Ipv4Addr::new(first, second, u8::try_from(number).unwrap_or(u8::MAX), 1).into()
    }

    /// Whether links have the delay and the loss of the scenario.
    pub(super) fn has_delays(&self) -> bool {
        matches!(self, Self::Bridge(bridge) if bridge.delays)
    }

    /// How TCP reacts to congestion, where that is not as in a simulation.
    pub(super) fn other_congestion(&self) -> Option<&str> {
        match self {
            Self::Loopback => None,
            Self::Bridge(bridge) => bridge.other_congestion.as_deref(),
        }
    }

    /// Whether links have the rates of the scenario, whatever clients do.
    pub(super) const fn has_rates(&self) -> bool {
        matches!(self, Self::Bridge(_))
    }

    /// The command that starts a program on a host.
    pub(super) fn on_host(
        &self,
        number: usize,
        program: OsString,
        arguments: Vec<OsString>,
    ) -> (OsString, Vec<OsString>) {
        match self {
            Self::Loopback => (program, arguments),
            Self::Bridge(bridge) => within(bridge.namespace(number), program, arguments),
        }
    }

    /// The command that starts a program where all packets pass, and the interface there.
    pub(super) fn on_bridge(&self, program: OsString, arguments: Vec<OsString>) -> (OsString, Vec<OsString>) {
        match self {
            Self::Loopback => (program, arguments),
            Self::Bridge(bridge) => {
                within(format!("/proc/{}/ns/net", bridge.number).into(), program, arguments)
            }
        }
    }

    /// The interface that sees all packets, and the filter that finds those of the run.
    pub(super) const fn tap(&self) -> (&'static str, &'static str) {
        match self {
            Self::Loopback => (LOOPBACK_INTERFACE, "net 127.77.0.0/16"),
            Self::Bridge(_) => ("br0", "ip"),
        }
    }

    /// Listens at a port of a host.
    pub(super) fn listen(&self, number: usize, port: u16) -> std::io::Result<TcpListener> {
        let address = SocketAddr::new(self.address(number), port);
        match self {
            Self::Loopback => TcpListener::bind(address),
            Self::Bridge(bridge) => listen_in_namespace(&bridge.namespace(number), address),
        }
    }

    /// Ends what holds the network.
    pub(super) fn end(&mut self) {
        if let Self::Bridge(bridge) = self {
            bridge.holder.kill();
        }
    }
}

impl Bridge {
    fn namespace(&self, number: usize) -> PathBuf {
        format!("/proc/{}/root/run/netns/h{number}", self.number).into()
    }

    /// Has the link up of a host carry so much from now on.
    pub(super) fn cut_up(&self, number: usize, rate: ByteRate) -> Result<()> {
        self.shape(&format!("-n h{number}"), "eth0", rate)
    }

    /// The same down.
    pub(super) fn cut_down(&self, number: usize, rate: ByteRate) -> Result<()> {
        self.shape("", &format!("p{number}"), rate)
    }

    fn shape(&self, namespace: &str, device: &str, rate: ByteRate) -> Result<()> {
        let place = if self.delays { "parent 1:1 handle 10:" } else { "root" };
        self.inside(&format!(
            "tc {namespace} qdisc replace dev {device} {place} {}",
            tbf(rate, self.queue, self.mtu)
        ))
    }

    /// Lets nothing pass between some hosts and others.
    pub(super) fn part(&self, some: &[usize], others: &[usize]) -> Result<()> {
        let mut commands = String::new();
        for (one, other) in some.iter().flat_map(|one| others.iter().map(move |other| (one, other))) {
            for (at, far) in [(one, other), (other, one)] {
                let _ = writeln!(commands, "ip -n h{at} route replace blackhole 10.77.{far}.1/32");
            }
        }
        self.inside(&commands)
    }

    /// Lets all pass again.
    pub(super) fn heal(&self) -> Result<()> {
        let flush = |number| format!("ip -n h{number} route flush type blackhole\n");
        self.inside(&(0..self.hosts).map(flush).collect::<String>())
    }

    /// Runs a command beside the bridge.
    fn inside(&self, command: &str) -> Result<()> {
        let number = self.number.to_string();
        let ran = Command::new("nsenter")
            .args(["--target", &number, "--mount", "--net", "sh", "-ec", command])
            .stdin(Stdio::null())
            .output()
            .context("nsenter cannot be started")?;
        if !ran.status.success() {
            bail!("{command}: {}", String::from_utf8_lossy(&ran.stderr).trim());
        }
        Ok(())
    }
}

fn within(namespace: PathBuf, program: OsString, arguments: Vec<OsString>) -> (OsString, Vec<OsString>) {
    let mut entering = OsString::from("--net=");
    entering.push(namespace);
    let mut words = vec![entering, program];
    words.extend(arguments);
    ("nsenter".into(), words)
}

/// What makes the network, in a namespace of its own and with a `/run` of its own, and then holds it.
fn script(links: &[Link], plan: &LinkPlan) -> String {
    let mut script = SETUP.to_owned();
    let (queue, mtu) = (plan.queue.0, plan.mtu);
    for (number, link) in links.iter().enumerate() {
        // Each end of a link delays by a quarter of its round trip: packets pass two links each way, so that the round trip between
        // two hosts is the mean of theirs.
        let delay = link.rtt.as_micros() / 4;
        let loss = plan.loss * 100.0;
        let _ = writeln!(
            script,
            "host {number} 02:00:00:00:00:{number:02x} {mtu}\nshape h{number} eth0 {delay} 0 \"{up}\"\n\
             shape '' p{number} {delay} {loss} \"{down}\"",
            up = tbf(link.up, queue, mtu),
            down = tbf(link.down, queue, mtu),
        );
    }
    let _ = writeln!(
        script,
        "echo {READY}$$ $netem $(nsenter --net=/run/netns/h0 cat {CONGESTION})\nexec sleep 1000000000"
    );
    script
}

/// The discipline that lets so much pass. A rate is that of what TCP carries, as in a simulation: 66 bytes of headers are left out.
fn tbf(rate: ByteRate, queue: Duration, mtu: u32) -> String {
    if rate.0.is_infinite() {
        return "pfifo limit 10000".to_owned();
    }
    // Two packets at the least, and what passes in two milliseconds.
    let burst = (rate.0 / 500.0).max(2.0 * f64::from(mtu + HEADER)).max(3200.0);
    let milliseconds = queue.as_millis().max(1);
    format!("stab overhead -66 tbf rate {:.0}bit burst {burst:.0} latency {milliseconds}ms", rate.0 * 8.0)
}

/// What stands before the bytes of which `link.mtu` counts: the header of Ethernet.
const HEADER: u32 = 14;

/// The parts of the script before the hosts. Segments are those of the wire: no device joins or splits them.
const SETUP: &str = r#"set -e
mount -t tmpfs bittrace-lab /run
ip link set lo up
sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || true
ip link add br0 type bridge
ip link set br0 up
netem=no
if tc qdisc add dev lo root netem delay 1us 2>/dev/null; then netem=yes; tc qdisc del dev lo root; fi
whole='whole() { ethtool -K "$1" tx off tso off gso off gro off >/dev/null 2>&1 || ip link set "$1" gso_max_segs 1; }'
eval "$whole"
host() {
    ip netns add "h$1"
    ip link add "p$1" type veth peer name eth0 address "$2" netns "h$1"
    ip link set "p$1" mtu "$3" master br0
    whole "p$1"
    ip link set "p$1" up
    nsenter --net="/run/netns/h$1" sh -ec "
        $whole
        sysctl -qw net.ipv6.conf.all.disable_ipv6=1 2>/dev/null || true
        # As in a simulation (RFC 5681); what the machine is set to may be anything.
        sysctl -qw net.ipv4.tcp_congestion_control=reno 2>/dev/null || true
        ip link set lo up
        ip link set eth0 mtu $3
        whole eth0
        ip address add 10.77.$1.1/16 dev eth0
        ip link set eth0 up"
}
shape() {
    at=root
    if [ "$netem" = yes ]; then
        tc ${1:+-n $1} qdisc add dev "$2" root handle 1: netem limit 100000 delay "$3us" loss "$4%"
        at='parent 1:1 handle 10:'
    fi
    tc ${1:+-n $1} qdisc add dev "$2" $at $5
}
"#;

/// Where the system says how TCP of a network namespace reacts to congestion.
const CONGESTION: &str = "/proc/sys/net/ipv4/tcp_congestion_control";

/// The reaction of a simulation, which every kernel has.
const RENO: &str = "reno";

/// What the script says when the network is there, before its number, whether links can delay, and how TCP reacts to congestion.
const READY: &str = "ready ";

/// The programs that make the network.
const PROGRAMS: [&str; 4] = ["unshare", "nsenter", "ip", "tc"];

/// How long the network may take, and how often is looked.
const PATIENCE: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_has_its_rates_and_a_quarter_of_its_round_trip_at_each_end() {
        let link = Link { up: ByteRate(50_000.0), down: ByteRate::INFINITE, rtt: Duration::from_millis(80) };
        let script = script(&[link], &LinkPlan { loss: 0.01, ..LinkPlan::default() });
        let tail = &script[SETUP.len()..];
        assert_eq!(
            tail,
            "host 0 02:00:00:00:00:00 1500\n\
             shape h0 eth0 20000 0 \"stab overhead -66 tbf rate 400000bit burst 3200 latency 200ms\"\n\
             shape '' p0 20000 1 \"pfifo limit 10000\"\n\
             echo ready $$ $netem $(nsenter --net=/run/netns/h0 cat /proc/sys/net/ipv4/tcp_congestion_control)\n\
             exec sleep 1000000000\n"
        );
    }

    #[test]
    fn programs_are_started_in_the_namespace_of_their_host() {
        let (program, words) = within("/proc/7/ns/net".into(), "tcpdump".into(), vec!["-n".into()]);
        assert_eq!(
            (program, words),
            ("nsenter".into(), vec!["--net=/proc/7/ns/net".into(), "tcpdump".into(), "-n".into()])
        );
    }
}
