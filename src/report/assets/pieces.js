// The map of pieces: a row a piece (or several), each block at its moment and its place in its piece. A ring where the hash
// was right, a cross where it was wrong; pale from the moment a row is verified.

const PIECES_HEIGHT = 320;
const ROW_HEIGHT = 19;

function pieceRows() {
    const { count, per_row: perRow } = data.pieces;
    return Math.ceil(count / Math.max(1, perRow || 1));
}

function rowName(row) {
    const perRow = data.pieces.per_row || 1;
    if (perRow === 1) return grouped(row);
    return `${grouped(row * perRow)}–${grouped(Math.min(data.pieces.count, (row + 1) * perRow) - 1)}`;
}

function piecesLane() {
    const { pieces } = data;
    if (!pieces || !pieces.count) return null;
    const rows = pieceRows();
    const high = Math.min(ROW_HEIGHT, PIECES_HEIGHT / rows);
    const perRow = pieces.per_row || 1;
    const since = verifiedSince(rows, perRow);
    const size = pieces.known ? `${grouped(pieces.count)} of ${byteCount(pieces.length)}, first above` : `${grouped(pieces.count)} seen, first above`;
    let picture = null;
    return new Surface({
        title: "Pieces",
        notes: [size, perRow > 1 ? `a row is ${grouped(perRow)} pieces` : "each block where it belongs", "○ verified, ✕ wrong hash"],
        height: Math.max(40, Math.ceil(rows * high) + 4),
        sentence: `pieces over time: ${grouped(pieces.count)} pieces, ${grouped(data.totals.verified)} verified, ${grouped(pieces.checked.ok.filter((ok) => !ok).length)} times a whole piece had a wrong hash`,
        draw(pen) {
            drawRows(pen, rows, high, since);
            if (data.blocks.exact) drawPieceBlocks(pen, high, perRow);
            else {
                if (!picture || picture.theme !== colour.end0) picture = gridPicture();
                drawGrid(pen, picture, high);
            }
            drawFiles(pen, high, perRow);
            drawChecks(pen, high, perRow);
        },
        table: () => ({
            heads: ["piece", "seconds", "#", "what"],
            rows: pieces.checked.t.map((t, i) => [pieces.checked.piece[i], seconds(t), pieces.checked.n[i],
                pieces.checked.ok[i] ? "verified" : "whole, wrong hash"]),
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

function drawRows(pen, rows, high, since) {
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
            const name = rowName(row);
            g.fillStyle = colour.soft;
            g.fillText(name, 2, clamp(y + high / 2, 7, pen.height - 7));
        }
    }
}

function drawPieceBlocks(pen, high, perRow) {
    const { g } = pen;
    const { t, piece, begin, length, end, flag } = data.blocks;
    const size = data.pieces.length;
    for (let i = 0; i < t.length; i++) {
        if (!pen.sees(t[i])) continue;
        const row = Math.floor(piece[i] / perRow);
        const within = ((piece[i] % perRow) + begin[i] / size) / perRow;
        const x = pen.x(t[i]) - 4;
        const y = 2 + row * high + within * (high - 1);
        const h = Math.max(1.5, (length[i] / size / perRow) * (high - 1));
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

// The grid of a large capture, drawn once: a pixel a cell. Its columns are then placed on the axis.
function gridPicture() {
    const { bins, rows, cell_bin: bin, cell_row: row, cell_end: end, cell_wrong: wrong } = data.blocks;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bins, rows];
    const g = canvas.getContext("2d");
    const image = g.createImageData(bins, rows);
    const palette = new Map();
    const rgbOf = (far, isWrong) => {
        const key = isWrong ? "wrong" : far;
        if (!palette.has(key)) palette.set(key, (isWrong ? colour.wrong : colourOf(far)).match(/[\d.]+/g).map(Number));
        return palette.get(key);
    };
    for (let i = 0; i < bin.length; i++) {
        const at = (row[i] * bins + bin[i]) * 4;
        const [r, green, b] = rgbOf(end[i], wrong[i]);
        image.data.set([r, green, b, 255], at);
    }
    g.putImageData(image, 0, 0);
    return { canvas, theme: colour.end0 };
}

function drawGrid(pen, picture, high) {
    const { bin, bins, rows } = data.blocks;
    const first = clamp(Math.floor(pen.axis.from() / bin), 0, bins - 1);
    const last = clamp(Math.ceil(pen.axis.to() / bin), 0, bins);
    pen.g.imageSmoothingEnabled = false;
    for (let column = first; column < last; column++) {
        const x0 = pen.x(column * bin);
        const x1 = pen.x((column + 1) * bin);
        pen.g.drawImage(picture.canvas, column, 0, 1, rows, x0, 2, Math.max(1, x1 - x0), rows * high);
    }
    gridMarks(pen, high);
}

// Cells lead to no message; under the pointer they say what was merged.
function gridMarks(pen, high) {
    const { bin, cell_bin: bins, cell_row: rows, cell_end: end, cell_count: count, cell_wrong: wrong } = data.blocks;
    // Marks for what can be told apart only.
    if ((pen.axis.to() - pen.axis.from()) / bin > pen.inner) return;
    for (let i = 0; i < bins.length; i++) {
        const from = bins[i] * bin;
        if (!pen.sees(from)) continue;
        const x = pen.x(from);
        pen.mark(x, 2 + rows[i] * high, Math.max(1, pen.x(from + bin) - x), high, 0, () => [
            `${plural(count[i], "block")} of pieces ${rowName(rows[i])}${wrong[i] ? ", one of a wrong attempt" : ""}`,
            `most from ${endLabel(end[i])}`, `in ${duration(bin)} from ${seconds(from)} s`,
        ]);
    }
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
        if (y + 8 < free) continue;
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
    return [`piece ${grouped(checked.piece[i])} of ${grouped(count)}: ${verdict}`, `#${grouped(checked.n[i])}, ${seconds(checked.t[i])} s`];
}
