// A network of equal hosts: how much of the torrent each has over time, and how many have each piece.

const SWARM_ROW = 22;
const COPIES_HEIGHT = 320;

function swarmShare(count, all) {
    return `${threeDigits((100 * count) / Math.max(1, all))} %`;
}

// [t, sum from then on] of a row of gains.
function swarmSteps(bins, got) {
    let sum = 0;
    return bins.map((bin, i) => [bin * data.swarm.bin, (sum += got[i])]);
}

// The sum that holds at a moment.
function sumAt(steps, t) {
    const after = lowerBound(
        steps.map((step) => step[0]),
        t + 1,
    );
    return after > 0 ? steps[after - 1][1] : 0;
}

function rowCalled(row) {
    return data.swarm.folded ? `${row.name} (${plural(row.hosts, "host")})` : row.name;
}

// A name that fits beside a picture: its beginning, and the number at its end.
function shortName(name) {
    if (name.length <= 7) return name;
    const number = (/-(\d{1,4})$/.exec(name) || ["", ""])[1];
    return `${name.slice(0, 6 - number.length)}…${number}`;
}

function swarmHostsLane() {
    const { swarm } = data;
    if (!swarm || !swarm.pieces) return null;
    const rows = swarm.rows
        .map((row) => ({ ...row, most: row.hosts * swarm.pieces, steps: swarmSteps(row.t, row.got) }))
        .filter((row) => row.steps.length || row.taken || row.given);
    if (!rows.length) return null;
    const whole = rows.reduce((sum, row) => sum + row.whole, 0);
    return new Surface({
        title: swarm.folded ? "Groups of hosts" : "Hosts",
        notes: [
            swarm.folded ? "full height: all pieces at all hosts" : "full height: all pieces",
            swarm.folded ? "○ the first and the last has all" : "○ has all",
        ],
        height: rows.length * SWARM_ROW + 6,
        sentence: `how much of the torrent hosts have over time: ${grouped(whole)} of ${grouped(swarm.hosts)} have all of it`,
        draw(pen) {
            rows.forEach((row, at) => drawSwarmRow(pen, row, 3 + at * SWARM_ROW));
        },
        table: () => ({
            heads: ["hosts", "number", "first message", "last message", "have all", "first", "last", "given", "taken"],
            rows: rows.map((row) => [
                row.name,
                grouped(row.hosts),
                seconds(row.from),
                seconds(row.to),
                grouped(row.whole),
                row.whole_at ? seconds(row.whole_at[0]) : "",
                row.whole_at ? seconds(row.whole_at[1]) : "",
                byteCount(row.given),
                byteCount(row.taken),
            ]),
        }),
    });
}

// The share that a row has, as steps; a hairline while its hosts are there.
function drawSwarmRow(pen, row, top) {
    const { g } = pen;
    const base = top + SWARM_ROW - 4;
    const full = SWARM_ROW - 7;
    const clip = (x) => clamp(x, -5, pen.width + 5);
    const [from, to] = [clip(pen.x(row.from)), clip(pen.x(row.to))];
    g.fillStyle = colour.faint;
    g.fillRect(from, base, Math.max(1, to - from), 1);
    const shape = new Path2D();
    shape.moveTo(from, base);
    let y = base;
    for (const [t, sum] of row.steps) {
        const x = Math.max(from, clip(pen.x(t)));
        shape.lineTo(x, y);
        y = base - (full * Math.min(row.most, sum)) / Math.max(1, row.most);
        shape.lineTo(x, y);
    }
    shape.lineTo(to, y);
    shape.lineTo(to, base);
    g.fillStyle = colour.grey2;
    g.fill(shape);
    g.strokeStyle = colour.ink;
    g.lineWidth = 1.4;
    for (const t of new Set(row.whole_at || [])) {
        if (pen.sees(t)) ring(g, pen.x(t), base - full + 1, 3.2);
    }
    pen.name(shortName(row.name), top + SWARM_ROW / 2);
    const text = () => [
        rowCalled(row),
        `${grouped(row.whole)} of ${grouped(row.hosts)} have all ${plural(data.swarm.pieces, "piece")}`,
        `gave ${byteCount(row.given)}, took ${byteCount(row.taken)}`,
    ];
    row.steps.forEach(([t, sum], i) => {
        const next = i + 1 < row.steps.length ? row.steps[i + 1][0] : row.to;
        const [x, end] = [clip(pen.x(Math.max(t, row.from))), clip(pen.x(next))];
        if (end < 0 || x > pen.width) return;
        pen.mark(x, top, Math.max(1, end - x), SWARM_ROW - 3, 0, () => [
            ...text(),
            `${swarmShare(sum, row.most)} of the torrent from ${seconds(Math.max(t, row.from))} s on`,
        ]);
    });
}

