//! What the help of each command says after its options: examples, exit codes, and the languages of some values.

pub(super) const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 the answer is no, 2 error, 130 interrupted.
`bittrace --help` has examples.";

pub(super) const EXAMPLES: &str = "\
Examples:
  bittrace analyze capture.pcap                       a summary, then the first messages
  bittrace analyze capture.pcap --torrent t.torrent   the same, with file names and hash checks
  bittrace diagnose capture.pcap                      why the download in it was slow
  tcpdump -U -w - | bittrace analyze - --view messages
                                                      messages as they are captured
  bittrace browse capture.pcap                        the same in the terminal, to look around in
  bittrace diff reference.pcap candidate.pcap         how two runs differ
  bittrace torrent show t.torrent                     the contents of a .torrent

Exit codes:
    0  done, or no difference; also if a capture has no BitTorrent traffic
    1  --fail-on matched, or the captures differ
    2  error: bad usage or unreadable input
  130  interrupted; the results up to then are shown";

pub(super) const ANALYZE_AFTER: &str =
    "`bittrace analyze --help` has examples and the names for --filter and --fields.";

pub(super) const ANALYZE_EXAMPLES: &str = "\
Examples:
  bittrace analyze capture.pcap
  bittrace analyze capture.pcapng.gz --torrent t.torrent --view messages
  bittrace analyze capture.pcap --filter 'message == piece && index == 3' --hex
  bittrace analyze capture.pcap --filter 'src ~ 10.0.0.0/8 and not message == have'
  bittrace analyze capture.pcap --filter 'severity >= warn'
  bittrace analyze capture.pcap --filter 'message in {request, piece} and latency > 500ms'
  bittrace analyze capture.pcap --filter 'tcp.stream == 3 && bittorrent.msg.type == 7'
  bittrace analyze capture.pcap --stream 3 --fields n,elapsed,speaker,message,index,begin
  bittrace analyze capture.pcap --torrent t.torrent --view conversations,pieces,findings
  bittrace analyze capture.pcap --sort slowest --limit 5
                                                      the five slowest peers, with their rates
  bittrace analyze capture.pcap --follow 1
  bittrace analyze capture.pcap --view ladder         who says what to whom, as arrows
  bittrace analyze capture.pcap --torrent t.torrent --view map,rates
                                                      pieces and bytes over time
  bittrace analyze capture.pcap --mse-keys capture.keys
  bittrace analyze --list-rules
  bittrace analyze a.pcap b.pcap --format json | jq .message
  bittrace analyze captures/ --view captures          a row for each capture of a folder
  bittrace analyze --jobs 8 --format json captures/ @more.txt > messages.ndjson
  bittrace analyze capture.pcap --format csv > messages.csv
  bittrace analyze capture.pcap --format perfetto > trace.json
                                                      streams over time, in ui.perfetto.dev
  bittrace analyze capture.pcap --format zeek -o logs
  tcpdump -U -w - | bittrace analyze - --view messages

A folder stands for the captures in it and in its subfolders, sorted by name; its other files are
counted in a warning. @FILE is a list of names, one per line or separated by zero bytes; @- is
standard input. With --jobs, a capture that ends its process is reported, and the others are read.

CSV has a header; only the column fields has nested values. pandas reads integer columns with
empty cells as integers with dtype_backend=\"numpy_nullable\"; DuckDB does so by itself.
In CSV, text that looks like a formula (=, +, -, @) gets an apostrophe in front; numbers do not.
CSV and tables show control characters as U+FFFD; JSON escapes them.

--filter, --stream, --from and --to choose messages. Every view, and the last object of JSON,
counts only the chosen messages; the numbers of packets and bytes are those of the whole capture.

Peers and trackers behind SOCKS4, SOCKS5 and HTTP CONNECT proxies are read; the protocol proxy is
the negotiation of client and proxy. Azureus messaging is read as well.

Exit codes:
    0  done, also if a capture has no BitTorrent traffic
    1  --fail-on matched a chosen message
    2  error: bad usage or unreadable input
  130  interrupted; the results up to then are shown";

