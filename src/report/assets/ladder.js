// The list of messages with a lifeline a host. Runs of like messages fold into one row, silence and what is not in the file
// have rows of their own. Only the rows in sight are elements.

const ROW = 22;
const FOLDED = new Set([
    "request",
    "piece",
    "have",
    "cancel",
    "reject-request",
    "allowed-fast",
    "suggest-piece",
    "keep-alive",
]);
const SHORTEST_RUN = 3;
const PRINTED_ROWS = 240;

class Ladder {
    constructor(root) {
        this.root = root;
        this.folds = true;
        this.open = new Set();
        this.test = null;
        this.lane = -1;
        this.rows = [];
        this.active = -1;
        this.onChoose = () => {};
        this.lifelines = new Lifelines();
        this.build();
        this.rebuild();
    }

    build() {
        this.foldButton = button("Fold runs", {
            "aria-pressed": "true",
            click: () => this.toggleFold(),
            title: "fold runs of like messages (z)",
        });
        this.box = element("input", {
            type: "search",
            class: "filter-box",
            placeholder: "filter: message == piece && index == 3",
            spellcheck: "false",
            autocomplete: "off",
            "aria-label": "filter, in the language of --filter",
            "aria-describedby": "filter-fault",
            maxlength: "2000",
            input: () => this.filterSoon(),
            keydown: (event) => this.boxKey(event),
        });
        this.fault = element("div", { id: "filter-fault", class: "fault", role: "alert" });
        this.count = element("span", { class: "hint", role: "status" });
        this.laneNote = button("", { class: "lane-note", hidden: true, click: () => page.only(-1) });
        this.rowsBox = element("div", {
            class: "rows",
            role: "listbox",
            tabindex: "0",
            "aria-label": "messages",
            keydown: (event) => this.key(event),
            scroll: () => this.renderSoon(),
        });
        this.space = element("div", { class: "space" });
        this.rowsBox.append(this.space);
        this.root.style.setProperty("--lifelines", `${this.lifelines.width()}px`);
        this.print = element("div", { class: "print-only" });
        this.root.replaceChildren(
            element("div", { class: "tools" }, this.box, this.foldButton, this.laneNote, this.count),
            this.fault,
            element(
                "div",
                { class: "row heads" },
                element("span", { class: "n" }, "n"),
                element("span", { class: "when" }, "seconds"),
                this.lifelines.head(),
                element("span", { class: "text", title: this.lifelines.list() }, this.lifelines.text()),
                element("span", { class: "after" }, "after"),
            ),
            this.rowsBox,
            this.print,
        );
        new ResizeObserver(() => this.renderSoon()).observe(this.rowsBox);
    }

    // --- what is listed

    shows(place) {
        return (this.lane < 0 || messages.lane[place] === this.lane) && (!this.test || this.test(place));
    }

    isWhole() {
        return this.lane < 0 && !this.test;
    }

    rebuild() {
        const places = [];
        for (let place = 0; place < messages.n.length; place++) if (this.shows(place)) places.push(place);
        this.places = places;
        this.rows = this.rowsOf(places);
        this.rowOfPlace = new Map();
        this.rows.forEach((row, index) => {
            for (const place of row.places || []) this.rowOfPlace.set(place, index);
        });
        this.space.style.height = `${this.rows.length * ROW}px`;
        // A short list does not stand in a tall box.
        if (this.isWhole()) this.root.parentElement?.style.setProperty("--tall", `${this.rows.length * ROW + 96}px`);
        this.tellCount();
        this.active = this.rowOfPlace.get(placeOf(page.chosen)) ?? -1;
        this.renderSoon();
    }

