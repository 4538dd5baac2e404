// A lane for each connection: the two rails of who may ask whom, requests under way, and blocks.

const LANE_HEIGHT = 56;
const UPPER = [3, 8];
const LOWER = [48, 5];
const MIDDLE = [15, 43];
const RAIL_WORDS = [
    "neither wants nor may",
    "may ask, wants nothing",
    "wants, is choked",
    "wants and may ask",
    "changes often",
];

// The blocks of each lane: places in the lists of `data.blocks`. A far end may have had several connections.
function blocksByLane() {
    const lists = data.lanes.map(() => []);
    if (!data.blocks.exact) return lists;
    const lanesOf = new Map();
    data.lanes.forEach((lane, index) => lanesOf.set(lane.end, [...(lanesOf.get(lane.end) || []), index]));
    const { t, end, n } = data.blocks;
    for (let i = 0; i < t.length; i++) {
        const place = placeOf(n[i]);
        const sure = place >= 0 ? messages.lane[place] : -1;
        const fits = (index) => t[i] >= data.lanes[index].opened && t[i] <= (data.lanes[index].closed ?? Infinity);
        const index = sure >= 0 ? sure : (lanesOf.get(end[i]) || []).find(fits);
        if (index !== undefined && lists[index]) lists[index].push(i);
    }
    return lists;
}

function connectionLanes(onOnly) {
    const lists = blocksByLane();
    const most = Math.max(1, ...data.lanes.map((lane) => lane.most_under_way));
    return data.lanes.map((lane, index) => connectionLane(lane, index, lists[index], most, onOnly));
}

function connectionLane(lane, index, list, most, onOnly) {
    const far = data.ends[lane.end] || { address: "", label: lane.label };
    const amounts = [
        lane.received ? `↓ ${byteCount(lane.received)}` : "",
        lane.sent ? `↑ ${byteCount(lane.sent)}` : "",
        lane.transport === "utp" ? "uTP" : "",
        lane.incoming ? "incoming" : "",
        lane.encrypted ? "encrypted" : "",
        lane.detail_since ? `rails from ${duration(lane.detail_since)} on` : "",
        lane.changes_merged ? `${plural(lane.changes_merged, "change")} merged` : "",
    ].filter(Boolean);
    const only = button(
        element("span", { class: `chip ${classOf(lane.end)}` }),
        {
            class: "name only",
            "aria-pressed": "false",
            title: "only this connection",
            click: () => onOnly(index),
        },
        lane.label,
    );
    const surface = new Surface({
        title: lane.label,
        label: only,
        notes: [
            far.address === lane.label ? "" : far.address,
            amounts.join(" · ") || plural(lane.messages ?? 0, "message"),
        ],
        height: LANE_HEIGHT,
        sentence: `${lane.label} at ${far.address}: ${RECEIVED} ${byteCount(lane.received)}, ${SENT} ${byteCount(lane.sent)}, at most ${plural(lane.most_under_way, "request")} under way`,
        draw: (pen) => drawConnection(pen, lane, index, list, most),
        table: () => connectionTable(lane, list),
    });
    surface.only = only;
    return surface;
}

function drawConnection(pen, lane, index, list, most) {
    const rgb = colourOf(lane.end);
    const closed = lane.closed ?? pen.axis.end;
    drawRail(pen, lane.may_ask, closed, rgb, UPPER, "this host");
    drawRail(pen, lane.they_ask, closed, rgb, LOWER, "the peer");
    drawUnderWay(pen, lane, closed, rgb, most);
    if (list.length) drawBlocks(pen, list, rgb);
    else if (!data.blocks.exact) drawDensity(pen, lane, closed, rgb);
    if (!list.length && (lane.encrypted || (lane.outcome && !lane.received && !lane.sent && !lane.may_ask.t.length))) {
        pen.g.fillStyle = colour.soft;
        pen.g.fillText(
            lane.encrypted ? "encrypted: not read" : lane.outcome,
            clamp(pen.x(lane.opened) + 4, pen.left, pen.right - 80),
            29,
        );
    }
}

