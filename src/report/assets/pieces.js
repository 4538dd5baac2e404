// The map of pieces: a row a piece (or several), each block at its moment and its place in its piece. A ring where the hash
// was right, a cross where it was wrong; pale from the moment a row is verified.

const PIECES_HEIGHT = 320;
const ROW_HEIGHT = 19;

function pieceRows() {
    const { count, per_row: perRow } = data.pieces;
    return Math.ceil(count / Math.max(1, perRow || 1));
}

// The bytes of a piece; where the torrent is not known, as many as blocks show.
function pieceSize() {
    if (data.pieces.length) return data.pieces.length;
    const { begin, length } = data.blocks;
    return begin ? begin.reduce((most, from, i) => Math.max(most, from + length[i]), 1) : 1;
}

function hasBlocks() {
    const { blocks, pieces } = data;
    return (blocks.exact ? blocks.t.length : blocks.cell_bin.length) > 0 || pieces.checked.t.length > 0;
}

function rowName(row) {
    const perRow = data.pieces.per_row || 1;
    if (perRow === 1) return grouped(row);
    return `${grouped(row * perRow)}–${grouped(Math.min(data.pieces.count, (row + 1) * perRow) - 1)}`;
}

function piecesLane() {
    const { pieces } = data;
    if (!pieces || !pieces.count || !hasBlocks()) return null;
    const rows = pieceRows();
    const high = Math.min(ROW_HEIGHT, PIECES_HEIGHT / rows);
    const perRow = pieces.per_row || 1;
    const since = verifiedSince(rows, perRow);
    const size = pieces.known
        ? `${grouped(pieces.count)} of ${byteCount(pieces.length)}, first above`
        : `0 to ${grouped(pieces.count - 1)}, torrent not known`;
    const grid = data.blocks.exact ? null : new Grid(high);
    return new Surface({
        title: "Pieces",
        notes: [
            size,
            perRow > 1 ? `a row is ${grouped(perRow)} pieces` : "each block where it belongs",
            "○ verified, ✕ wrong hash",
        ],
        height: Math.max(40, Math.ceil(rows * high) + 4),
        sentence: `pieces over time: ${grouped(pieces.count)} pieces, ${grouped(data.totals.verified)} verified, ${grouped(pieces.checked.ok.filter((ok) => !ok).length)} times a whole piece had a wrong hash`,
        draw(pen) {
            drawRows(pen, rows, high, perRow, since);
            if (data.blocks.exact) drawPieceBlocks(pen, high, perRow, since);
            else grid.draw(pen);
            drawFiles(pen, high, perRow);
            drawChecks(pen, high, perRow);
        },
        find: grid ? (x, y) => grid.find(x, y) : null,
        table: () => ({
            heads: ["piece", "seconds", "#", "what"],
            rows: pieces.checked.t.map((t, i) => [
                pieces.checked.piece[i],
                seconds(t),
                pieces.checked.n[i],
                pieces.checked.ok[i] ? "verified" : "whole, wrong hash",
            ]),
        }),
    });
}

// For each row: from when all of its pieces are verified; Infinity where they are not.
function verifiedSince(rows, perRow) {
    const { checked, count } = data.pieces;
    const verified = new Map();
    checked.t.forEach((t, i) => {
        if (checked.ok[i]) verified.set(checked.piece[i], t);
    });
    const since = [];
    for (let row = 0; row < rows; row++) {
        let latest = -1;
        for (let piece = row * perRow; piece < Math.min(count, (row + 1) * perRow); piece++) {
            latest = Math.max(latest, verified.get(piece) ?? Infinity);
        }
        since.push(latest);
    }
    return since;
}