    rowsOf(places) {
        const rows = [];
        const holes = this.isWhole() ? data.holes : [];
        let hole = 0;
        const addHoles = (before) => {
            for (; hole < holes.length && holes[hole].after < before; hole++)
                rows.push({ kind: "hole", hole: holes[hole] });
        };
        const silent = (data.span[1] - data.span[0]) / 60;
        for (let i = 0; i < places.length; i++) {
            const place = places[i];
            addHoles(place);
            const last = rows[rows.length - 1];
            const gap = i ? messages.t[place] - messages.t[places[i - 1]] : 0;
            if (gap > silent && last && last.kind !== "hole") rows.push({ kind: "silence", gap });
            const run = this.folds ? this.runAt(places, i, holes[hole] ? holes[hole].after : Infinity) : 1;
            if (run < SHORTEST_RUN) {
                rows.push({ kind: "message", places: [place] });
                continue;
            }
            const inside = places.slice(i, i + run);
            rows.push({ kind: "run", places: this.open.has(place) ? [] : inside, all: inside });
            if (this.open.has(place))
                for (const one of inside) rows.push({ kind: "message", places: [one], inside: true });
            i += run - 1;
        }
        addHoles(Infinity);
        return rows;
    }

    // How many messages from `i` on are alike: same name, same way, nothing noted, no hole within.
    runAt(places, i, lastPlace) {
        const first = places[i];
        if (!FOLDED.has(nameAt(first)) || messages.severity[first]) return 1;
        let count = 1;
        while (i + count < places.length) {
            const next = places[i + count];
            const isLike =
                messages.name[next] === messages.name[first] &&
                messages.from[next] === messages.from[first] &&
                messages.to[next] === messages.to[first] &&
                messages.lane[next] === messages.lane[first] &&
                !messages.severity[next];
            if (!isLike || next > lastPlace) break;
            count++;
        }
        return count;
    }

    tellCount() {
        const lines = this.rows.length;
        const shownHere = this.places.length;
        const all = data.totals.messages;
        if (this.isWhole()) {
            this.count.textContent =
                shownHere < all
                    ? `${grouped(shownHere)} of ${plural(all, "message")} are in this file`
                    : `${plural(all, "message")} in ${plural(lines, "line")}`;
            return;
        }
        const rest = messages.n.length < all && this.test ? `; over all: ${commandFor(this.box.value.trim())}` : "";
        this.count.textContent = `${grouped(shownHere)} of ${plural(messages.n.length, "message")}${rest}`;
    }

    // --- drawing

    renderSoon() {
        if (!this.waiting) this.waiting = requestAnimationFrame(() => this.render());
    }

    render() {
        this.waiting = 0;
        const top = this.rowsBox.scrollTop;
        const first = Math.max(0, Math.floor(top / ROW) - 3);
        const last = Math.min(this.rows.length, Math.ceil((top + this.rowsBox.clientHeight) / ROW) + 3);
        const made = [];
        for (let index = first; index < last; index++) made.push(this.rowElement(index));
        this.space.replaceChildren(...made);
        if (this.active >= first && this.active < last)
            this.rowsBox.setAttribute("aria-activedescendant", `row-${this.active}`);
        else this.rowsBox.removeAttribute("aria-activedescendant");
    }

    rowElement(index) {
        const row = this.rows[index];
        const made = element(
            "div",
            {
                class: `row ${row.kind}${row.inside ? " inside" : ""}${this.bracketClass(index)}`,
                id: `row-${index}`,
                role: "option",
                "aria-selected": String(index === this.active),
                "aria-setsize": this.rows.length,
                "aria-posinset": index + 1,
                click: () => this.clickRow(index),
            },
            this.cells(row),
        );
        made.style.top = `${index * ROW}px`;
        return made;
    }

    // Rows from the chosen message to its answer, or to what it answers, have a bracket.
    bracketClass(index) {
        const place = placeOf(page.chosen);
        if (place < 0) return "";
        const partner = this.rowOfPlace.get(placeOf(messages.answers[place] || messages.answered_by[place]));
        if (partner === undefined || partner === this.active || this.active < 0) return "";
        const [low, high] = [Math.min(partner, this.active), Math.max(partner, this.active)];
        if (index < low || index > high) return "";
        return index === low ? " bracket first" : index === high ? " bracket last" : " bracket";
    }