function swarmCopiesLane() {
    const { swarm } = data;
    if (!swarm || !swarm.pieces) return null;
    const { per_row: perRow, t, got } = swarm.copies;
    const rows = t.map((bins, row) => ({
        first: row * perRow,
        last: Math.min(swarm.pieces, (row + 1) * perRow) - 1,
        steps: swarmSteps(bins, got[row]),
    }));
    const high = Math.min(ROW_HEIGHT, COPIES_HEIGHT / Math.max(1, rows.length));
    const most = (row) => (row.last - row.first + 1) * swarm.hosts;
    const called = (row) => (perRow === 1 ? `piece ${grouped(row.first)}` : `pieces ${grouped(row.first)} to ${grouped(row.last)}`);
    return new Surface({
        title: "Copies of pieces",
        notes: [
            `${plural(swarm.pieces, "piece")}, first above`,
            perRow > 1 ? `a row is ${grouped(perRow)} pieces` : "",
            "the stronger the shade, the more hosts have it",
        ],
        height: Math.max(40, Math.ceil(rows.length * high) + 4),
        sentence: `how many of ${grouped(swarm.hosts)} hosts have each of ${plural(swarm.pieces, "piece")} over time`,
        draw(pen) {
            const { g } = pen;
            const every = Math.ceil(14 / high);
            rows.forEach((row, at) => {
                const y = 2 + at * high;
                row.steps.forEach(([from, sum], i) => {
                    // Whole pixels: no seams between steps.
                    const x = Math.round(clamp(pen.x(from), pen.left, pen.right));
                    const next = i + 1 < row.steps.length ? row.steps[i + 1][0] : data.span[1];
                    const end = Math.round(clamp(pen.x(next), pen.left, pen.right));
                    if (end <= x) return;
                    g.fillStyle = faded(colour.ink, 0.06 + 0.74 * Math.min(1, sum / most(row)));
                    g.fillRect(x, y, end - x, high > 3 ? high - 1 : high);
                });
                if (at % every === 0) pen.name(grouped(row.first), y + high / 2);
                const last = row.steps.length ? row.steps[row.steps.length - 1] : null;
                if (last && pen.sees(last[0])) {
                    pen.mark(pen.x(last[0]), y, 3, high, 0, () => [
                        called(row),
                        `${copiesText(last[1], row)} from ${seconds(last[0])} s on, and no more came`,
                    ]);
                }
            });
            this.pen = pen;
        },
        find(x, y) {
            const row = rows[Math.floor((y - 2) / high)];
            if (!row || !this.pen) return null;
            const moment = this.pen.axis.t(clamp(x - this.pen.left, 0, this.pen.inner), this.pen.inner);
            const sum = sumAt(row.steps, moment);
            return { x, y, w: 1, h: 1, n: 0, text: () => [called(row), `${copiesText(sum, row)} at ${seconds(moment)} s`] };
        },
        table: () => ({
            heads: [perRow === 1 ? "piece" : "pieces", "from second", "copies"],
            rows: rows.flatMap((row) =>
                row.steps.map(([from, sum]) => [called(row), seconds(from), copiesText(sum, row)]),
            ),
        }),
    });
}

function copiesText(sum, row) {
    const pieces = row.last - row.first + 1;
    if (pieces === 1) return plural(sum, "copy").replace(/copys$/, "copies");
    return `${threeDigits(sum / pieces)} copies of each in the mean`;
}