function drawRail(pen, rail, closed, rgb, [top, height], who) {
    const { g } = pen;
    rail.t.forEach((from, i) => {
        const to = i + 1 < rail.t.length ? rail.t[i + 1] : closed;
        if (to < pen.axis.from() || from > pen.axis.to()) return;
        const x0 = Math.max(pen.x(from), 0);
        const wide = Math.max(Math.min(pen.x(to), pen.width) - x0, 1);
        const state = rail.s[i];
        if (state === 0) {
            g.fillStyle = colour.line;
            g.fillRect(x0, top + height / 2 - 0.5, wide, 1);
        } else if (state === 2) {
            g.fillStyle = stripes(g, rgb, 2.5);
            g.fillRect(x0, top, wide, height);
            g.strokeStyle = rgb;
            g.lineWidth = 1;
            if (wide > 3) g.strokeRect(x0 + 0.5, top + 0.5, wide - 1, height - 1);
        } else if (state === 4) {
            g.fillStyle = rgb;
            for (let x = x0; x < x0 + wide; x += 4) g.fillRect(x, top + 1, Math.min(2, x0 + wide - x), height - 2);
        } else {
            g.fillStyle = state === 3 ? rgb : faded(rgb, 0.32);
            g.fillRect(x0, top, wide, height);
        }
        pen.mark(x0, top, wide, height, 0, () => [
            `${who} ${RAIL_WORDS[state]}`,
            `from ${seconds(from)} to ${seconds(to)} s, ${duration(to - from)}`,
        ]);
    });
}

// Requests under way as a step area: exact, or the most of each bin.
function drawUnderWay(pen, lane, closed, rgb, most) {
    const { g } = pen;
    const [top, bottom] = MIDDLE;
    const steps = lane.under_way;
    const tall = (n) => (n ? Math.max(2, (n / most) * (bottom - top - 2)) : 0);
    if (steps.bin) {
        g.fillStyle = faded(rgb, 0.2);
        let [column, high] = [-1, 0];
        const flush = (to) => {
            if (column >= 0 && high) g.fillRect(column, bottom - tall(high), Math.max(1, to - column), tall(high));
        };
        steps.max.forEach((n, bin) => {
            const x = Math.floor(pen.x(bin * steps.bin));
            if (x === column) high = Math.max(high, n);
            else {
                flush(x);
                [column, high] = [x, n];
            }
        });
        flush(Math.floor(pen.x(Math.min(closed, steps.max.length * steps.bin))));
        g.fillStyle = rgb;
        g.fillRect(pen.x(lane.opened), bottom, pen.x(closed) - pen.x(lane.opened), 1);
        return;
    }
    if (!steps.t.length || !steps.n.some((n) => n)) return;
    const line = new Path2D();
    line.moveTo(pen.x(steps.t[0]), bottom);
    steps.t.forEach((t, i) => {
        const x = pen.x(t);
        line.lineTo(x, bottom - tall(i ? steps.n[i - 1] : 0));
        line.lineTo(x, bottom - tall(steps.n[i]));
    });
    line.lineTo(pen.x(closed), bottom - tall(steps.n[steps.n.length - 1]));
    const area = new Path2D(line);
    area.lineTo(pen.x(closed), bottom);
    area.closePath();
    g.fillStyle = faded(rgb, 0.2);
    g.fill(area);
    g.strokeStyle = rgb;
    g.lineWidth = 1;
    g.stroke(line);
    steps.t.forEach((t, i) => {
        if (!pen.sees(t)) return;
        const x0 = pen.x(t);
        const x1 = pen.x(i + 1 < steps.t.length ? steps.t[i + 1] : closed);
        pen.mark(x0, bottom - tall(steps.n[i]), Math.max(1, x1 - x0), Math.max(1, tall(steps.n[i])), 0, () => [
            `${plural(steps.n[i], "request")} under way`,
            `from ${seconds(t)} s`,
        ]);
    });
}

// Blocks as ticks; as a shade where most are closer than two pixels. A block of a wrong attempt is always drawn.
function drawBlocks(pen, list, rgb) {
    const { t, out, flag } = data.blocks;
    const visible = list.filter((i) => pen.sees(t[i]));
    const xs = visible.map((i) => pen.x(t[i]));
    let close = 0;
    for (let k = 1; k < xs.length; k++) close += xs[k] - xs[k - 1] < 2 && t[visible[k]] !== t[visible[k - 1]] ? 1 : 0;
    const isDense = visible.length > 60 && close > visible.length / 2;
    if (isDense) drawShade(pen, visible, xs, rgb);
    visible.forEach((i, k) => {
        const x = xs[k];
        const [top, height] = out[i] ? [30, 13] : [15, 13];
        if (!isDense || flag[i] === 1) drawTick(pen.g, x, top, height, flag[i], rgb);
        pen.mark(x - 1, top, 2, height, data.blocks.n[i], () => blockText(i));
    });
}

function drawTick(g, x, top, height, flag, rgb) {
    g.fillStyle = flag === 1 ? colour.wrong : rgb;
    if (flag === 2) {
        g.fillRect(x - 1, top, 2, 3);
        g.fillRect(x - 1, top + height - 3, 2, 3);
        return;
    }
    g.fillRect(x - 1, top, 2, height);
    if (flag === 1) cross(g, x, top + 2, 3, colour.wrong);
}