    cells(row) {
        const blank = (name, text) => element("span", { class: name }, text || "");
        if (row.kind === "silence") {
            return [
                blank("n"),
                blank("when", `+${duration(row.gap)}`),
                this.lifelines.row(null),
                blank("text quiet", "· · · silence"),
                blank("after"),
            ];
        }
        if (row.kind === "hole") {
            const { count, filter, kinds } = row.hole;
            const what = Object.entries(kinds || {})
                .sort((a, b) => b[1] - a[1])
                .slice(0, 3)
                .map(([kind, n]) => `${grouped(n)} ${kind}`)
                .join(", ");
            return [
                blank("n", "…"),
                blank("when"),
                this.lifelines.row(null),
                element(
                    "span",
                    { class: "text quiet", title: commandFor(filter) },
                    `${plural(count, "message")} not in this file${what ? `: ${what}` : ""}; `,
                    element("code", {}, `--filter '${filter}'`),
                ),
                blank("after"),
            ];
        }
        const place = (row.all || row.places)[0];
        const isRun = row.kind === "run";
        const [name, rest] = partsAt(place);
        const severity = severityAt(place);
        const text = isRun
            ? [
                  `${row.places.length ? "▸" : "▾"} `,
                  element("b", {}, `${row.all.length} × ${nameAt(place)}`),
                  runText(row.all),
              ]
            : [
                  severity
                      ? element("span", { class: `glyph ${severity}`, title: severity }, `${GLYPH[severity]} `)
                      : null,
                  element("b", {}, name),
                  rest,
              ];
        const latency = isRun ? -1 : messages.latency_us[place];
        return [
            element("span", { class: "n" }, isRun ? `${messages.n[place]}…` : messages.n[place]),
            element("span", { class: "when" }, seconds(messages.t[place])),
            this.lifelines.row(place, isRun),
            element("span", { class: "text" }, text),
            element("span", { class: "after" }, latency >= 0 ? `+${duration(latency)}` : ""),
        ];
    }

    // --- choosing

    clickRow(index) {
        const row = this.rows[index];
        if (row.kind === "run") return this.toggleRun(index);
        if (row.kind === "message") this.onChoose(messages.n[row.places[0]]);
        return undefined;
    }

    toggleRun(index) {
        const first = this.rows[index].all[0];
        if (!this.open.delete(first)) this.open.add(first);
        this.rebuild();
        this.active = index;
        this.render();
    }

    toggleFold() {
        this.folds = !this.folds;
        this.open.clear();
        this.foldButton.setAttribute("aria-pressed", String(this.folds));
        this.rebuild();
        this.reveal();
    }

    // Shows message `n`: opens the run that holds it. `false` where the list does not show it.
    choose(n) {
        const place = placeOf(n);
        let index = this.rowOfPlace.get(place);
        if (index === undefined && place >= 0 && !this.isWhole()) {
            this.clear();
            index = this.rowOfPlace.get(place);
        }
        if (index !== undefined && this.rows[index].kind === "run") {
            this.open.add(this.rows[index].all[0]);
            this.rebuild();
            index = this.rowOfPlace.get(place);
        }
        this.active = index ?? -1;
        this.reveal();
        this.render();
        return index !== undefined;
    }

    reveal() {
        if (this.active < 0) return;
        const box = this.rowsBox;
        const top = this.active * ROW;
        if (top < box.scrollTop + ROW || top > box.scrollTop + box.clientHeight - 2 * ROW) {
            box.scrollTop = Math.max(0, top - box.clientHeight / 3);
        }
    }

    // The number of the next message in the list, or 0.
    neighbour(direction) {
        const place = placeOf(page.chosen);
        let at = place < 0 ? (direction > 0 ? -1 : this.places.length) : lowerBound(this.places, place);
        if (place >= 0 && direction > 0 && this.places[at] !== place) at--;
        const next = this.places[at + direction];
        return next === undefined ? 0 : messages.n[next];
    }

