// Two captures side by side: a list of rows of which only those in sight are drawn, and lines that join the pairs.

const ROW_HEIGHT = 22;
const OVERSCAN = 14;
const PAPER_ROWS = 240;

class SideBySide {
    constructor(root) {
        this.root = root;
        this.withAll = data.judged === "both";
        this.onlyDifferences = false;
        this.chosen = -1;
        this.build();
        this.lay();
        this.first();
    }

    // Shows the first difference, or the first message, until another is chosen.
    first() {
        const { stops } = this.model;
        const differing = stops.findIndex(({ pair }) => pair !== undefined && has(pair, DISAGREES));
        const stop = Math.max(differing, 0);
        if (!stops.length) return;
        this.chosen = stop;
        this.detail.show(stops[stop].pair, stops[stop].hole);
        this.draw();
    }

    build() {
        const others = data.judged === "far" ? "Local host too" : "Far ends too";
        this.allButton =
            data.judged === "both"
                ? null
                : button(others, {
                      click: () => this.toggleAll(),
                      "aria-pressed": "false",
                      title: "messages that are not judged (f)",
                  });
        this.onlyButton = button("Only differences", {
            click: () => this.toggleOnly(),
            "aria-pressed": "false",
            title: "leave out what is the same (d)",
        });
        this.count = element("span", { class: "hint" });
        this.space = element("div", { class: "space" });
        this.lines = svg("svg", { class: "joins", "aria-hidden": "true" });
        this.box = element(
            "div",
            {
                class: "rows",
                tabindex: "0",
                role: "listbox",
                "aria-label": "messages of both captures, side by side",
                scroll: () => this.schedule(),
                keydown: (event) => this.key(event),
            },
            this.space,
        );
        this.print = element("div", { class: "print-only" });
        this.detail = new PairDetail(element("div", { id: "detail" }));
        const list = element(
            "div",
            { class: "side-list" },
            element(
                "div",
                { class: "tools" },
                this.allButton,
                this.onlyButton,
                button("‹", {
                    click: () => this.nextDifference(-1),
                    "aria-label": "previous difference",
                    title: "previous difference (p)",
                }),
                button("›", {
                    click: () => this.nextDifference(1),
                    "aria-label": "next difference",
                    title: "next difference (n)",
                }),
                this.count,
            ),
            element(
                "div",
                { class: "side-row heads", "aria-hidden": "true" },
                element("span", { class: "cell" }, `reference: ${data.captures[0]}`),
                element("span", { class: "gutter" }),
                element("span", { class: "cell" }, `candidate: ${data.captures[1]}`),
            ),
            this.box,
            this.print,
        );
        this.root.append(element("div", { class: "messages side" }, list, this.detail.root));
        new ResizeObserver(() => this.draw()).observe(this.box);
    }

    // Makes the rows anew, and keeps what is chosen.
    lay() {
        const stop = this.model && this.model.stops[this.chosen];
        this.model = new SideRows(this.withAll, this.onlyDifferences);
        this.space.style.height = `${this.model.rows.length * ROW_HEIGHT}px`;
        this.chosen = stop && stop.pair !== undefined ? this.model.stopOf(stop.pair) : -1;
        const shown = new Set(this.model.stops.filter(({ pair }) => pair !== undefined).map(({ pair }) => pair));
        const differing = [...shown].filter((pair) => has(pair, DISAGREES)).length;
        this.count.textContent = `${plural(shown.size, "pair")}, ${plural(differing, "difference")}${data.incomplete ? " in this file" : ""}`;
        this.draw();
        if (this.chosen >= 0) this.reveal();
    }

    schedule() {
        if (this.waits) return;
        this.waits = true;
        requestAnimationFrame(() => {
            this.waits = false;
            this.draw();
        });
    }

    draw() {
        const { rows } = this.model;
        const first = Math.max(0, Math.floor(this.box.scrollTop / ROW_HEIGHT) - OVERSCAN);
        const last = Math.min(
            rows.length,
            Math.ceil((this.box.scrollTop + this.box.clientHeight) / ROW_HEIGHT) + OVERSCAN,
        );
        const drawn = [];
        for (let at = first; at < last; at++) {
            const made = this.row(rows[at]);
            made.style.top = `${at * ROW_HEIGHT}px`;
            drawn.push(made);
        }
        this.space.replaceChildren(this.lines, ...drawn);
        this.join(first, last);
        const active = this.space.querySelector("[aria-selected=true]");
        if (active) this.box.setAttribute("aria-activedescendant", active.id);
        else this.box.removeAttribute("aria-activedescendant");
    }

