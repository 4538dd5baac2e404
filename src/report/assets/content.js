// The content: a cell a piece, and a bar for each file with the ranges that are verified.

const STATES = ["missing", "incomplete", "whole, not checked", "verified", "whole, wrong hash"];

// Draws the cells at a width; gives the height that they need.
class ContentPicture {
    constructor() {
        const { pieces } = data;
        this.canvas = element("canvas", { role: "img", tabindex: "0", "aria-label": contentSentence() });
        this.tip = element("div", { class: "hint cell-said", "aria-live": "polite" }, "Point at a cell for its piece.");
        this.at = -1;
        const key = [
            ["", "colour: the far end that sent most"],
            ["✕", "wrong hash"],
            ["◣", "was wrong once"],
            ["▨", "missing"],
        ];
        this.root = element(
            "div",
            { class: "content-cells" },
            this.canvas,
            this.tip,
            element(
                "div",
                { class: "legend" },
                key.map(([glyph, text]) => element("span", { class: "entry" }, `${glyph} ${text}`.trim())),
                pieces.cells.first.length < pieces.count
                    ? element("span", {}, "a cell is several pieces; the worst verdict shows")
                    : null,
                button("as a table", { class: "as-table", click: () => showTable("Content", this.table()) }),
            ),
        );
        this.canvas.addEventListener("pointermove", (event) => {
            const box = this.canvas.getBoundingClientRect();
            this.say(this.cellAt(event.clientX - box.left, event.clientY - box.top));
        });
        this.canvas.addEventListener("click", () => this.lead());
        this.canvas.addEventListener("keydown", (event) => this.key(event));
    }

    key(event) {
        const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: this.across, ArrowUp: -this.across }[event.key];
        if (step) this.say(clamp(this.at + step, 0, data.pieces.cells.first.length - 1));
        else if (event.key === "Enter") this.lead();
        else return;
        event.preventDefault();
        event.stopPropagation();
    }

    // To the message that made the piece of the cell whole.
    lead() {
        const { checked } = data.pieces;
        const [first, last] = this.range(this.at);
        for (let i = checked.t.length - 1; i >= 0; i--) {
            if (checked.piece[i] >= first && checked.piece[i] <= last) return page.select(checked.n[i], true);
        }
        return undefined;
    }

    range(cell) {
        const { cells, count } = data.pieces;
        return [cells.first[cell], (cells.first[cell + 1] ?? count) - 1];
    }

    say(cell) {
        if (cell < 0 || cell === this.at) return;
        this.at = cell;
        this.tip.textContent = shown(this.text(cell));
    }

    text(cell) {
        const { cells } = data.pieces;
        const [first, last] = this.range(cell);
        const name = first === last ? `piece ${grouped(first)}` : `pieces ${grouped(first)} to ${grouped(last)}`;
        const from = cells.end[cell] >= 0 ? `, most from ${endLabel(cells.end[cell])}` : "";
        return `${name}: ${STATES[cells.state[cell]]}${from}${cells.once_wrong[cell] ? "; the hash was wrong before" : ""}`;
    }

    cellAt(x, y) {
        const column = Math.floor(x / this.side);
        const row = Math.floor(y / this.side);
        const cell = row * this.across + column;
        return column >= 0 && column < this.across && cell < data.pieces.cells.first.length ? cell : -1;
    }

    draw(width, ratio) {
        const { cells } = data.pieces;
        const count = cells.first.length;
        this.side = count <= 200 ? 22 : count <= 1000 ? 15 : 11;
        this.across = Math.max(1, Math.floor(width / this.side));
        const height = Math.ceil(count / this.across) * this.side;
        this.canvas.width = Math.round(width * ratio);
        this.canvas.height = Math.round(height * ratio);
        this.canvas.style.height = `${height}px`;
        const g = this.canvas.getContext("2d");
        g.setTransform(ratio, 0, 0, ratio, 0, 0);
        for (let i = 0; i < count; i++) {
            const x = (i % this.across) * this.side;
            const y = Math.floor(i / this.across) * this.side;
            this.drawCell(g, x, y, this.side - 2, i);
        }
    }

    drawCell(g, x, y, side, i) {
        const { state, end, once_wrong: once } = data.pieces.cells;
        g.fillStyle = colour.band;
        g.fillRect(x, y, side, side);
        if (state[i] === 0) {
            g.fillStyle = stripes(g, faded(colour.faint, 0.6), 2.5);
            g.fillRect(x, y, side, side);
            return;
        }
        const rgb = end[i] >= 0 ? colourOf(end[i]) : colour.others;
        g.fillStyle = rgb;
        if (state[i] === 1) g.fillRect(x, y + side / 2, side, side / 2);
        else if (state[i] === 2) {
            g.strokeStyle = rgb;
            g.lineWidth = 2;
            g.strokeRect(x + 1, y + 1, side - 2, side - 2);
        } else if (state[i] === 3) g.fillRect(x, y, side, side);
        if (state[i] === 4) cross(g, x + side / 2, y + side / 2, side * 0.3, colour.wrong);
        if (once[i] && state[i] !== 4) {
            g.fillStyle = colour.paper;
            g.beginPath();
            g.moveTo(x, y + side + 0.5);
            g.lineTo(x, y + side * 0.42);
            g.lineTo(x + side * 0.58, y + side + 0.5);
            g.fill();
            g.fillStyle = colour.wrong;
            g.beginPath();
            g.moveTo(x, y + side);
            g.lineTo(x, y + side * 0.52);
            g.lineTo(x + side * 0.48, y + side);
            g.fill();
        }
    }

    table() {
        const { cells } = data.pieces;
        return {
            heads: ["pieces", "state", "most from", "wrong before"],
            rows: cells.first.map((_, i) => {
                const [first, last] = this.range(i);
                return [
                    first === last ? first : `${first} to ${last}`,
                    STATES[cells.state[i]],
                    cells.end[i] >= 0 ? endLabel(cells.end[i]) : "",
                    cells.once_wrong[i] ? "yes" : "",
                ];
            }),
        };
    }
}