    key(event) {
        const pageRows = Math.max(1, Math.floor(this.rowsBox.clientHeight / ROW) - 1);
        const step = {
            ArrowDown: 1,
            ArrowUp: -1,
            PageDown: pageRows,
            PageUp: -pageRows,
            Home: -Infinity,
            End: Infinity,
        }[event.key];
        if (event.ctrlKey || event.altKey || event.metaKey) return;
        if (step) this.moveRow(step);
        else if (event.key === "Enter" || event.key === " ") {
            if (this.active >= 0) this.clickRow(this.active);
        } else return;
        event.preventDefault();
        event.stopPropagation();
    }

    moveRow(step) {
        if (!this.rows.length) return;
        let index = clamp(
            (this.active < 0 ? (step > 0 ? -1 : this.rows.length) : this.active) + step,
            0,
            this.rows.length - 1,
        );
        const way = step > 0 ? 1 : -1;
        while (this.rows[index] && this.rows[index].kind === "silence") index += way;
        if (!this.rows[index]) return;
        const row = this.rows[index];
        this.active = index;
        if (row.kind === "message") this.onChoose(messages.n[row.places[0]]);
        this.active = index;
        this.reveal();
        this.render();
    }

    // --- filter

    boxKey(event) {
        if (event.key === "Escape") {
            this.box.value = "";
            this.applyFilter();
            this.rowsBox.focus();
        } else if (event.key === "Enter") this.applyFilter();
        event.stopPropagation();
    }

    filterSoon() {
        clearTimeout(this.timer);
        this.timer = setTimeout(() => this.applyFilter(), 150);
    }

    // Applies what is in the box; true where it is an expression.
    applyFilter() {
        clearTimeout(this.timer);
        const text = this.box.value.trim();
        this.fault.textContent = "";
        this.box.removeAttribute("aria-invalid");
        if (text) {
            try {
                this.test = parseFilter(this.box.value);
            } catch (fault) {
                if (fault.what === undefined) throw fault;
                this.box.setAttribute("aria-invalid", "true");
                this.fault.replaceChildren(
                    element("div", {}, fault.what),
                    element("pre", {}, `${this.box.value}\n${" ".repeat(fault.column)}^`),
                );
                return false;
            }
        } else this.test = null;
        this.rebuild();
        this.rowsBox.scrollTop = 0;
        this.reveal();
        return true;
    }

    only(lane) {
        this.lane = lane;
        this.laneNote.hidden = lane < 0;
        if (lane >= 0) this.laneNote.textContent = shown(`only ${data.lanes[lane].label} at ${endText2(lane)} ✕`);
        this.rebuild();
        this.reveal();
    }

    clear() {
        this.box.value = "";
        this.fault.textContent = "";
        this.test = null;
        if (this.lane >= 0) page.only(-1);
        else this.rebuild();
    }

    // The first lines as elements, for paper.
    writeOut() {
        const rows = this.rows
            .slice(0, PRINTED_ROWS)
            .map((row) => element("div", { class: `row ${row.kind}` }, this.cells(row)));
        const more = this.rows.length - rows.length;
        this.print.replaceChildren(...rows);
        if (more > 0) this.print.append(element("p", { class: "hint" }, `… ${plural(more, "more line")}`));
    }

    takeBack() {
        this.print.replaceChildren();
    }
}

function endText2(lane) {
    const end = data.ends[data.lanes[lane].end];
    return end ? end.address : "";
}

// What a run is about: its pieces, each once, in order.
function runText(places) {
    const pieces = [];
    for (const place of places) {
        const found = /\bpieces? (\d+)/.exec(messages.summary[place]);
        if (found && !pieces.includes(found[1])) pieces.push(found[1]);
    }
    if (!pieces.length) return "";
    const list = pieces.slice(0, 8).join(", ");
    return ` ${pieces.length === 1 ? "piece" : "pieces"} ${list}${pieces.length > 8 ? `, … ${grouped(pieces.length)} in all` : ""}`;
}