function drawRows(pen, rows, high, perRow, since) {
    const { g } = pen;
    const every = Math.ceil(14 / high);
    for (let row = 0; row < rows; row++) {
        const y = 2 + row * high;
        if (since[row] <= pen.axis.to()) {
            const x = Math.max(0, pen.x(Math.max(since[row], pen.axis.from())));
            g.fillStyle = colour.band;
            g.fillRect(x, y, pen.right + MARGIN - x, high > 3 ? high - 1 : high);
        }
        if (high > 6) {
            g.fillStyle = colour.grid;
            g.fillRect(pen.left - 8, y + high - 0.5, pen.inner + 16, 0.5);
        }
        if (row % every === 0) {
            pen.name(grouped(row * perRow), y + high / 2);
        }
    }
}

function drawPieceBlocks(pen, high, perRow, since) {
    const { g } = pen;
    const { t, piece, begin, length, end, flag } = data.blocks;
    const size = pieceSize();
    for (let i = 0; i < t.length; i++) {
        if (!pen.sees(t[i])) continue;
        const row = Math.floor(piece[i] / perRow);
        const within = ((piece[i] % perRow) + begin[i] / size) / perRow;
        const x = pen.x(t[i]) - 4;
        const y = 2 + row * high + within * (high - 1);
        const h = Math.max(1.5, (length[i] / size / perRow) * (high - 1));
        // On the pale band a colour alone would be too close to its ground.
        if (since[row] <= t[i]) {
            g.fillStyle = colour.paper;
            g.fillRect(x - 1, y - 1, 6, h + 2);
        }
        if (flag[i] === 1) {
            g.strokeStyle = colour.wrong;
            g.lineWidth = 1.3;
            g.strokeRect(x + 0.5, y + 0.5, 3, Math.max(1, h - 1));
        } else {
            g.fillStyle = flag[i] === 2 ? faded(colourOf(end[i]), 0.45) : colourOf(end[i]);
            g.fillRect(x, y, 4, h);
        }
        pen.mark(x, y, 4, h, data.blocks.n[i], () => blockText(i));
    }
}

// The blocks of a large capture: cells of a bin and a row. Pixels are written directly, because half a million rectangles
// would take a second.
class Grid {
    constructor(high) {
        this.high = high;
        this.canvas = document.createElement("canvas");
        this.cells = null;
    }

    draw(pen) {
        this.pen = pen;
        const ratio = pen.g.getTransform().a;
        const { bins, rows, bin, cell_bin: columns, cell_row: lines, cell_end: end, cell_wrong: wrong } = data.blocks;
        const [across, down] = [Math.round(pen.width * ratio), Math.round(pen.height * ratio)];
        [this.canvas.width, this.canvas.height] = [across, down];
        const g = this.canvas.getContext("2d");
        const image = g.createImageData(across, down);
        const pixels = new Uint32Array(image.data.buffer);
        const lefts = new Int32Array(bins + 1);
        for (let i = 0; i <= bins; i++) lefts[i] = Math.round(clamp(pen.x(i * bin), 0, pen.width) * ratio);
        const tops = new Int32Array(rows + 1);
        for (let i = 0; i <= rows; i++) tops[i] = Math.round(clamp(2 + i * this.high, 0, pen.height) * ratio);
        const palette = [colour.others, ...data.ends.map((_, far) => colourOf(far))].map(packed);
        const red = packed(colour.wrong);
        for (let i = 0; i < columns.length; i++) {
            const x0 = lefts[columns[i]];
            const x1 = Math.min(across, Math.max(lefts[columns[i] + 1], x0 + 1));
            if (x1 <= 0 || x0 >= across || lefts[columns[i] + 1] <= 0) continue;
            const y1 = Math.min(down, Math.max(tops[lines[i] + 1], tops[lines[i]] + 1));
            const rgb = wrong[i] ? red : palette[end[i] + 1];
            for (let y = tops[lines[i]]; y < y1; y++) pixels.fill(rgb, y * across + x0, y * across + x1);
        }
        g.putImageData(image, 0, 0);
        pen.g.drawImage(this.canvas, 0, 0, pen.width, pen.height);
    }