    row(row) {
        if (row.kind === "conversation") {
            const { title, outcome } = data.conversations[row.conversation];
            return element(
                "div",
                { class: "side-row talk", title: `${title}: ${outcome}` },
                element("b", {}, title),
                element("span", { class: "hint" }, outcome),
            );
        }
        if (row.kind === "alike")
            return element("div", { class: "side-row quiet" }, `… ${plural(row.count, "row")} without a difference`);
        if (row.kind === "hole") {
            return element(
                "div",
                { class: "side-row quiet hole", ...this.option(row.stop), title: row.hole.text },
                `… ${row.hole.text}`,
            );
        }
        return element(
            "div",
            { class: "side-row" },
            this.cell(row, "reference"),
            element("span", { class: "gutter" }),
            this.cell(row, "candidate"),
        );
    }

    cell(row, side) {
        const pair = row[side];
        if (pair < 0) return element("span", { class: "cell none" });
        const stop = row.stops[side];
        const isSecond = side === "candidate" && row.reference === pair;
        const chosen = this.model.stops[this.chosen];
        const text = messageText(side, pair);
        const n = pairs[side].n[pair];
        const roles = isSecond ? { "aria-hidden": "true", click: () => this.choose(stop) } : this.option(stop);
        return element(
            "span",
            {
                ...roles,
                title: `${verdictText(pair)}: ${text}`,
                class: `cell ${verdictClass(pair)}${chosen && chosen.pair === pair ? " chosen" : ""}`,
            },
            element("span", { class: "unseen" }, `${side}, ${verdictText(pair)}: `),
            element("span", { class: "n" }, n),
            element("span", { class: "when" }, (pairs[side].t[pair] / 1e6).toFixed(3)),
            element("span", { class: "way" }, has(pair, SENT) ? "→" : "←"),
            element("span", { class: "text" }, element("b", {}, GLYPHS[pairs.verdict[pair]]), ` ${text}`),
        );
    }

    option(stop) {
        return {
            role: "option",
            id: `stop-${stop}`,
            "aria-selected": String(stop === this.chosen),
            "aria-posinset": stop + 1,
            "aria-setsize": this.model.stops.length,
            click: () => this.choose(stop),
        };
    }

    // Draws the lines between the two columns: level pairs straight, moved pairs as curves, what has no counterpart as a ring.
    join(first, last) {
        const head = this.space.querySelector(".gutter");
        const width = head ? head.clientWidth : 0;
        const top = first * ROW_HEIGHT;
        this.lines.style.top = `${top}px`;
        this.lines.style.left = `${head ? head.offsetLeft : 0}px`;
        setAttributes(this.lines, { width, height: Math.max(0, (last - first) * ROW_HEIGHT) });
        const middle = (row) => (row + 0.5) * ROW_HEIGHT - top;
        const chosen = this.model.stops[this.chosen];
        const { reference, candidate } = this.model.place;
        const drawn = [];
        const add = (pair, ...shapes) =>
            drawn.push(
                svg(
                    "g",
                    { class: `${verdictClass(pair)}${chosen && chosen.pair === pair ? " chosen" : ""}` },
                    ...shapes,
                ),
            );
        for (const [pair, row] of reference) {
            const other = candidate.get(pair);
            if (other === undefined) {
                if (row < first || row >= last) continue;
                const y = middle(row);
                add(
                    pair,
                    svg("path", { d: `M0 ${y}H${width * 0.22 - 3}` }),
                    svg("circle", { cx: width * 0.22, cy: y, r: 3 }),
                );
                continue;
            }
            if (Math.max(row, other) < first || Math.min(row, other) >= last) continue;
            const [from, to] = [middle(row), middle(other)];
            add(
                pair,
                svg("path", {
                    d:
                        from === to
                            ? `M0 ${from}H${width}`
                            : `M0 ${from}C${width * 0.55} ${from} ${width * 0.45} ${to} ${width} ${to}`,
                }),
            );
        }
        for (const [pair, row] of candidate) {
            if (reference.has(pair) || row < first || row >= last) continue;
            const y = middle(row);
            add(
                pair,
                svg("path", { d: `M${width} ${y}H${width * 0.78 + 3}` }),
                svg("circle", { cx: width * 0.78, cy: y, r: 3 }),
            );
        }
        // The chosen pair lies over the others.
        this.lines.replaceChildren(
            ...drawn.filter((group) => !group.classList.contains("chosen")),
            ...drawn.filter((group) => group.classList.contains("chosen")),
        );
    }

