// The names of a filter: the keys of a message, its own fields, and Wireshark's names. For each: its type, and what a
// message of this file has under it.

// Who may speak: first the near side, then the other.
const SPEAKERS = data.has_roles ? ["initiator", "responder"] : ["local", "far"];

const NUMBER = { kind: "number", unit: "" };
const BYTES = { kind: "number", unit: "bytes" };
const SECONDS = { kind: "number", unit: "seconds" };
const TEXT = { kind: "text" };
const END = { kind: "end" };
const ADDRESS = { kind: "address" };
const PROTOCOL_NAMES = ["http-tracker", "udp-tracker", "peer-wire", "dht", "lsd", "utp", "mse", "web-seed", "proxy"];
const TRANSPORTS = ["tcp", "udp", "utp"];

function column(name, place, absent) {
    const value = messages[name] ? messages[name][place] : absent;
    return value === absent ? [] : [value];
}

function sourceOf(place) {
    return endText(data.hosts[messages.from[place]], messages.sport && messages.sport[place]);
}

function destinationOf(place) {
    return endText(data.hosts[messages.to[place]], messages.dport && messages.dport[place]);
}

// The address of a host or far end without its port. On loopback a host of the list may have a port, too.
function addressOfHost(host) {
    if (!host) return "";
    const found = parseEndpoint(host.address);
    return found ? host.address.replace(/:\d+$/, "").replace(/^\[|\]$/g, "") : host.address;
}

