// Time to answer: a point for each answer, on a log scale. A large capture has shades, and its slowest answers as points.

const ANSWERS_HEIGHT = 100;
const DECADES = [10, 100, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8];

function answersLane() {
    const list = data.latencies.exact ? data.latencies : data.latencies.slowest;
    const shades = data.latencies.exact ? null : data.latencies;
    if (!list.t.length) return null;
    let low = Math.min(...list.us.filter((us) => us > 0), 1e9);
    let high = Math.max(...list.us, 1);
    if (shades) low = Math.min(low, lowestShade(shades));
    [low, high] = [Math.max(1, low * 0.7), high * 1.4];
    if (high < low * 100) [low, high] = [low / 3, high * 3];
    const y = (us) => 6 + (ANSWERS_HEIGHT - 12) * (1 - Math.log(Math.max(us, low) / low) / Math.log(high / low));
    const most = shades ? Math.log1p(shades.count.count.reduce((a, b) => Math.max(a, b), 1)) : 0;
    const count = shades ? shades.count.count.reduce((a, b) => a + b, 0) : list.t.length;
    return new Surface({
        title: "Time to answer",
        notes: [
            "● block, ◇ other; log scale",
            plural(count, "answer"),
            shades ? `shades; the ${grouped(list.t.length)} slowest as points` : "",
        ].filter(Boolean),
        height: ANSWERS_HEIGHT,
        sentence: `time from request to answer over time, ${plural(count, "answer")}, from ${duration(Math.min(...list.us))} to ${duration(Math.max(...list.us))}`,
        draw(pen) {
            const { g } = pen;
            for (const us of DECADES) {
                if (us < low || us > high) continue;
                g.fillStyle = colour.grid;
                g.fillRect(pen.left, Math.round(y(us)), pen.inner, 1);
                pen.name(us < 1e3 ? `${us} µs` : us < 1e6 ? `${us / 1e3} ms` : `${us / 1e6} s`, y(us));
            }
            if (shades) drawShades(pen, shades, y, most);
            list.t.forEach((t, i) => {
                if (!pen.sees(t)) return;
                const [x, at] = [pen.x(t), y(list.us[i])];
                const rgb = list.end[i] >= 0 ? colourOf(list.end[i]) : colour.soft;
                if (list.block[i]) {
                    g.fillStyle = rgb;
                    disc(g, x, at, 2.4);
                } else {
                    g.strokeStyle = rgb;
                    g.lineWidth = 1.2;
                    diamond(g, x, at, 3.4);
                }
                pen.mark(x - 3, at - 3, 6, 6, list.n[i], () => [
                    `${duration(list.us[i])} until #${grouped(list.n[i])}`,
                    ...sentenceOf(list.n[i]),
                ]);
            });
        },
        table: () => ({
            heads: ["seconds", "#", "took", "what", "far end"],
            rows: list.t.map((t, i) => [
                seconds(t),
                list.n[i],
                duration(list.us[i]),
                list.block[i] ? "block" : "other answer",
                list.end[i] >= 0 ? endLabel(list.end[i]) : "",
            ]),
        }),
    });
}

// The time of a row's lower edge.
function shadeTime(shades, row) {
    return shades.low_us * (shades.high_us / shades.low_us) ** (row / shades.rows);
}

function lowestShade(shades) {
    let row = shades.rows;
    for (const cell of shades.count.cell) row = Math.min(row, cell % shades.rows);
    return shadeTime(shades, row);
}

// A cell is bin * rows + row, row 0 the fastest.
function drawShades(pen, shades, y, most) {
    shades.count.cell.forEach((cell, i) => {
        const [bin, row] = [Math.floor(cell / shades.rows), cell % shades.rows];
        const [from, to] = [bin * shades.bin, (bin + 1) * shades.bin];
        if (to < pen.axis.from() || from > pen.axis.to()) return;
        const [top, bottom] = [y(shadeTime(shades, row + 1)), y(shadeTime(shades, row))];
        const x = pen.x(from);
        pen.g.fillStyle = faded(colour.ink, 0.08 + (0.5 * Math.log1p(shades.count.count[i])) / most);
        pen.g.fillRect(x, top, Math.max(1, pen.x(to) - x), Math.max(1, bottom - top));
    });
}