    // The cell at a place, as a mark that leads to no message.
    find(x, y) {
        const {
            bin,
            rows,
            cell_bin: columns,
            cell_row: lines,
            cell_end: end,
            cell_count: count,
            cell_wrong: wrong,
        } = data.blocks;
        if (!this.cells) {
            this.cells = new Map();
            for (let i = 0; i < columns.length; i++) this.cells.set(columns[i] * rows + lines[i], i);
        }
        const t = this.pen.axis.t(x - this.pen.left, this.pen.inner);
        const row = Math.floor((y - 2) / this.high);
        const i =
            x < this.pen.left || row < 0 || row >= rows ? undefined : this.cells.get(Math.floor(t / bin) * rows + row);
        if (i === undefined) return null;
        return {
            x,
            y,
            w: 1,
            h: 1,
            n: 0,
            text: () => [
                `${plural(count[i], "block")} of piece${data.pieces.per_row > 1 ? "s" : ""} ${rowName(lines[i])}${wrong[i] ? ", one or more of a wrong attempt" : ""}`,
                `most from ${endLabel(end[i])}`,
                `in ${duration(bin)} from ${seconds(columns[i] * bin)} s`,
            ],
        };
    }
}

// "rgb(1, 2, 3)" as a pixel: the bytes are red, green, blue, opacity, the lowest first.
function packed(rgb) {
    const [red, green, blue] = rgb.match(/[\d.]+/g).map(Number);
    return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function drawFiles(pen, high, perRow) {
    const { g } = pen;
    const { files, length } = data.pieces;
    if (files.length < 2) return;
    let free = -Infinity;
    for (const file of files) {
        const y = 2 + (file.offset / length / perRow) * high;
        g.strokeStyle = colour.soft;
        g.lineWidth = 1;
        g.setLineDash([2, 3]);
        g.beginPath();
        g.moveTo(pen.left - 8, y);
        g.lineTo(pen.right + MARGIN, y);
        g.stroke();
        g.setLineDash([]);
        if (y + 8 < free || !file.length) continue;
        const name = shown(file.name);
        const short = name.length > 40 ? `…${name.slice(-39)}` : name;
        g.fillStyle = colour.soft;
        g.fillText(short, pen.right + MARGIN - 4 - g.measureText(short).width, y + 8);
        free = y + 20;
    }
}

function drawChecks(pen, high, perRow) {
    const { g } = pen;
    const { checked } = data.pieces;
    const size = clamp(high / 2 - 2, 2, 5);
    for (let i = 0; i < checked.t.length; i++) {
        const t = checked.t[i];
        if (!pen.sees(t)) continue;
        const piece = checked.piece[i];
        const y = 2 + (Math.floor(piece / perRow) + ((piece % perRow) + 0.5) / perRow) * high;
        const x = pen.x(t) + (high > 6 ? 8 : 1);
        if (!checked.ok[i]) cross(g, x, y, Math.max(3, size), colour.wrong);
        else if (high > 6) {
            g.strokeStyle = colour.ink;
            g.fillStyle = colour.paper;
            g.lineWidth = 1.8;
            disc(g, x, y, size - 0.8);
            ring(g, x, y, size - 0.8);
        }
        if (!checked.ok[i] || high > 6) {
            pen.mark(x - size, y - size, 2 * size, 2 * size, checked.n[i], () => checkText(i));
        }
    }
}

function checkText(i) {
    const { checked, count } = data.pieces;
    const place = placeOf(checked.n[i]);
    const note = place < 0 ? null : notesAt(place).find(([, rule]) => rule.endsWith("piece-corrupt"));
    if (!checked.ok[i] && note) return [`✕ ${note[2]}`, `${seconds(checked.t[i])} s`];
    const verdict = checked.ok[i] ? "○ verified" : "✕ whole, and its hash is wrong";
    return [
        `piece ${grouped(checked.piece[i])} of ${grouped(count)}: ${verdict}`,
        `#${grouped(checked.n[i])}, ${seconds(checked.t[i])} s`,
    ];
}