function endText(host, port) {
    const address = addressOfHost(host);
    if (port === undefined || !address) return address;
    return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

function protocolAt(place) {
    if (messages.protocol) return data.protocols[messages.protocol[place]];
    return messages.lane[place] >= 0 ? "peer-wire" : "";
}

function transportAt(place) {
    return messages.transport ? TRANSPORTS[messages.transport[place]] : "tcp";
}

const numbers = (list) => list.map((number) => ({ number }));
const texts = (list) => list.map((text) => ({ text }));
const ends = (hosts) =>
    hosts.filter((host) => data.hosts[host]).map((host) => ({ end: addressOfHost(data.hosts[host]) }));
const notesOf = (place) => messages.notes[place] || [];
const startTime = () => parseTime(data.capture.start) || 0;

// Each key: its type, and the values of the message at a place (none where it has nothing there).
const KEYS = {
    n: [NUMBER, (i) => numbers([messages.n[i]])],
    n_in_capture: [NUMBER, (i) => numbers([messages.n[i]])],
    time: [{ kind: "time" }, (i) => [{ time: startTime() + messages.t[i], text: "" }]],
    elapsed: [SECONDS, (i) => numbers([messages.t[i] / 1e6])],
    capture: [TEXT, () => texts([data.capture.name])],
    frames: [NUMBER, (i) => numbers(messages.frames[i])],
    frame: [NUMBER, (i) => numbers(messages.frames[i].slice(-1))],
    stream: [NUMBER, (i) => numbers([messages.stream[i]])],
    wireshark: [TEXT, () => []],
    ws_stream: [NUMBER, (i) => numbers(column("ws_stream", i, -1))],
    src: [END, (i) => ends([messages.from[i]]).map(() => ({ end: sourceOf(i) }))],
    src_addr: [ADDRESS, (i) => ends([messages.from[i]])],
    src_port: [NUMBER, (i) => numbers(column("sport", i))],
    dst: [END, (i) => ends([messages.to[i]]).map(() => ({ end: destinationOf(i) }))],
    dst_addr: [ADDRESS, (i) => ends([messages.to[i]])],
    dst_port: [NUMBER, (i) => numbers(column("dport", i))],
    addr: [ADDRESS, (i) => ends([messages.from[i], messages.to[i]])],
    port: [NUMBER, (i) => numbers([...column("sport", i), ...column("dport", i)])],
    speaker: [{ kind: "word", words: [...SPEAKERS] }, (i) => texts([SPEAKERS[isOutgoing(i) ? 0 : 1]])],
    transport: [{ kind: "word", words: TRANSPORTS }, (i) => texts([transportAt(i)])],
    protocol: [{ kind: "word", words: PROTOCOL_NAMES }, (i) => texts([protocolAt(i)])],
    message: [{ kind: "message" }, (i) => texts([nameAt(i)])],
    message_id: [NUMBER, (i) => numbers(column("id", i, -1))],
    offset: [BYTES, (i) => numbers([messages.offset[i]])],
    length: [BYTES, (i) => numbers([messages.length[i]])],
    summary: [TEXT, (i) => texts([messages.summary[i]])],
    fields: [TEXT, (i) => texts(Object.keys(fieldsOf(i)))],
    client: [TEXT, (i) => texts(column("client", i, -1).map((index) => data.clients[index]))],
    torrent: [{ kind: "hash" }, (i) => texts(column("torrent", i, -1).map((index) => data.torrents[index]))],
    decrypted: [{ kind: "flag" }, (i) => texts(column("decrypted", i, 0).map(() => "true"))],
    answers: [NUMBER, (i) => numbers(column("answers", i, 0))],
    latency: [SECONDS, (i) => numbers(column("latency_us", i, -1).map((us) => us / 1e6))],
    notes: [TEXT, (i) => texts(notesOf(i).map(([, , text]) => text))],
    severity: [{ kind: "severity" }, (i) => notesOf(i).map(([severity]) => ({ severity }))],
    rule: [{ kind: "rule" }, (i) => texts(notesOf(i).map(([, rule]) => rule))],
    bytes: [{ kind: "hex" }, (i) => texts(messages.bytes[i] ? [messages.bytes[i]] : [])],
};

const isOneOf =
    (...names) =>
    (i) =>
        names.includes(protocolAt(i));
const hostVersion = (i) => (addressOfHost(data.hosts[messages.from[i]]).includes(":") ? 6 : 4);
// Messages that a name of Wireshark's is about.
const SCOPES = {
    tcp: (i) => transportAt(i) === "tcp",
    udp: (i) => transportAt(i) !== "tcp",
    "bt-utp": (i) => transportAt(i) === "utp",
    ip: (i) => hostVersion(i) === 4,
    ipv6: (i) => hostVersion(i) === 6,
    bittorrent: isOneOf("peer-wire"),
    "bt-dht": isOneOf("dht"),
    http: isOneOf("http-tracker", "web-seed"),
};

// Wireshark's names: scope and name of ours.
const WIRESHARK = {
    "wireshark.stream": [null, "ws_stream"],
    "wireshark.frame": [null, "frame"],
    "frame.number": [null, "frame"],
    "frame.time": [null, "time"],
    "frame.time_relative": [null, "elapsed"],
    "ip.addr": ["ip", "addr"],
    "ip.src": ["ip", "src_addr"],
    "ip.dst": ["ip", "dst_addr"],
    "ipv6.addr": ["ipv6", "addr"],
    "ipv6.src": ["ipv6", "src_addr"],
    "ipv6.dst": ["ipv6", "dst_addr"],
    "tcp.stream": ["tcp", "ws_stream"],
    "tcp.port": ["tcp", "port"],
    "tcp.srcport": ["tcp", "src_port"],
    "tcp.dstport": ["tcp", "dst_port"],
    "udp.stream": ["udp", "ws_stream"],
    "udp.port": ["udp", "port"],
    "udp.srcport": ["udp", "src_port"],
    "udp.dstport": ["udp", "dst_port"],
    "bittorrent.msg.type": ["bittorrent", "message_id"],
    "bittorrent.msg.bitfield": ["bittorrent", "fields.bitfield"],
    "bittorrent.piece.index": ["bittorrent", "fields.index"],
    "bittorrent.piece.begin": ["bittorrent", "fields.begin"],
    "bittorrent.info_hash": ["bittorrent", "fields.info_hash"],
    "bittorrent.peer_id": ["bittorrent", "fields.peer_id"],
    "bittorrent.reserved": ["bittorrent", "fields.reserved_hex"],
    "bittorrent.port": ["bittorrent", "fields.port"],
    "bittorrent.extended.id": ["bittorrent", "fields.extended_id"],
    "bt-dht.id": ["bt-dht", "fields.id"],
    "http.request.method": ["http", "fields.method"],
    "http.response.code": ["http", "fields.status"],
    "http.user_agent": ["http", "fields.headers.User-Agent"],
    "http.host": ["http", "fields.headers.Host"],
};

const fieldCache = new Map();

// The object `fields` of a message: as the command line has it, or made of the fields that are shown.
function fieldsOf(place) {
    if (messages.values) return messages.values[place] || {};
    if (!fieldCache.has(place)) {
        const made = {};
        for (const [name, value] of messages.fields[place] || []) {
            const typed = plainNumber(value) ?? value;
            if (made[name] === undefined) made[name] = typed;
            else made[name] = [].concat(made[name], typed);
        }
        fieldCache.set(place, made);
    }
    return fieldCache.get(place);
}

// What a message has under a path in its fields. Case does not matter, and a blank may be written as "_".
function findField(fields, path) {
    if (Object.hasOwn(fields, path)) return fields[path];
    const same = (name) => name.toLowerCase().replace(/ /g, "_") === path.toLowerCase().replace(/ /g, "_");
    const name = Object.keys(fields).find(same);
    if (name !== undefined) return fields[name];
    const dot = path.indexOf(".");
    if (dot < 0) return undefined;
    const inner = Object.hasOwn(fields, path.slice(0, dot)) ? fields[path.slice(0, dot)] : undefined;
    return inner && typeof inner === "object" && !Array.isArray(inner)
        ? findField(inner, path.slice(dot + 1))
        : undefined;
}

// The values of a field, as a comparison takes them. `null` and booleans compare with nothing.
function valuesOf(value) {
    if (Array.isArray(value)) return value.flatMap(valuesOf);
    if (value !== null && typeof value === "object") return texts(Object.keys(value));
    if (typeof value === "number") return numbers([value]);
    return typeof value === "string" ? texts([value]) : [];
}

let knownFields = null;

// The names of fields with their types: of the catalog where the file has it, else of the messages in the file.
function fieldTypes() {
    if (knownFields) return knownFields;
    knownFields = {};
    if (data.vocabulary) {
        for (const [name, type] of Object.entries(data.vocabulary.fields)) {
            knownFields[name.toLowerCase().replace(/ /g, "_")] =
                type === "number" ? NUMBER : type === "bytes" ? BYTES : type === "seconds" ? SECONDS : { kind: type };
        }
        return knownFields;
    }
    messages.n.forEach((_, place) => {
        for (const [name, value] of Object.entries(fieldsOf(place))) {
            knownFields[name.toLowerCase().replace(/ /g, "_")] ??=
                typeof value === "number" ? { kind: "number", unit: "any" } : TEXT;
        }
    });
    return knownFields;
}

function messageNames() {
    return (data.vocabulary && data.vocabulary.messages) || data.names;
}

function ruleNames() {
    return (data.vocabulary && data.vocabulary.rules) || [];
}

// A name of a filter: its type, its values at a place, whether something stands there. Throws text for an unknown name.
function nameOf(text) {
    const bare = text.replace(/^(notes\.)+/, "");
    if (bare.startsWith("fields.") && bare.length > 7) return fieldName(bare.slice(7));
    if (Object.hasOwn(KEYS, bare)) {
        const [type, values] = KEYS[bare];
        return { key: bare, type, values, isThere: (i) => values(i).length > 0 };
    }
    if (Object.hasOwn(WIRESHARK, bare)) {
        const [scope, ours] = WIRESHARK[bare];
        const name = nameOf(ours);
        const holds = scope ? SCOPES[scope] : () => true;
        return {
            type: name.type,
            values: (i) => (holds(i) ? name.values(i) : []),
            isThere: (i) => holds(i) && name.isThere(i),
        };
    }
    const known = fieldTypes();
    const lower = bare.toLowerCase();
    if (Object.hasOwn(known, lower) || Object.hasOwn(known, lower.split(".")[0])) return fieldName(bare);
    const close = closeTo(bare, [...Object.keys(KEYS), ...Object.keys(known), ...Object.keys(WIRESHARK)]);
    throw close.length
        ? `unknown name "${bare}"; did you mean ${close.join(" or ")}? (fields.${bare} is any field of that name)`
        : `unknown name "${bare}"; known names are ${Object.keys(KEYS).join(", ")}, and the fields that bittrace fields lists; fields.NAME is any field of a message`;
}

function fieldName(path) {
    const known = fieldTypes();
    const lower = path.toLowerCase().replace(/ /g, "_");
    return {
        type: Object.hasOwn(known, lower) ? known[lower] : TEXT,
        values: (i) => valuesOf(findField(fieldsOf(i), path)),
        isThere: (i) => findField(fieldsOf(i), path) !== undefined,
    };
}
