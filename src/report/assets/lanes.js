// Lanes that are not about single connections: findings, all messages, trackers, DHT and local discovery.

function findingsLane() {
    const rows = [
        ["error", 10],
        ["warn", 22],
        ["note", 33],
    ];
    const marks = rows.map(([severity, y]) => [severity, y, findingMarks(severity)]);
    const total = marks.reduce((sum, [, , list]) => sum + list.length, 0);
    if (!total) return null;
    return new Surface({
        title: "Findings",
        notes: ["✕ error ▲ warning ● note"],
        height: 42,
        sentence: `findings over time: ${plural(data.totals.errors, "error")}, ${plural(data.totals.warnings, "warning")}, ${plural(data.totals.notes, "note")}`,
        draw(pen) {
            for (const [severity, y, list] of marks) {
                for (const [t, n, title] of list) {
                    if (!pen.sees(t)) continue;
                    const x = pen.x(t);
                    drawFinding(pen.g, severity, x, y);
                    pen.mark(x - 5, y - 5, 10, 10, n, () => findingText(severity, t, n, title));
                }
            }
        },
        table: () => ({
            heads: ["seconds", "#", "severity", "rule", "finding"],
            rows: data.findings.flatMap((finding) =>
                finding.t.map((t, i) => [seconds(t), finding.n[i], finding.severity, finding.rule, finding.title]),
            ),
        }),
    });
}

function drawFinding(g, severity, x, y) {
    if (severity === "error") return cross(g, x, y, 4, colour.wrong);
    g.fillStyle = severity === "warn" ? colour.warn : colour.note;
    if (severity === "warn") triangle(g, x, y, 4.5, true, true);
    else disc(g, x, y, 2.5);
}

function findingText(severity, t, n, title) {
    const place = placeOf(n);
    const note = place < 0 ? null : notesAt(place).find(([kind]) => SEVERITY[kind] === severity);
    return [`${GLYPH[severity]} #${grouped(n)} ${note ? note[2] : title}`, `${seconds(t)} s`];
}

const KINDS = [
    ["blocks", "blocks"],
    ["requests", "requests"],
    ["haves", "have"],
    ["other_peer", "other messages of peers"],
    ["trackers_dht", "trackers and DHT"],
];

function kindAt(place) {
    if (messages.lane[place] < 0 && !isPeerWire(place)) return 4;
    return { piece: 0, request: 1, have: 2 }[nameAt(place)] ?? 3;
}

function isPeerWire(place) {
    if (!messages.protocol) return messages.lane[place] >= 0;
    return ["peer-wire", "mse", "utp"].includes(data.protocols[messages.protocol[place]]);
}

// Whether every message is in the file.
function isComplete() {
    return !data.holes.length && messages.n.length === data.totals.messages;
}

// Messages by kind in bars of `bin` microseconds: from the messages where all are in the file, else from the counts.
function barsOf(wanted) {
    const bars = new Map();
    const barAt = (at, n) => {
        if (!bars.has(at)) bars.set(at, { sums: [0, 0, 0, 0, 0], total: 0, n });
        return bars.get(at);
    };
    const add = (bar, kind, count) => {
        bar.sums[kind] += count;
        bar.total += count;
    };
    if (isComplete()) {
        messages.t.forEach((t, place) => add(barAt(Math.floor(t / wanted), messages.n[place]), kindAt(place), 1));
        return { bin: wanted, bars };
    }
    const { counts } = data;
    const every = Math.max(1, Math.round(wanted / counts.bin));
    KINDS.forEach(([key], kind) =>
        counts[key].forEach((count, bin) => {
            if (count) add(barAt(Math.floor(bin / every), 0), kind, count);
        }),
    );
    return { bin: every * counts.bin, bars };
}

const WIDEST_BAR = 60;

// By event, bursts are spread: bars become shorter until none is a block that hides the burst.
function narrowBars(pen, wanted) {
    let result = barsOf(wanted);
    for (let halvings = 0; halvings < 10 && pen.axis.mode === "event" && isComplete() && result.bin > 1; halvings++) {
        const { bin, bars } = result;
        const isWide = [...bars].some(
            ([at, bar]) => bar.total > 3 && pen.x((at + 1) * bin) - pen.x(at * bin) > WIDEST_BAR,
        );
        if (!isWide) break;
        result = barsOf(Math.max(1, Math.round(bin / 2)));
    }
    return result;
}

const LOG_ABOVE = 200;