function contentSentence() {
    const { state } = data.pieces.cells;
    const parts = STATES.map((word, code) => [state.filter((s) => s === code).length, word]).filter(([count]) => count);
    return `cells of pieces: ${parts.map(([count, word]) => `${grouped(count)} ${word}`).join(", ")}`;
}

// Adds to the table of files a column of bars: the ranges of each file that lie in verified pieces, at their place.
function addFileBars(table) {
    const { pieces } = data;
    if (!table || !pieces.known) return;
    const verified = verifiedRanges();
    table.tHead.rows[0].append(element("th", { scope: "col", class: "bar" }, "verified ranges"));
    [...table.tBodies[0].rows].forEach((row, index) => {
        const file = pieces.files[index];
        if (file) row.append(element("td", { class: "bar" }, fileBar(file, verified)));
    });
}

function fileBar(file, verified) {
    const inside = verified
        .map(([from, to]) => [Math.max(from, file.offset), Math.min(to, file.offset + file.length)])
        .filter(([from, to]) => to > from);
    const bytes = inside.reduce((sum, [from, to]) => sum + to - from, 0);
    const share = file.length ? Math.floor((100 * bytes) / file.length) : 100;
    const label = `${byteCount(bytes)} of ${byteCount(file.length)} verified, ${share} %`;
    return svg(
        "svg",
        { class: "file-bar", viewBox: "0 0 1000 10", preserveAspectRatio: "none", role: "img", "aria-label": label },
        svg("title", {}, label),
        svg("rect", { class: "file-all", x: 0, y: 0, width: 1000, height: 10 }),
        inside.map(([from, to]) =>
            svg("rect", {
                class: "file-verified",
                x: (1000 * (from - file.offset)) / file.length,
                y: 0,
                width: (1000 * (to - from)) / file.length,
                height: 10,
            }),
        ),
    );
}

// Byte ranges of verified pieces; neighbours are one range.
function verifiedRanges() {
    const { cells, count, length, total } = data.pieces;
    const ranges = [];
    cells.first.forEach((first, i) => {
        if (cells.state[i] !== 3) return;
        const [from, to] = [first * length, Math.min(total, (cells.first[i + 1] ?? count) * length)];
        const last = ranges[ranges.length - 1];
        if (last && last[1] === from) last[1] = to;
        else ranges.push([from, to]);
    });
    return ranges;
}