pub(super) const BROWSE_AFTER: &str = "\
Examples:
  bittrace browse capture.pcap
  bittrace browse capture.pcapng.gz --torrent t.torrent
  tcpdump -U -w - | bittrace browse -                 messages as they are captured

? in the browser shows its keys. While it runs, messages are kept in a temporary file (TMPDIR).

Exit codes: 0 done, 2 error, 130 interrupted.";

pub(super) const DIAGNOSE_AFTER: &str = "\
Exit codes: 0 done, 2 error, 130 interrupted.
`bittrace diagnose --help` has examples.";

pub(super) const DIAGNOSE_EXAMPLES: &str = "\
Examples:
  bittrace diagnose capture.pcap
  bittrace diagnose capture.pcapng.gz --torrent t.torrent
  bittrace diagnose capture.pcap --format json | jq -r '.diagnosis.sentences[]?.text'
  bittrace diagnose monday.pcap tuesday.pcap --format csv > budgets.csv
  bittrace explain asked-too-little

Every moment of every connection belongs to one cause: connecting, choked, nothing-wanted,
not-asked, asked-too-little, far-pace, network, receiver or unseen. Up to three sentences come
first: what most of the time went to, by what evidence, and what would help. Then come the table of
causes, the rate over time, the connections, how each ended, and filters that show the evidence.

A capture from before the first packet to the end tells most. One that begins in the middle, that
has one direction only, or that is encrypted shows less, and the sentences say so.

With --format json the first object of a capture is the run; then comes an object for each direction
of each connection. CSV has these rows alone.

Exit codes:
    0  done, also if a capture has no BitTorrent traffic
    2  error: bad usage or unreadable input
  130  interrupted; what was read up to then is diagnosed";

pub(super) const ANNOTATE_AFTER: &str = "\
Exit codes: 0 done, 2 error, 130 interrupted.
`bittrace annotate --help` has examples.";

pub(super) const ANNOTATE_EXAMPLES: &str = "\
Examples:
  bittrace annotate capture.pcap -o commented.pcapng
  bittrace annotate capture.pcap -o commented.pcapng --torrent t.torrent
  bittrace annotate capture.pcapng.gz -o commented.pcapng --comments messages
  tshark -r commented.pcapng -Y frame.comment -T fields -e frame.number -e frame.comment

The comment is on the last packet of a message, where Wireshark shows the message: its number and
its line of bittrace analyze, then a line for each finding. In Wireshark, find packets with the
display filter frame.comment, or read all comments in Analyze > Expert Information.

Every packet keeps its bytes, times, lengths and link type. Of a pcapng all blocks are kept: names,
secrets, statistics, earlier comments. The output is not compressed. It gets its name when it is
complete; a file of that name is replaced. Packets in simple packet blocks cannot have comments: how
many were left out is said.

Exit codes:
    0  done, also if a capture has no BitTorrent traffic
    2  error: bad usage, unreadable input, an output that cannot be written
  130  interrupted; nothing is written";

pub(super) const FIGURES_AFTER: &str = "\
Examples:
  bittrace lab figures rarest-first
  bittrace lab figures fluid --scenarios > fluid.toml
  bittrace lab figures --format json | jq '.findings[] | select(.holds | not)'

The figures take some minutes in all. Each names the paper that its numbers are from.

Exit codes: 0 every rule holds, 1 a rule does not hold, 2 error, 130 interrupted.";

pub(super) const SIM_AFTER: &str = "\
Exit codes: 0 done, 1 the run is not as expected, 2 error, 130 interrupted.
`bittrace lab sim --help` has examples and a scenario.";

pub(super) const SIM_EXAMPLES: &str = "\
Examples:
  bittrace lab sim swarm.toml
  bittrace lab sim swarm.toml --record net.pcapng --write-torrent net.torrent
  bittrace analyze net.pcapng --torrent net.torrent
  bittrace lab sim swarm.toml --seed 2 --format json | jq .groups
  bittrace lab sim swarm.toml --record - --record-hosts seed-1 | bittrace analyze -
  bittrace lab sim swarm.toml --record one.pcapng --vantage leecher-3

