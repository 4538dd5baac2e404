// The pairs of messages of two captures, and the rows that they stand in: these were laid out when the page was written.

const pairs = data.pairs;
const GLYPHS = ["=", "≈", "≠", "↕", "−", "+"];
const JUDGED = 1;
const SENT = 2;
const MOVED = 4;
const LOST = 8;
const IDENTITY = 16;
const DISAGREES = 32;

function has(pair, flag) {
    return (pairs.flags[pair] & flag) !== 0;
}

// The message of a pair on one side, as one line without its number. Some say their name themselves.
function messageText(side, pair) {
    const summary = pairs[side].summary[pair] || pairs.reference.summary[pair];
    const name = data.names[pairs.name[pair]];
    return summary.startsWith(name.split("-")[0]) ? summary : `${name} ${summary}`.trim();
}

// The verdict in words.
function verdictText(pair) {
    if (has(pair, LOST))
        return pairs.reference.n[pair] ? "lost by the candidate's capture" : "lost by the reference's capture";
    return data.verdicts[pairs.verdict[pair]];
}

// The class that shows the verdict of a pair.
function verdictClass(pair) {
    if (has(pair, LOST) || !has(pair, JUDGED)) return "v-context";
    return `v-${data.verdicts[pairs.verdict[pair]]}`;
}

// The rows that are shown, as { kind, ... }, and where each pair stands.
class SideRows {
    constructor(withAll, onlyDifferences) {
        this.rows = [];
        this.place = { reference: new Map(), candidate: new Map() };
        this.stops = [];
        data.conversations.forEach((conversation, index) => {
            const columns = (withAll && conversation.all) || conversation.rows;
            if (columns.reference.length) this.add(conversation, index, columns, onlyDifferences);
        });
    }

    add(conversation, index, columns, onlyDifferences) {
        this.rows.push({ kind: "conversation", conversation: index });
        let alike = 0;
        const differs = (pair) => pair >= 0 && has(pair, DISAGREES);
        const close = () => {
            if (alike) this.rows.push({ kind: "alike", count: alike });
            alike = 0;
        };
        columns.reference.forEach((reference, at) => {
            const candidate = columns.candidate[at];
            if (reference < -1) {
                close();
                const hole = { text: conversation.holes[-2 - reference], command: conversation.command };
                this.stops.push({ row: this.rows.length, hole });
                this.rows.push({ kind: "hole", hole, stop: this.stops.length - 1 });
                return;
            }
            if (onlyDifferences && !differs(reference) && !differs(candidate)) {
                alike += 1;
                return;
            }
            close();
            const row = { kind: "messages", reference, candidate, stops: {} };
            for (const side of ["reference", "candidate"]) {
                if (row[side] < 0) continue;
                this.place[side].set(row[side], this.rows.length);
                if (side === "candidate" && row.reference === row.candidate) row.stops.candidate = row.stops.reference;
                else {
                    row.stops[side] = this.stops.length;
                    this.stops.push({ row: this.rows.length, side, pair: row[side] });
                }
            }
            this.rows.push(row);
        });
        close();
    }

    // The stop of a pair: of its reference's message, where that is shown.
    stopOf(pair) {
        for (const side of ["reference", "candidate"]) {
            const row = this.place[side].get(pair);
            if (row !== undefined) return this.rows[row].stops[side];
        }
        return -1;
    }
}
