// Received and sent: by time stacked bars a far end, by event the bytes so far as stacked steps. Received above the line,
// sent below, on one scale.

const TRAFFIC_HEIGHT = 104;

// Far ends in the order in which they are stacked: by colour, then all others.
function stackOrder() {
    const order = data.ends.map((_, end) => end);
    const rank = (end) => (data.ends[end].colour >= 0 ? data.ends[end].colour : 99);
    order.sort((a, b) => rank(a) - rank(b) || a - b);
    return [...order, -1];
}

// [t, end, bytes, is sent, n] in time: blocks where they are exact, else bins.
function amounts() {
    if (data.blocks.exact) {
        const { t, end, length, out, n } = data.blocks;
        return t.map((at, i) => [at, end[i], length[i], out[i], n[i]]);
    }
    const list = [];
    ["in", "out"].forEach((side, out) => {
        for (const series of data.bytes[side]) {
            series.bin.forEach((bin, k) =>
                list.push([(bin + 0.5) * data.bytes.bin, series.end, series.bytes[k], out, 0]),
            );
        }
    });
    return list.sort((a, b) => a[0] - b[0]);
}

function trafficLane() {
    const list = amounts();
    if (!list.length) return null;
    const order = stackOrder();
    const rank = new Map(order.map((end, i) => [end, i]));
    const received = data.totals.received;
    const sent = data.totals.sent;
    return new Surface({
        title: data.has_roles ? "To and from initiators" : "Received and sent",
        notes: ["", data.has_roles ? "by responder, stacked" : "by peer, stacked"],
        height: TRAFFIC_HEIGHT,
        sentence: `blocks over time by far end: ${byteCount(received)} ${RECEIVED}, ${byteCount(sent)} ${SENT}`,
        draw(pen, surface) {
            if (pen.axis.mode === "event") drawSoFar(pen, surface, list, order, rank);
            else drawBars(pen, surface, list, order, rank);
        },
        table: () => ({
            heads: ["from second", data.has_roles ? "responder" : "far end", RECEIVED, SENT],
            rows: trafficRows(list),
        }),
    });
}

// What bytes of a direction are to the far end.
function way(out) {
    if (data.has_roles) return out ? "from initiators to" : "to initiators from";
    return out ? "sent to" : "received from";
}

function trafficRows(list) {
    const bin = data.bytes.bin;
    const cells = new Map();
    for (const [t, end, bytes, out] of list) {
        const key = `${Math.floor(t / bin)} ${end}`;
        if (!cells.has(key)) cells.set(key, [Math.floor(t / bin) * bin, end, 0, 0]);
        cells.get(key)[2 + out] += bytes;
    }
    return [...cells.values()].map(([t, end, received, sent]) => [
        seconds(t),
        endLabel(end),
        byteCount(received),
        byteCount(sent),
    ]);
}

// Where the line is and how many pixels a byte has, for the most above and below.
function scaleOf(above, below) {
    const room = TRAFFIC_HEIGHT - 16;
    const per = room / Math.max(1, above + below);
    return { line: below ? 8 + above * per : TRAFFIC_HEIGHT - 4, per };
}

function drawLine(pen, line) {
    pen.g.fillStyle = colour.soft;
    pen.g.fillRect(pen.left - 8, Math.round(line), pen.inner + 16, 1);
}