function messagesLane() {
    const height = 56;
    let last = { key: "", result: null };
    return new Surface({
        title: "All messages",
        notes: ["", "darkest: blocks, then requests"],
        height,
        sentence: `all ${plural(data.totals.messages, "message")} over time, by kind: ${KINDS.map(
            ([key, name]) => `${grouped(data.counts[key].reduce((a, b) => a + b, 0))} ${name}`,
        ).join(", ")}`,
        draw(pen, surface) {
            const visible = pen.axis.to() - pen.axis.from();
            const wanted = Math.max(1, Math.round(visible / Math.max(20, Math.floor(pen.inner / 7))));
            const key = `${pen.axis.mode} ${wanted} ${pen.axis.left} ${pen.inner}`;
            if (last.key !== key) last = { key, result: narrowBars(pen, wanted) };
            const { bin, bars } = last.result;
            const inside = [];
            for (const [at, bar] of bars) {
                const from = Math.max(at * bin, pen.axis.start);
                const to = Math.min((at + 1) * bin, pen.axis.end);
                if (to < pen.axis.from() || from > pen.axis.to()) continue;
                inside.push([from, to, bar]);
            }
            const most = inside.reduce((sum, [, , bar]) => Math.max(sum, bar.total), 1);
            const isLog = most > LOG_ABOVE;
            const tall = (total) => (isLog ? Math.log1p(total) / Math.log1p(most) : total / most) * (height - 8);
            for (const [from, to, bar] of inside) {
                const [x0, x1] = [pen.x(from), Math.max(pen.x(to), pen.x(from) + 2)];
                const wide = x1 - x0 > 4 ? x1 - x0 - 1 : x1 - x0;
                const whole = Math.max(2, tall(bar.total));
                let y = height - 2;
                bar.sums.forEach((count, kind) => {
                    if (!count) return;
                    const h = (whole * count) / bar.total;
                    pen.g.fillStyle = colour["grey" + kind];
                    pen.g.fillRect(x0, y - h, wide, h);
                    y -= h;
                });
                pen.g.fillStyle = colour.faint;
                pen.g.fillRect(x0, y - 1, wide, 1);
                pen.mark(x0, height - 2 - whole, wide, whole, bar.n, () => [
                    `${plural(bar.total, "message")} in ${duration(bin)}`,
                    KINDS.map(([, name], kind) => [bar.sums[kind], name])
                        .filter(([count]) => count)
                        .map(([count, name]) => `${grouped(count)} ${name}`)
                        .join(", "),
                    `from ${seconds(from)} s`,
                ]);
            }
            surface.setNotes([
                `each bar ${duration(bin)}, at most ${grouped(most)}${isLog ? ", log scale" : ""}`,
                "darkest: blocks, then requests",
            ]);
        },
        table: () => ({
            heads: ["from second", ...KINDS.map(([, name]) => name)],
            rows: data.counts.blocks
                .map((_, bin) => [seconds(bin * data.counts.bin), ...KINDS.map(([key]) => data.counts[key][bin])])
                .filter((row) => row.slice(1).some((count) => count)),
        }),
    });
}

function askerLane(asker) {
    const { asked, answered } = asker;
    const missing = asker.left_out ? [`${grouped(asker.left_out)} marks left out`] : [];
    return new Surface({
        title: asker.label,
        notes: [`${grouped(asker.asked_count)} asked, ${grouped(asker.answered_count)} answered`, ...missing],
        height: 38,
        sentence: `${asker.label}: asked ${plural(asker.asked_count, "time")}, answered ${plural(asker.answered_count, "time")}`,
        draw(pen) {
            const { g } = pen;
            let free = -Infinity;
            asked.t.forEach((t, i) => {
                if (!pen.sees(t)) return;
                const x = pen.x(t);
                const name = asked.event[i];
                g.fillStyle = colour.ink;
                triangle(g, x, 11, 4, true, true);
                if (name) {
                    const long = g.measureText(name).width;
                    const next = asked.t.slice(i + 1).find((later) => later > t);
                    const isLeft = x + long + 10 > pen.width || (next !== undefined && pen.x(next) - 6 < x + 7 + long);
                    const from = isLeft ? x - long - 7 : x + 7;
                    if (from > free + 4 && from >= 0) {
                        g.fillStyle = colour.soft;
                        g.fillText(name, from, 11);
                        free = isLeft ? x + 5 : from + long;
                    }
                }
                free = Math.max(free, x + 5);
                pen.mark(x - 4, 6, 8, 9, asked.n[i], () => sentenceOf(asked.n[i]));
            });
            answered.t.forEach((t, i) => {
                if (!pen.sees(t)) return;
                const x = pen.x(t);
                if (answered.failed[i]) cross(g, x, 27, 3.5, colour.wrong);
                else {
                    g.strokeStyle = colour.ink;
                    g.lineWidth = 1.2;
                    triangle(g, x, 27, 4, false, false);
                }
                pen.mark(x - 4, 22, 8, 9, answered.n[i], () => sentenceOf(answered.n[i]));
            });
        },
        table: () => ({
            heads: ["seconds", "#", "what"],
            rows: [
                ...asked.t.map((t, i) => [t, asked.n[i], `asked${asked.event[i] ? `: ${asked.event[i]}` : ""}`]),
                ...answered.t.map((t, i) => [t, answered.n[i], answered.failed[i] ? "failed" : "answered"]),
            ]
                .sort((a, b) => a[0] - b[0])
                .map(([t, n, what]) => [seconds(t), n, what]),
        }),
    });
}

// The connections that have no lane of their own.
function otherLanes() {
    const other = data.other_lanes;
    if (!other) return null;
    const most = Math.max(1, ...other.messages);
    return new Surface({
        title: `${plural(other.connections, "more connection")}`,
        notes: [`each bar ${duration(other.bin)}, at most ${plural(most, "message")}`],
        height: 38,
        sentence: `${plural(other.connections, "more connection")}: ${plural(
            other.messages.reduce((a, b) => a + b, 0),
            "message",
        )} over time`,
        draw(pen) {
            pen.g.fillStyle = colour.others;
            other.messages.forEach((count, bin) => {
                if (!count) return;
                const [x0, x1] = [pen.x(bin * other.bin), pen.x((bin + 1) * other.bin)];
                if (x1 < 0 || x0 > pen.width) return;
                const h = Math.max(2, (count / most) * 30);
                pen.g.fillRect(x0, 34 - h, Math.max(1, x1 - x0 - 0.5), h);
                pen.mark(x0, 34 - h, Math.max(1, x1 - x0), h, 0, () => [
                    `${plural(count, "message")} of ${plural(other.connections, "more connection")}`,
                    `from ${seconds(bin * other.bin)} s`,
                ]);
            });
        },
        table: () => ({
            heads: ["from second", "messages"],
            rows: other.messages.map((count, bin) => [seconds(bin * other.bin), count]).filter(([, count]) => count),
        }),
    });
}
