// One picture over the axis: a label, a canvas, and an index of the marks on it. Canvas has no elements to point at, so
// every mark that is drawn is also put down here, with the message it leads to.

// Pixels that canvases keep free at the left for the names of rows, and at the right.
const GUTTER = 40;
const MARGIN = 10;

// How far from a mark a pointer may be, in pixels.
const NEAR = 8;

class Surface {
    // `spec`: title, notes (lines below it), height, sentence (what a screen reader says), draw(pen), and table() if the
    // picture can be read as a table. `label` may replace the title; find(x, y) finds what has no mark.
    constructor(spec) {
        this.spec = spec;
        this.marks = [];
        this.at = -1;
        this.canvas = element("canvas", { role: "img", tabindex: "0", "aria-label": spec.sentence });
        this.plot = element("div", { class: "plot" }, this.canvas);
        const tools = spec.table
            ? button(tableIcon(), {
                  class: "as-table",
                  title: "as a table",
                  "aria-label": `${spec.title} as a table`,
                  click: () => showTable(spec.title, spec.table()),
              })
            : null;
        this.notes = element(
            "div",
            { class: "notes" },
            (spec.notes || []).filter(Boolean).map((note) => element("div", {}, note)),
        );
        this.label = element(
            "div",
            { class: "label" },
            spec.label || element("div", { class: "name" }, spec.title),
            this.notes,
            tools,
        );
        this.lane = element("div", { class: "lane" }, this.label, this.plot);
        this.canvas.surface = this;
    }

    setNotes(lines) {
        this.notes.replaceChildren(...lines.map((line) => element("div", {}, shown(line))));
    }

    // Draws at a width in pixels of the page, with `ratio` pixels of the canvas for each.
    draw(axis, width, ratio, chosen) {
        const height = this.spec.height;
        const canvas = this.canvas;
        const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
        if (canvas.width !== across || canvas.height !== down) {
            canvas.width = across;
            canvas.height = down;
            canvas.style.height = `${height}px`;
        }
        const g = canvas.getContext("2d");
        g.setTransform(ratio, 0, 0, ratio, 0, 0);
        g.clearRect(0, 0, width, height);
        g.font = "11px system-ui, sans-serif";
        g.textBaseline = "middle";
        const inner = Math.max(10, width - GUTTER - MARGIN);
        const names = [];
        this.marks = [];
        const pen = {
            g,
            axis,
            height,
            width,
            chosen,
            left: GUTTER,
            right: GUTTER + inner,
            inner,
            x: (t) => GUTTER + axis.x(t, inner),
            sees: (t) => t >= axis.from() && t <= axis.to(),
            // Names of rows and steps of a scale stand in the gutter, where nothing else is drawn.
            name: (text, y) => names.push([text, y]),
            mark: (x, y, w, h, n, text) => this.marks.push({ x, y, w, h, n, text }),
        };
        if (this.spec.grid !== false) {
            g.fillStyle = colour.grid;
            for (const tick of axis.ticks(inner)) g.fillRect(Math.round(GUTTER + tick.x), 0, 1, height);
        }
        g.save();
        g.beginPath();
        g.rect(GUTTER - 8, 0, width - GUTTER + 8, height);
        g.clip();
        this.spec.draw(pen, this);
        this.ringChosen(pen);
        g.restore();
        g.fillStyle = colour.soft;
        for (const [text, y] of names) g.fillText(text, 2, clamp(y, 7, height - 7));
        this.marks.sort((a, b) => a.x - b.x);
    }

    // A ring around the marks of the chosen message.
    ringChosen(pen) {
        if (!pen.chosen) return;
        pen.g.strokeStyle = colour.chosen;
        pen.g.lineWidth = 1.5;
        for (const mark of this.marks) {
            if (mark.n !== pen.chosen || mark.w > 30 || mark.h > 30) continue;
            pen.g.strokeRect(mark.x - 2.5, mark.y - 2.5, mark.w + 5, mark.h + 5);
        }
    }

    // The mark at a place, or the closest one within NEAR pixels.
    pick(x, y) {
        let best = null;
        let least = NEAR * NEAR + 1;
        for (const mark of this.marks) {
            const dx = Math.max(mark.x - x, 0, x - mark.x - mark.w);
            const dy = Math.max(mark.y - y, 0, y - mark.y - mark.h);
            // Of two marks as close, the smaller one was drawn to be seen.
            const distance = dx * dx + dy * dy + mark.w * mark.h * 1e-6;
            if (distance < least) [best, least] = [mark, distance];
        }
        return best || (this.spec.find ? this.spec.find(x, y) : null);
    }

    // The next mark to the right (1) or left (-1) of the one that the keyboard reached.
    step(direction) {
        const visible = this.marks.filter((mark) => mark.x + mark.w >= 0 && mark.x <= this.canvas.clientWidth);
        if (!visible.length) return null;
        this.at = clamp(this.at + direction, 0, visible.length - 1);
        return visible[this.at];
    }
}

function tableIcon() {
    return svg(
        "svg",
        { width: 13, height: 11, "aria-hidden": "true" },
        svg("path", { class: "stroke", d: "M1 1 h11 v9 h-11 z M1 4 h11 M1 7 h11 M5 4 v6" }),
    );
}

// Shapes. `size` is half the width.
function cross(g, x, y, size, rgb) {
    g.strokeStyle = rgb;
    g.lineWidth = 1.8;
    g.beginPath();
    g.moveTo(x - size, y - size);
    g.lineTo(x + size, y + size);
    g.moveTo(x - size, y + size);
    g.lineTo(x + size, y - size);
    g.stroke();
}

function triangle(g, x, y, size, isUp, isFilled) {
    const tip = isUp ? -size : size;
    g.beginPath();
    g.moveTo(x, y + tip);
    g.lineTo(x + size, y - tip * 0.8);
    g.lineTo(x - size, y - tip * 0.8);
    g.closePath();
    if (isFilled) g.fill();
    else g.stroke();
}

function disc(g, x, y, radius) {
    g.beginPath();
    g.arc(x, y, radius, 0, 2 * Math.PI);
    g.fill();
}

function ring(g, x, y, radius) {
    g.beginPath();
    g.arc(x, y, radius, 0, 2 * Math.PI);
    g.stroke();
}

function diamond(g, x, y, size) {
    g.beginPath();
    g.moveTo(x, y - size);
    g.lineTo(x + size, y);
    g.lineTo(x, y + size);
    g.lineTo(x - size, y);
    g.closePath();
    g.stroke();
}