function drawBars(pen, surface, list, order, rank) {
    const { g } = pen;
    const wide = Math.max(4, Math.min(12, Math.round(pen.inner / 150)));
    const perBar = ((pen.axis.to() - pen.axis.from()) / pen.inner) * wide;
    const bars = new Map();
    for (const [t, end, bytes, out, n] of list) {
        if (!pen.sees(t)) continue;
        const at = Math.floor((t - pen.axis.start) / perBar);
        if (!bars.has(at)) bars.set(at, { n, sums: [new Float64Array(order.length), new Float64Array(order.length)] });
        bars.get(at).sums[out][rank.get(end) ?? order.length - 1] += bytes;
    }
    let most = [0, 0];
    for (const { sums } of bars.values()) {
        most = most.map((value, out) =>
            Math.max(
                value,
                sums[out].reduce((a, b) => a + b, 0),
            ),
        );
    }
    const { line, per } = scaleOf(most[0], most[1]);
    for (const [at, { n, sums }] of bars) {
        const from = pen.axis.start + at * perBar;
        const x = pen.x(from);
        sums.forEach((shares, out) => {
            let y = line;
            shares.forEach((bytes, i) => {
                if (!bytes) return;
                const h = Math.max(1, bytes * per);
                g.fillStyle = colourOf(order[i]);
                g.fillRect(x, out ? y + 1 : y - h, wide - 1, h);
                const top = out ? y + 1 : y - h;
                pen.mark(x, top, wide - 1, h, n, () => [
                    `${byteCount(bytes)} ${way(out)} ${endLabel(order[i])}`,
                    `in ${duration(perBar)} from ${seconds(from)} s`,
                ]);
                y += out ? h : -h;
            });
        });
    }
    drawLine(pen, line);
    const each = (bytes) => `${byteCount((bytes / perBar) * 1e6)}/s`;
    if (most[0]) pen.name(each(most[0]), 8);
    if (most[1]) pen.name(each(most[1]), TRAFFIC_HEIGHT);
    surface.setNotes([`each bar ${duration(perBar)}`, data.has_roles ? "by responder, stacked" : "by peer, stacked"]);
}

// The sums of a list up to each item.
function stacked(list) {
    let sum = 0;
    return list.map((value) => (sum += value));
}

function drawSoFar(pen, surface, list, order, rank) {
    const { g } = pen;
    const { line, per } = scaleOf(data.totals.received, data.totals.sent);
    const sums = [new Float64Array(order.length), new Float64Array(order.length)];
    const totals = [0, 0];
    // Where sums changed, and how high each layer of the stack was there: [x, layers received, layers sent].
    const points = [[pen.x(pen.axis.start), stacked(sums[0]), stacked(sums[1])]];
    let last = -Infinity;
    const settle = () => {
        const point = points[points.length - 1];
        [point[1], point[2]] = sums.map(stacked);
    };
    for (const [t, end, bytes, out, n] of list) {
        const x = clamp(pen.x(t), -5, pen.width + 5);
        if (x - last >= 0.5) {
            settle();
            points.push([x, null, null]);
            last = x;
        }
        sums[out][rank.get(end) ?? order.length - 1] += bytes;
        totals[out] += bytes;
        if (!n || !pen.sees(t)) continue;
        const soFar = totals[out];
        pen.mark(x, out ? line : line - soFar * per, 3, soFar * per, n, () => [
            `${byteCount(soFar)} ${out ? SENT : RECEIVED} so far`,
            ...sentenceOf(n),
        ]);
    }
    settle();
    const end = clamp(pen.x(pen.axis.end), -5, pen.width + 5);
    for (const [out, sign] of [
        [0, -1],
        [1, 1],
    ]) {
        order.forEach((far, i) => {
            if (!sums[out][i]) return;
            const shape = new Path2D();
            const y = (k, layer) => line + sign * per * (layer < 0 ? 0 : points[k][1 + out][layer]);
            const next = (k) => (k + 1 < points.length ? points[k + 1][0] : end);
            for (let k = 0; k < points.length; k++) {
                shape.lineTo(points[k][0], y(k, i));
                shape.lineTo(next(k), y(k, i));
            }
            for (let k = points.length - 1; k >= 0; k--) {
                shape.lineTo(next(k), y(k, i - 1));
                shape.lineTo(points[k][0], y(k, i - 1));
            }
            g.fillStyle = colourOf(far);
            g.fill(shape);
        });
    }
    drawLine(pen, line);
    if (data.totals.received) pen.name(byteCount(data.totals.received), 8);
    if (data.totals.sent) pen.name(byteCount(data.totals.sent), TRAFFIC_HEIGHT);
    surface.setNotes(["bytes so far", data.has_roles ? "by responder, stacked" : "by peer, stacked"]);
}