function drawShade(pen, visible, xs, rgb) {
    const columns = new Map();
    visible.forEach((i, k) => {
        const key = Math.floor(xs[k]) * 2 + data.blocks.out[i];
        columns.set(key, (columns.get(key) || 0) + 1);
    });
    const most = Math.max(...columns.values());
    for (const [key, count] of columns) {
        pen.g.fillStyle = faded(rgb, 0.25 + (0.75 * Math.log1p(count)) / Math.log1p(most));
        pen.g.fillRect(key >> 1, key & 1 ? 30 : 15, 1, 13);
    }
}

// Without single blocks: a shade of the bytes of each bin, within the time of the connection.
function drawDensity(pen, lane, closed, rgb) {
    for (const [side, top] of [
        ["in", 15],
        ["out", 30],
    ]) {
        const series = seriesOf(side, lane.end);
        if (!series) continue;
        const width = series.width || data.bytes.bin;
        const columns = new Float64Array(Math.ceil(pen.width) + 1);
        series.bin.forEach((bin, k) => {
            const from = bin * width;
            if (from + width < lane.opened || from > closed) return;
            const x0 = Math.floor(pen.x(from));
            const x1 = Math.max(x0 + 1, Math.floor(pen.x(from + width)));
            for (let x = Math.max(0, x0); x < Math.min(pen.width, x1); x++)
                columns[x] = Math.max(columns[x], series.bytes[k]);
        });
        // Sixteen shades; neighbours of the same shade are one rectangle.
        const most = series.bytes.reduce((a, b) => Math.max(a, b), 1);
        const shadeAt = (x) => (columns[x] ? 1 + Math.round((15 * columns[x]) / most) : 0);
        for (let x = 0; x < columns.length;) {
            const shade = shadeAt(x);
            let to = x + 1;
            while (to < columns.length && shadeAt(to) === shade) to++;
            if (shade) {
                pen.g.fillStyle = faded(rgb, 0.1 + (0.9 * shade) / 16);
                pen.g.fillRect(x, top, to - x, 13);
            }
            x = to;
        }
    }
}

const cellSeries = new Map();

// The bytes of a far end by bin. Far ends without a colour share one series; what the grid of pieces has of them stands in
// for their own.
function seriesOf(side, end) {
    const own = data.bytes[side].find((series) => series.end === end);
    if (own || side === "out") return own;
    if (!cellSeries.has(end)) {
        const { bin, cell_bin: bins, cell_end: ends, cell_count: count } = data.blocks;
        const sums = new Map();
        ends.forEach((far, i) => {
            if (far === end) sums.set(bins[i], (sums.get(bins[i]) || 0) + count[i]);
        });
        cellSeries.set(end, sums.size ? { width: bin, bin: [...sums.keys()], bytes: [...sums.values()] } : null);
    }
    return cellSeries.get(end);
}

const FLAG_WORDS = ["", ", of a piece with a wrong hash", ", again and not needed", ", again after a wrong hash"];

function blockText(i) {
    const { n, t, piece, begin, length, end, out, flag } = data.blocks;
    const direction = out[i] ? "sent to" : "from";
    const place = placeOf(n[i]);
    return [
        `#${grouped(n[i])} block of piece ${grouped(piece[i])}, ${byteCount(length[i])} at ${begin[i]}${FLAG_WORDS[flag[i]]}`,
        `${direction} ${endLabel(end[i])}`,
        `${seconds(t[i])} s${place >= 0 ? latencyText(place) : ""}`,
    ];
}

function connectionTable(lane, list) {
    const rail = (steps, who) => steps.t.map((t, i) => [t, "", `${who} ${RAIL_WORDS[steps.s[i]]}`]);
    const { t, n, piece, begin, length, out, flag } = data.blocks;
    const rows = [
        ...rail(lane.may_ask, "this host"),
        ...rail(lane.they_ask, "the peer"),
        ...list.map((i) => [
            t[i],
            n[i],
            `${out[i] ? SENT : RECEIVED} piece ${piece[i]}, ${byteCount(length[i])} at ${begin[i]}${FLAG_WORDS[flag[i]]}`,
        ]),
    ];
    if (lane.under_way.t)
        rows.push(...lane.under_way.t.map((at, i) => [at, "", `${plural(lane.under_way.n[i], "request")} under way`]));
    rows.sort((a, b) => a[0] - b[0]);
    return { heads: ["seconds", "#", "what"], rows: rows.map(([at, number, what]) => [seconds(at), number, what]) };
}
