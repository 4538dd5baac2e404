// The messages that are in the file, by number and by place, and the sentences about them.

const messages = data.messages;
const placeOfNumber = new Map();
messages.n.forEach((n, place) => placeOfNumber.set(n, place));

const SEVERITY = ["", "note", "warn", "error"];
const GLYPH = { error: "✕", warn: "▲", note: "●" };

// The place of message `n`, or -1 where only the capture has it.
function placeOf(n) {
    const place = placeOfNumber.get(n);
    return place === undefined ? -1 : place;
}

function nameAt(place) {
    return data.names[messages.name[place]];
}

// The text of a message as its name and the rest.
function partsAt(place) {
    const name = nameAt(place);
    const summary = messages.summary[place];
    if (summary.startsWith(name)) return [name, summary.slice(name.length)];
    const first = summary.split(" ", 1)[0];
    if (first.length > 2 && name.startsWith(first)) return [first, summary.slice(first.length)];
    return [name, summary ? ` ${summary}` : ""];
}

function severityAt(place) {
    return SEVERITY[messages.severity[place]];
}

// The notes of note, warn and error of a message: [severity, rule, text].
function notesAt(place) {
    return (messages.notes[place] || []).filter(([severity]) => severity > 0);
}

function colourAt(place) {
    const lane = messages.lane[place];
    return lane >= 0 ? colourOf(data.lanes[lane].end) : colour.soft;
}

function classAt(place) {
    const lane = messages.lane[place];
    return lane >= 0 ? classOf(data.lanes[lane].end) : "plain";
}

// What directions are called: of the local host, or of who opened the connection where no host is local.
const SENT = data.has_roles ? "from the initiator" : "sent";
const RECEIVED = data.has_roles ? "to the initiator" : "received";

function isOutgoing(place) {
    return messages.local ? messages.local[place] === 1 : messages.from[place] === 0;
}

// Two lines for a message: what it says, and when.
function sentenceOf(n) {
    const place = placeOf(n);
    if (place < 0) return [`#${grouped(n)} is in the capture, not in this file`];
    const note = notesAt(place).find(([severity]) => severity === messages.severity[place]);
    const glyph = GLYPH[severityAt(place)];
    const first = note && note[0] > 1 ? `${glyph} ${note[2]}` : `#${grouped(n)} ${partsAt(place).join("")}`;
    return [first, `${seconds(messages.t[place])} s${latencyText(place)}`];
}

function latencyText(place) {
    const us = messages.latency_us[place];
    if (us < 0) return "";
    return nameAt(place) === "piece"
        ? `, ${duration(us)} after its request`
        : `, ${duration(us)} after #${messages.answers[place]}`;
}

// The command that shows what is not in the file.
function commandFor(filter) {
    return `bittrace analyze ${data.capture.name} --filter '${filter}'`;
}

function endLabel(end) {
    return end >= 0 ? `${data.ends[end].label} at ${data.ends[end].address}` : "other peers";
}

// The messages of a rule of one severity, over all findings, each once: [t, n, text].
function findingMarks(severity) {
    const marks = [];
    for (const finding of data.findings) {
        if (finding.severity !== severity) continue;
        finding.t.forEach((t, i) => marks.push([t, finding.n[i], finding.title]));
    }
    return marks;
}