    choose(stop) {
        this.chosen = stop;
        const { pair, hole } = this.model.stops[stop];
        this.detail.show(pair, hole);
        this.draw();
        this.reveal();
        if (pair === undefined) speak(hole.text);
        else {
            const side = pairs.reference.n[pair] ? "reference" : "candidate";
            history.replaceState(null, "", `#${side}=${pairs[side].n[pair]}`);
            speak(`${verdictText(pair)}: ${messageText(side, pair)}`);
        }
    }

    // Scrolls the list, not the page, to the chosen row.
    reveal() {
        const top = this.model.stops[this.chosen].row * ROW_HEIGHT;
        if (top < this.box.scrollTop + ROW_HEIGHT) this.box.scrollTop = top - 3 * ROW_HEIGHT;
        else if (top > this.box.scrollTop + this.box.clientHeight - 2 * ROW_HEIGHT)
            this.box.scrollTop = top - this.box.clientHeight + 4 * ROW_HEIGHT;
    }

    // Chooses a pair; shows the messages that are not judged where the pair is one of them.
    select(pair) {
        if (this.model.stopOf(pair) < 0 && this.onlyDifferences) this.toggleOnly();
        if (this.model.stopOf(pair) < 0 && !this.withAll) this.toggleAll();
        const stop = this.model.stopOf(pair);
        if (stop >= 0) this.choose(stop);
    }

    // Chooses the pair that has message `n` of a side; whether there is one in this file.
    selectMessage(side, n) {
        const pair = pairs[side].n.indexOf(n);
        if (pair >= 0) this.select(pair);
        else speak(`message ${n} is not in this file`);
        return pair >= 0;
    }

    move(direction) {
        const next = clamp(this.chosen + direction, 0, this.model.stops.length - 1);
        if (this.model.stops.length && next !== this.chosen) this.choose(next);
    }

    nextDifference(direction) {
        const { stops } = this.model;
        for (let at = this.chosen + direction; at >= 0 && at < stops.length; at += direction) {
            const { pair } = stops[at];
            if (pair !== undefined && has(pair, DISAGREES) && this.model.stopOf(pair) === at) return this.choose(at);
        }
        return speak(direction > 0 ? "no further difference" : "no difference before");
    }

    toggleAll() {
        if (!this.allButton) return;
        this.withAll = !this.withAll;
        this.allButton.setAttribute("aria-pressed", String(this.withAll));
        this.lay();
    }

    toggleOnly() {
        this.onlyDifferences = !this.onlyDifferences;
        this.onlyButton.setAttribute("aria-pressed", String(this.onlyDifferences));
        this.lay();
    }

    key(event) {
        if (event.ctrlKey || event.altKey || event.metaKey) return;
        const page = Math.max(1, Math.floor(this.box.clientHeight / ROW_HEIGHT) - 2);
        const step = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity }[
            event.key
        ];
        if (!step) return;
        this.move(Number.isFinite(step) ? step : step < 0 ? -this.chosen : this.model.stops.length);
        event.preventDefault();
    }

    // The first rows as a table, for paper.
    writeOut() {
        const { rows } = this.model;
        const cell = (side, pair) =>
            pair < 0
                ? ""
                : `#${pairs[side].n[pair]} ${has(pair, SENT) ? "→" : "←"} ${GLYPHS[pairs.verdict[pair]]} ${messageText(side, pair)}`;
        const lines = rows.slice(0, PAPER_ROWS).map((row) => {
            const { kind } = row;
            if (kind === "messages")
                return element(
                    "tr",
                    {},
                    element("td", {}, cell("reference", row.reference)),
                    element("td", {}, cell("candidate", row.candidate)),
                );
            const text =
                kind === "conversation"
                    ? `${data.conversations[row.conversation].title}: ${data.conversations[row.conversation].outcome}`
                    : kind === "hole"
                      ? `… ${row.hole.text}: ${row.hole.command}`
                      : `… ${plural(row.count, "row")} without a difference`;
            return element("tr", {}, element("th", { colspan: "2", scope: "colgroup" }, text));
        });
        this.print.replaceChildren(
            element(
                "table",
                { class: "data" },
                element(
                    "thead",
                    {},
                    element(
                        "tr",
                        {},
                        element("th", { scope: "col" }, "reference"),
                        element("th", { scope: "col" }, "candidate"),
                    ),
                ),
                element("tbody", {}, lines),
            ),
        );
        if (rows.length > PAPER_ROWS)
            this.print.append(element("p", { class: "hint" }, `… ${plural(rows.length - PAPER_ROWS, "more line")}`));
    }

    takeBack() {
        this.print.replaceChildren();
        this.draw();
    }
}