A scenario, with some of its keys; every key has a default:
  [torrent]
  size = \"100 MiB\"
  piece = \"256 KiB\"
  [[peers]]
  role = \"seed\"
  up = \"750 kB/s\"
  [[peers]]
  count = 8
  up = \"50 kB/s\"              also \"400 kbit/s\", or \"inf\"
  down = \"187.5 kB/s\"
  rtt = \"20..120 ms\"          drawn for each host; between two hosts the mean of theirs
  arrive = \"uniform 10 s\"     or \"at once\", \"at 30 s\", \"poisson 0.04/s\"
  leave = \"when done\"         or \"never\", \"after 600 s\", \"exp 1000 s\"
  behaviour = \"ours\"          or \"free-rider\", \"liar\", \"slow\", \"like capture.pcapng\",
                              \"sybil\", \"bitfield-flipper\", \"choke-flipper\",
                              \"pex-poisoner\", \"dht-poisoner\"
  discover = [\"tracker\", \"pex\"]  also \"dht\" (with nodes = 40 in [dht]) and \"lsd\"
  encryption = \"off\"           or \"require\"
  transport = \"tcp\"            or \"utp\", \"both\"
  [[events]]
  at = \"300 s\"
  do = \"kill seed\"            or \"stop leecher-3\", \"cut up of leecher-3..9 to 10 kB/s\",
                              \"tracker down\", \"tracker up\", \"partition seed leecher\", \"heal\"
  [stop]
  when = \"all done\"           or a time such as \"3600 s\"
  [expect]
  last = \"< 1.5 bound\"        numbers of the summary; of a group: leecher.took = \"< 600 s\"

docs/lab.md explains them all; examples/lab has scenarios for a lecture.

All clients are bittrace itself, under one pretend clock: the same scenario and seed give the same
capture, byte for byte. The capture has each byte once, as a listener in the core of the network
sees it, or at the link of one host (--vantage), and the names of the hosts. TCP is a model: fair
links of a fixed rate, delays, and windows; no packet is lost or comes twice.

Exit codes:
    0  done, and all that the scenario expects is so
    1  something that the scenario expects is not so
    2  error: bad usage, a scenario that cannot be read, or a capture that cannot be written
  130  interrupted; the results up to then are shown";

pub(super) const REAL_AFTER: &str = "\
Exit codes: 0 done, 1 the run is not as expected, 2 error, 130 interrupted.
`bittrace lab real --help` has examples and says what is needed.";

pub(super) const REAL_EXAMPLES: &str = "\
Examples:
  sudo bittrace lab real swarm.toml
  sudo bittrace lab real swarm.toml --record net.pcapng --write-torrent net.torrent
  bittrace analyze net.pcapng --local none --torrent net.torrent
  bittrace lab real swarm.toml --loopback
  sudo bittrace lab real swarm.toml --format json | jq '.groups[] | {name, took_seconds, simulated}'

The scenario is one of lab sim. A group says which client its hosts run; without it they run
bittrace itself:
  [[peers]]
  count = 2
  client = \"transmission\"      or \"ours\", \"aria2\", \"qbittorrent\", \"rtorrent\", \"libtorrent\"

A client that is not installed is skipped with its group. The tracker is bittrace's own.

As root, on Linux: each host has a network namespace, all of them are on one bridge, and each link
has the rates of the scenario, and its delay where the kernel has netem. Nothing of it is left
afterwards. With --loopback, on any system: each host has an address of 127.77.0.0/16, and clients
limit their own rates. The capture is taken with dumpcap or tcpdump.

The run takes as long as it takes: sizes and rates of a minute or two are wise. Where a client
takes more than half of a processor, the results say so.

Exit codes:
    0  done, and all that the scenario expects is so, as far as it is measured
    1  something that the scenario expects is not so
    2  error: bad usage, a scenario that cannot be read or run, or a capture that cannot be written
  130  interrupted; the results up to then are shown";

pub(super) const CLEAR_AFTER: &str = "\
Exit codes: 0 done, 2 error, 130 interrupted.
`bittrace clear --help` has examples.";

pub(super) const CLEAR_EXAMPLES: &str = "\
Examples:
  bittrace clear utp.pcap -o clear.pcapng
  bittrace clear encrypted.pcapng -o clear.pcapng --mse-keys keys.log
  bittrace clear capture.pcap -o - | tshark -r - -d tcp.port==51413,bittorrent -Y bittorrent

The new capture has all that bittrace reads: messages of peers, trackers, web seeds, the DHT and
local service discovery, whether or not they were plain before. Connections over uTP, encrypted
connections whose keys are known, and connections through a proxy become plain TCP from SYN to FIN,
which begins with the first message after the negotiation. Datagrams stay datagrams. Addresses,
ports, times and host names are those of the capture. All packets of a message have the time at
which the message was complete. A comment on its last packet tells the number of the message in
bittrace analyze and its packets in the capture.

The headers are made up: raw IP, at most 1,400 bytes a packet, checksums right, no retransmissions.
Where the capture lost bytes, the sequence numbers leave a gap. Encrypted connections without a key
are left out, and their bytes are counted. What is not BitTorrent is left out. Where two
connections between the same ports would be one TCP connection, as two of uTP at once, the later one
has another port, and the comment on its first packet says which.

Where Wireshark does not find BitTorrent by itself: Decode As, or -d tcp.port==PORT,bittorrent.

The output is not compressed. It gets its name when it is complete; a file of that name is replaced.

Exit codes:
    0  done, also if a capture has no BitTorrent traffic
    2  error: bad usage, unreadable input, an output that cannot be written
  130  interrupted; nothing is written";

pub(super) const DIFF_AFTER: &str = "\
Exit codes: 0 no difference, 1 differences, 2 error, 130 interrupted.
`bittrace diff --help` has examples.";

pub(super) const DIFF_EXAMPLES: &str = "\
Examples:
  bittrace diff reference.pcap candidate.pcapng
  bittrace diff reference.pcap candidate.pcapng --only announce-request,handshake --hex
  bittrace diff reference.pcap candidate.pcapng --mask announce-request.numwant=ignore
  bittrace diff reference.pcap candidate.pcapng --allow moved
  bittrace diff a.pcap a.pcap --no-mask
  bittrace diff a.pcap b.pcap --format json | jq -c 'select(.verdict == \"differs\")'

Messages are paired by what they name (piece, offset, length), or by type and order. A pair is
  same     the same bytes at the same position
  masked   the same, except for differences that a mask allows
  differs  different content
  moved    the same content at another position
  missing  only in the reference
  extra    only in the candidate
Coverage is the share of the reference that has a counterpart; fidelity is the share of those pairs
that are same, masked or moved.

Exit codes:
    0  no difference, or only those that masks and --allow permit; also without BitTorrent traffic
    1  differences
    2  error: bad usage, unreadable input, a mask that matches nothing
  130  interrupted";

pub(super) const REPLAY_AFTER: &str = "\
Exit codes: 0 no difference, 1 differences, 2 error, 130 interrupted.
`bittrace replay --help` has examples.";

pub(super) const REPLAY_EXAMPLES: &str = "\
Without a client and without --listen, the capture is played to bittrace itself, which imitates the capture's client: no sockets, the same bytes every time. With a client, bittrace starts the client, plays the recorded trackers, over HTTP and UDP, and peers to it on loopback, and compares its messages with those of the capture's client.

Examples:
  bittrace replay ref.pcap
  bittrace replay ref.pcap -- aria2c -d {dir} --seed-time=0 --listen-port {port} {torrent}
  bittrace replay ref.pcap -- aria2c -d {dir} --seed-time=0 --listen-port {port} {magnet}
  bittrace replay ref.pcap --hex -- transmission-cli -M -w {dir} -p {port} {torrent}
  bittrace replay ref.pcap --disturb all -- aria2c -d {dir} --seed-time=0 {torrent}
  bittrace replay ref.pcap --disturb corrupt=2 --disturb drop=9 -- aria2c -d {dir} {torrent}
  bittrace replay seeding.pcap -- aria2c -d {dir} --check-integrity=true --seed-time=600 --listen-port {port} {torrent}
  bittrace replay ref.pcap --disturb lose=1 -- aria2c -d {dir} --enable-dht=true {torrent}
  bittrace replay ref.pcap --listen 127.0.0.2:6969     for a client started by hand
  bittrace replay dht.pcap -- aria2c -d {dir} --seed-time=0 --enable-dht=true --dht-entry-point={dht} --dht-listen-port={port} {magnet}
  bittrace replay utp.pcap -- bittrace download --like utp.pcap -o {dir} --port {port} {torrent}

Where the capture's client seeds (it gave more blocks than it took and asked for no metadata, or --role seeder), the client is to seed as well: {dir} holds the content, from the capture or --content, and the recorded downloader is played. Its requests follow the client's blocks at their recorded pace, and each block is compared with the content.

These are rewritten, everything else is sent as recorded: the addresses in the responses of trackers become those of the played peers, and the ids of extensions become those that the receiver chose; over UDP the response has the transaction id of the request. Blocks are sent when they are requested.

Nodes of the DHT in the capture answer queries by method and target with their recorded ids and tokens, and ask what they asked; the addresses of nodes and peers that they name become those of the played ones. A client that is given {dht} finds the peers that nodes name through them: {magnet} does not name these peers then.

A peer that spoke over uTP in the capture listens on UDP and TCP, or connects over uTP as recorded. The streams are compared, and the packets are counted.

Exit codes:
    0  no difference, or only those that masks and --allow permit; with --disturb: complete
    1  differences; with --disturb: incomplete
    2  error: bad usage, unreadable input, a client that cannot be started
  130  interrupted with Ctrl-C: bittrace says what was kept, and compares what there was";

pub(super) const PROFILE_AFTER: &str = "\
Examples:
  bittrace profile reference.pcap
  bittrace profile reference.pcap --format json | jq .profile

not seen: the capture does not show it. download --like and replay imitate this behaviour, and use bittrace's own for the rest.";

pub(super) const DISTURB_HELP: &str = "\
A fault that the replayed peers cause on purpose, to see how the client reacts. The first run is undisturbed, then there is a run for each disturbance. Can be repeated:
  all                each of these in turn
  split=bytes        every byte in its own segment
  split=boundaries   segments end a byte before and after the end of each message
  delay=MS           every message this many milliseconds late (100)
  reorder            blocks in the opposite order
  drop=N             closes the connection after message N (5)
  corrupt=N          changes one byte of block N (1)
  duplicate=N        sends block N twice (1)
  unknown=ID         sends a message with an unassigned id (200)
  overlong=N         sends a length prefix of 2 GiB after message N (5)
  lose=N             response N (1) of the trackers over UDP is lost; all: where the capture has one";

pub(super) const MASK_HELP: &str = "\
How a field may differ; can be repeated. The message is a name such as announce-request, a protocol such as peer-wire, or *; the field is its path as in the report, such as numwant, v or headers.User-Agent, and includes everything inside it.

Rules: exact (the same bytes), bind (the first value is matched to the reference's and must then stay the same), ignore (may differ), context (shown, may differ).

Random values and values of the environment are masked by default: peer id (but not the client's name in it), key, ports, addresses, the tracker's host, transaction and connection ids. The report lists each use.";

pub(super) const FILTER_HELP: &str = "\
Only messages that match this expression.

Operators: == != < <= > >=; ~ or contains (part of a text, address in a network); matches (regular expression, case does not matter); in {a, b, 1..5} and not in; a name alone (present); and && or || not !, parentheses. A comparison with a field that a message lacks is false. A value that no message can have is an error.

Values: numbers with units where they have one (500ms, 1.5s, 2min; 16KiB, 1MB), 0x hexadecimal; times such as 2026-01-02T03:04:05Z; addresses, with or without a port, and networks (10.0.0.0/8); at least 6 digits of a hash.

Names: n, time, elapsed, capture, frame, frames, stream, ws_stream, community_id, src, dst, addr, port (of either end), speaker, transport, protocol, message, message_id, offset, length, summary, client, torrent, decrypted, answers, latency, severity, rule, notes; and those of the message's own fields, such as index, begin, extension, info_hash, left, m.ut_metadata: bittrace fields lists all. fields.NAME is always the message's own field: length is the length of the message, fields.length that of the block.

Wireshark's names with the same meaning: frame.number, frame.time_relative, ip.addr, ip.src, ip.dst, ipv6.addr, tcp.stream, tcp.port, tcp.srcport, udp.stream, udp.port, bittorrent.msg.type, bittorrent.piece.index, bittorrent.piece.begin, bittorrent.info_hash, bittorrent.peer_id, http.user_agent, http.response.code and others; tcp, udp, bittorrent, bt-dht and http alone.";

pub(super) const LIMIT_HELP: &str = "\
At most N messages of each capture, and N connections in conversations; 0 for all. Default: all with --view or --format, and the first 50 after the summary.";

pub(super) const EXTRACT_AFTER: &str = "\
Exit codes: 0 all files complete, 1 something is missing, 2 error, 130 interrupted.
`bittrace extract --help` has examples.";

pub(super) const EXTRACT_EXAMPLES: &str = "\
Examples:
  bittrace extract capture.pcap --torrent t.torrent -o out
  bittrace extract magnet.pcap -o out                 also the torrent, if peers sent it
  bittrace extract monday.pcap tuesday.pcap.gz --torrent t.torrent -o out
  bittrace extract lossy.pcap --torrent t.torrent -o out --unverified
  bittrace extract capture.pcap --torrent t.torrent -o out --format json | jq '.files[]? | .missing'

Blocks are taken from every connection, and each piece is checked against the torrent's hash. If
peers sent different data for a block, the version that matches the hash is kept, and the peers
that sent anything else are named. A file gets its final name when every byte is verified. Other
files end in .part, and missing bytes are holes. Nothing is written outside DIR. With --unverified,
the blocks of an unknown torrent go to INFO_HASH.unverified in order.

Exit codes:
    0  every file of every torrent is complete and verified
    1  bytes are missing, or pieces have a wrong hash
    2  error: bad usage, unreadable input, an existing file, an unknown torrent
  130  interrupted; the results up to then are written";

pub(super) const DOWNLOAD_AFTER: &str = "Examples: see bittrace download --help";

pub(super) const ALLOW_LOCAL_HELP: &str = "\
Let the URLs of the torrent or link lead to anything in local networks

The URLs of a torrent or link are chosen by whoever made it, and could ask a router or
a printer of your network for something that it acts on. So at addresses of this
machine and of local networks (127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16,
169.254.0.0/16, 100.64.0.0/10, ::1, fc00::/7, fe80::/10) a tracker is asked for
/announce alone, without a query of its own in the URL, web seeds there are not used,
and no server of the Internet can redirect to them. Trackers over UDP and peers are
not concerned. With this option all URLs are used as they are: for a torrent of your
own network, whose web seed is a server there.";

pub(super) const ENCRYPTION_HELP: &str = "\
When connections to peers are encrypted (message stream encryption)

  off      never: encrypted connections are refused
  allow    peers may choose: connect in clear, and encrypted if the peer closes that
           connection before its handshake (default)
  prefer   connect encrypted, and in clear if that fails; peers that connect may choose
  require  always, with RC4: connections in clear are refused

With --like, the default is what the capture shows of its client: off if it has no key.
--record writes the keys into the recording, so that analyze reads it.";

pub(super) const UTP_HELP: &str = "\
When connections to peers use uTP, a transport over UDP that gives way to other traffic

  off      never: connections to peers are over TCP
  allow    connect over TCP, or first over uTP to peers that others say take it, and
           the other way as well after a second without an answer; the first to
           answer is used, and peers that connect may choose (default)
  prefer   connect over uTP, and over TCP as well if uTP has not answered after a second
  require  always: no connections to peers over TCP

The UDP port has the number of the TCP port. --record writes the UDP packets as they are.
With --like, the default is what the capture shows: off if it has no connection over uTP.
With --single-peer, the default is off.";

pub(super) const SELECT_HELP: &str = "\
Download these files alone; can be repeated

  0,2,4-6     files by their numbers, which bittrace torrent show lists, from 0 (BEP 53)
  sub/b.txt   a file by its path or by its name alone, or the files of a folder
  '*.txt'     files by a pattern: * stands for any characters, ? for one

A magnet link may choose files itself (so=0,2,4-6); --select comes before that choice.
Only pieces in which bytes of these files lie are downloaded, and no other file is made.
A piece that ends in another file is kept beside the download, in a hidden file
(.NAME.HASH.bittrace-pieces): a later run with other files, or with all, goes on from
there.";

pub(super) const DOWNLOAD_EXAMPLES: &str = "\
Examples:
  bittrace download file.torrent                      into this folder
  bittrace download file.torrent --select 0,2,4-6     these files alone, by their numbers
  bittrace download file.torrent --select '*.txt'     the files whose names end so
  bittrace download file.torrent --like ref.pcap --against ref.pcap
                                                      behave like a capture's client, and compare
  bittrace download file.torrent -o /tmp --seed=1.5   and seed up to a ratio of 1.5
  bittrace download https://example.org/file.torrent --record live.pcapng
  bittrace download file.torrent -q --record - | tshark -i - -Y bittorrent
                                                      and show each message in tshark
  bittrace download file.torrent --trace              and show each message at once
  bittrace download file.torrent --single-peer        from one peer at a time
  bittrace download file.torrent --dht-node 10.0.0.2:6881
                                                      with the DHT of a network of your own
  bittrace download 'magnet:?xt=urn:btih:HASH&tr=URL'  the torrent itself comes from peers
  bittrace download 'magnet:?xt=urn:btmh:1220HASH&tr=URL'
                                                      the same for a torrent of version 2

--record FILE can be a named pipe: the download begins when a program reads it, and goes on when
that program has gone. With --record - the recording goes to standard output, and everything else
to standard error; the download ends when the program that reads it ends.

Peers of a torrent that is not private are also looked for in the DHT, over UDP on the port of the
same number. It begins with nodes of earlier runs, of the torrent and of peers. While none of them
answers it asks router.bittorrent.com, dht.transmissionbt.com and router.utorrent.com; not with
--dht-node, nor where --listen has loopback addresses only. --like goes without the DHT, unless
--dht-node is given. Nodes are kept in
  Linux, macOS  $XDG_STATE_HOME/bittrace/dht.dat, or ~/.local/state/bittrace/dht.dat
  Windows       %LOCALAPPDATA%\\bittrace\\dht.dat

Files get their final names only when they are complete and verified. An interrupted run (Ctrl-C,
power failure) resumes where it stopped. The first Ctrl-C announces stopped to the trackers and
closes the connections; the second ends the run at once.

Exit codes:
    0  complete
    1  incomplete
    2  error: bad usage, an unreadable torrent, a full disk
  130  stopped by Ctrl-C";

pub(super) const EXTCAP_AFTER: &str = "`bittrace extcap --help` has examples.";

pub(super) const EXTCAP_EXAMPLES: &str = "\
Examples:
  bittrace extcap --install                           make the interfaces known to Wireshark
  tshark -D                                           and see them
  tshark -i bittrace-download -o extcap.bittrace_download.torrent:file.torrent \\
      -o extcap.bittrace_download.output:downloads -Y bittorrent
                                                      a download, shown as it runs
  tshark -i bittrace-file -o extcap.bittrace_file.file:capture.pcap
                                                      a capture, as if it came now

In Wireshark, the interfaces stand among the others; the gear beside each has its options. A
download ends when the capture is stopped.";

pub(super) const FETCH_EXAMPLES: &str = "\
Examples:
  bittrace torrent fetch 'magnet:?xt=urn:btih:HASH&tr=http://t.test/announce' -o t.torrent
  bittrace torrent fetch LINK -o t.torrent --format json | jq .files
  bittrace torrent fetch LINK -o - | bittrace torrent show -

The trackers and web seeds of the link become those of the torrent. Nothing is downloaded
but the torrent itself.

Exit codes:
    0  the torrent is there
    2  error: bad usage, or no peer has it
  130  stopped by Ctrl-C";

pub(super) const TORRENT_EXAMPLES: &str = "\
Examples:
  bittrace torrent show t.torrent
  bittrace torrent show t.torrent --format json | jq .info_hash";
