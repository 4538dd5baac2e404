// Puts the page together: one selection, the dock, keys, theme, paper, and the address.

const KEYS_HELP = [
    ["← →", "earlier, later; on a focused picture: from mark to mark"],
    ["+ −", "closer, less close"],
    ["0", "the whole time"],
    ["e", "by event, by time"],
    ["j k", "next and previous message"],
    ["[ ]", "previous and next finding"],
    ["a", "the answer of a message, or what it answers"],
    ["/", "filter"],
    ["z", "fold runs"],
    ["t", "theme"],
    ["Esc", "close, or clear the filter"],
    ["?", "these keys"],
];

class Page {
    constructor() {
        this.chosen = 0;
        this.lane = -1;
    }

    start() {
        document.body.append(spoken);
        readColours();
        this.buildTools();
        if (!data.totals.messages) document.getElementById("course").closest("section").hidden = true;
        this.axis = new Axis(data.span, momentsOf(data));
        this.connections = connectionLanes((lane) => this.only(this.lane === lane ? -1 : lane));
        const surfaces = [
            findingsLane(),
            messagesLane(),
            ...data.askers.map(askerLane),
            swarmHostsLane(),
            swarmCopiesLane(),
            ...this.connections,
            otherLanes(),
            trafficLane(),
            piecesLane(),
            answersLane(),
        ].filter(Boolean);
        this.course = new Course(document.getElementById("course"), this.axis, surfaces);
        this.course.onPick = (n) => this.select(n);
        this.detail = new Detail(document.getElementById("detail") || element("div"));
        this.ladder = new Ladder(document.getElementById("ladder") || element("div"));
        this.ladder.onChoose = (n) => this.select(n, true);
        this.buildContent();
        this.dock = document.getElementById("dock");
        this.dock.setAttribute("role", "region");
        this.dock.setAttribute("aria-label", "the chosen message in short");
        this.listen();
        this.course.redraw(true);
        this.readAddress();
    }

    buildTools() {
        const tools = document.getElementById("tools");
        if (!tools) return;
        tools.replaceChildren(
            button("◐ Theme", { click: () => this.nextTheme(), title: "light, dark, as the system (t)" }),
            button("Print", { click: () => print() }),
            button("? Keys", { click: () => this.showKeys(), title: "all keys (?)" }),
        );
    }

    buildContent() {
        if (!data.pieces || !data.pieces.cells.first.length) return;
        const place = document.getElementById("content-pictures") || document.getElementById("content");
        if (!place) return;
        this.content = new ContentPicture();
        place.append(this.content.root);
        addFileBars(document.querySelector("#content table.data"));
        new ResizeObserver(() =>
            requestAnimationFrame(() => {
                if (this.content.root.clientWidth !== this.contentWidth) this.drawContent();
            }),
        ).observe(this.content.root);
    }

    drawContent(width, ratio) {
        if (!this.content) return;
        this.contentWidth = this.content.root.clientWidth;
        this.content.draw(width || this.content.canvas.clientWidth, ratio || Math.min(3, devicePixelRatio || 1));
    }

    // Chooses message `n` everywhere. `isQuiet`: the reader is already among the messages, so the dock stays away.
    select(n, isQuiet) {
        this.chosen = n;
        this.course.choose(n);
        this.ladder.choose(n);
        this.detail.show(n);
        try {
            history.replaceState(null, "", `#n=${n}`);
        } catch {
            // A page within another page may not have an address of its own.
        }
        if (isQuiet) this.dock.hidden = true;
        else this.showDock();
        speak(sentenceOf(n).join(". "));
    }

    showDock() {
        const n = this.chosen;
        const place = placeOf(n);
        const step = (direction) => () => {
            const next = this.ladder.neighbour(direction);
            if (next) this.select(next);
        };
        const [name, rest] = place < 0 ? ["", "is in the capture, not in this file"] : partsAt(place);
        const note = place < 0 ? null : notesAt(place).find(([severity]) => severity > 1);
        this.dock.replaceChildren(
            button("‹", { click: step(-1), "aria-label": "previous message" }),
            button("›", { click: step(1), "aria-label": "next message" }),
            element("b", {}, `#${grouped(n)}`),
            place < 0 ? "" : element("span", { class: "hint" }, `${seconds(messages.t[place])} s`),
            place < 0 ? "" : this.ladder.lifelines.row(place),
            element(
                "span",
                { class: "dock-text" },
                element("b", {}, name),
                rest,
                note ? element("span", { class: "wrong" }, ` ✕ ${note[2]}`) : null,
            ),
            button("Bytes and meaning ↓", { click: () => this.toBytes() }),
            button("✕", {
                click: () => {
                    this.dock.hidden = true;
                },
                "aria-label": "close",
            }),
        );
        this.dock.hidden = false;
    }

    toBytes() {
        this.dock.hidden = true;
        this.ladder.root.scrollIntoView({
            block: "start",
            behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
        });
        this.detail.root.focus({ preventScroll: true });
    }

    // Only one connection, or all (-1).
    only(lane) {
        this.lane = lane;
        this.connections.forEach((surface, index) => {
            surface.only.setAttribute("aria-pressed", String(index === lane));
            surface.lane.classList.toggle("dimmed", lane >= 0 && index !== lane);
        });
        this.ladder.only(lane);
    }

    nextFinding(direction) {
        const numbers = [
            ...new Set(["error", "warn", "note"].flatMap((severity) => findingMarks(severity).map(([, n]) => n))),
        ].sort((a, b) => a - b);
        if (!numbers.length) return speak("no findings");
        const next = direction > 0 ? numbers.find((n) => n > this.chosen) : numbers.findLast((n) => n < this.chosen);
        if (next) this.select(next);
        return undefined;
    }

    toAnswer() {
        const place = placeOf(this.chosen);
        const n = place < 0 ? 0 : messages.answers[place] || messages.answered_by[place];
        if (n) this.select(n, this.dock.hidden);
        else speak("no answer");
    }

    move(direction) {
        const n = this.ladder.neighbour(direction);
        if (n) this.select(n, this.dock.hidden && this.isAmongMessages());
    }

    isAmongMessages() {
        const box = this.ladder.root.getBoundingClientRect();
        return box.top < innerHeight * 0.8 && box.bottom > 0;
    }

    nextTheme() {
        const name = nextTheme();
        this.course.redraw();
        this.drawContent();
        speak(`theme: ${name}`);
    }

    showKeys() {
        showSheet(
            "keys",
            "Keys",
            keyList(KEYS_HELP),
            element(
                "p",
                { class: "hint" },
                "Drag or Ctrl and the wheel: closer. Double click: all. Click a mark: its message. Click the name of a connection: only that one.",
            ),
        );
    }

    listen() {
        // What scrolls sideways can be reached with the keyboard.
        for (const box of document.querySelectorAll(".scroll")) box.tabIndex = 0;
        document.addEventListener("keydown", (event) => this.key(event));
        document.addEventListener("click", (event) => {
            const link = event.target.closest && event.target.closest("a[data-n]");
            if (!link) return;
            event.preventDefault();
            this.select(Number(link.dataset.n), Boolean(link.closest("#detail")));
        });
        addEventListener("hashchange", () => this.readAddress());
        matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
            readColours();
            this.course.redraw();
            this.drawContent();
        });
        addEventListener("beforeprint", () => this.toPaper());
        addEventListener("afterprint", () => this.fromPaper());
    }

    key(event) {
        if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
        if (event.target.closest && event.target.closest("input, textarea, select, .scroll")) return;
        const does = {
            ArrowLeft: () => this.course.pan(-0.25),
            ArrowRight: () => this.course.pan(0.25),
            "+": () => this.course.zoom(0.5, this.zoomShare()),
            "=": () => this.course.zoom(0.5, this.zoomShare()),
            "-": () => this.course.zoom(2, this.zoomShare()),
            0: () => this.course.showAll(),
            e: () => this.course.setMode(this.axis.mode === "event" ? "time" : "event"),
            j: () => this.move(1),
            k: () => this.move(-1),
            "[": () => this.nextFinding(-1),
            "]": () => this.nextFinding(1),
            a: () => this.toAnswer(),
            "/": () => this.ladder.box.focus(),
            z: () => this.ladder.toggleFold(),
            t: () => this.nextTheme(),
            "?": () => this.showKeys(),
            Escape: () => this.escape(),
        }[event.key];
        if (!does) return;
        does();
        event.preventDefault();
    }

    escape() {
        if (!this.dock.hidden) this.dock.hidden = true;
        else if (!this.ladder.isWhole()) this.ladder.clear();
    }

    // Keys zoom around the chosen message where it is in sight.
    zoomShare() {
        const place = placeOf(this.chosen);
        if (place < 0) return 0.5;
        const share = this.axis.x(messages.t[place], 1);
        return share >= 0 && share <= 1 ? share : 0.5;
    }

    readAddress() {
        const found = /^#n=(\d+)$/.exec(location.hash);
        if (found && Number(found[1]) !== this.chosen) this.select(Number(found[1]));
    }

    // Paper is laid out after this event: a fixed width, light colours, and the ladder written out.
    toPaper() {
        this.themeBefore = document.documentElement.dataset.theme;
        setTheme("light");
        this.dock.hidden = true;
        this.course.redrawAt(PAPER_WIDTH, PAPER_RATIO, true);
        this.drawContent(PAPER_WIDTH, PAPER_RATIO);
        this.ladder.writeOut();
    }

    fromPaper() {
        setTheme(this.themeBefore);
        this.ladder.takeBack();
        this.course.redraw();
        this.drawContent();
    }
}

const PAPER_WIDTH = 535;
const PAPER_RATIO = 3;

const page = new Page();
page.start();

// For tests, and for a look from the console.
window.bittrace = {
    axis: page.axis,
    select: (n) => page.select(n),
    pick: (x, y) => page.course.pickAt(x, y),
    marks: () =>
        page.course.redraw(true) ||
        page.course.surfaces.map((surface) => ({
            title: surface.spec.title,
            box: surface.canvas.getBoundingClientRect().toJSON(),
            marks: surface.marks.map(({ x, y, w, h, n }) => ({ x, y, w, h, n })),
        })),
    chosen: () => page.chosen,
    places: () => page.ladder.places.map((place) => messages.n[place]),
    filter: (text) => {
        page.ladder.box.value = text;
        return page.ladder.applyFilter() ? "" : page.ladder.fault.firstChild.textContent;
    },
    drawTime: () => {
        page.course.redraw();
        return page.course.spent;
    },
};
