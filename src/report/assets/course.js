// The pictures over time, one below the other: their axis, pointer and keys. One crosshair, one selection, one zoom.

class Course {
    constructor(root, axis, surfaces) {
        this.root = root;
        this.axis = axis;
        this.surfaces = surfaces;
        this.chosen = 0;
        this.waiting = 0;
        this.width = 0;
        this.ratio = 1;
        this.onPick = () => {};
        this.build();
        this.listen();
    }

    build() {
        const zoom = (factor) => () => this.zoom(factor, 0.5);
        const pan = (share) => () => this.pan(share);
        this.byEvent = button("By event", {
            click: () => this.setMode("event"),
            title: "each event has its place; silence is squeezed (e)",
        });
        this.byTime = button("By time", {
            click: () => this.setMode("time"),
            title: "a second is as long everywhere (e)",
        });
        this.status = element("span", { class: "hint" });
        const tools = element(
            "div",
            { class: "tools", role: "group", "aria-label": "axis" },
            this.byEvent,
            this.byTime,
            button("−", { click: zoom(2), "aria-label": "less close", title: "less close (-)" }),
            button("+", { click: zoom(0.5), "aria-label": "closer", title: "closer (+)" }),
            button("←", { click: pan(-0.5), "aria-label": "earlier", title: "earlier (←)" }),
            button("→", { click: pan(0.5), "aria-label": "later", title: "later (→)" }),
            button("All", { click: () => this.showAll(), title: "everything (0)" }),
            this.status,
        );
        this.scale = element("canvas", { role: "img", "aria-label": "the axis, in seconds since the first packet" });
        this.head = element(
            "div",
            { class: "course-head" },
            tools,
            element(
                "div",
                { class: "lane scale" },
                element(
                    "div",
                    { class: "label" },
                    element("div", { class: "notes" }, "seconds since the first packet"),
                ),
                element("div", { class: "plot" }, this.scale),
            ),
        );
        this.crosshair = element("div", { class: "crosshair", hidden: true });
        this.line = element("div", { class: "chosen-line", hidden: true });
        this.band = element("div", { class: "drag-band", hidden: true });
        this.lanes = element(
            "div",
            { class: "lanes" },
            this.surfaces.map((surface) => surface.lane),
            this.crosshair,
            this.line,
            this.band,
        );
        this.tip = element("div", { class: "tip", hidden: true });
        this.root.replaceChildren(this.head, this.lanes, legend());
        document.body.append(this.tip);
    }

    listen() {
        let down = null;
        const lanes = this.lanes;
        lanes.addEventListener("pointerdown", (event) => {
            if (event.button !== 0 || !event.target.surface) return;
            down = { x: event.clientX, dragged: false };
            if (event.pointerType !== "touch") event.target.setPointerCapture(event.pointerId);
        });
        lanes.addEventListener("pointermove", (event) => {
            if (down && Math.abs(event.clientX - down.x) > 4 && event.pointerType !== "touch") down.dragged = true;
            if (down && down.dragged) this.showBand(down.x, event.clientX);
            else this.hover(event);
        });
        lanes.addEventListener("pointerup", (event) => {
            if (!down) return;
            const { x, dragged } = down;
            down = null;
            this.band.hidden = true;
            if (dragged) this.show(this.momentAt(x), this.momentAt(event.clientX));
            else this.click(event);
        });
        lanes.addEventListener("pointercancel", () => {
            down = null;
            this.band.hidden = true;
        });
        lanes.addEventListener("pointerleave", () => this.leave());
        lanes.addEventListener("dblclick", (event) => {
            if (event.target.surface) this.showAll();
        });
        this.root.addEventListener(
            "wheel",
            (event) => {
                if (!event.ctrlKey && !event.metaKey) return;
                event.preventDefault();
                const share = clamp((event.clientX - this.plotLeft()) / this.inner(), 0, 1);
                this.zoom(2 ** clamp(event.deltaY / 200, -1, 1), share);
            },
            { passive: false },
        );
        lanes.addEventListener("keydown", (event) => this.key(event));
        lanes.addEventListener("focusout", () => this.leave());
        const sight = new IntersectionObserver(
            (entries) => {
                for (const { target, isIntersecting } of entries) {
                    target.surface.isAway = !isIntersecting;
                    if (isIntersecting && target.surface.isStale) this.draw(target.surface);
                }
            },
            { rootMargin: "200px" },
        );
        for (const surface of this.surfaces) sight.observe(surface.canvas);
        new ResizeObserver(() => {
            if (this.scale.parentElement.clientWidth !== this.width) this.redrawSoon();
        }).observe(this.lanes);
    }

    // Arrows walk the marks of the picture that has the focus; Enter leads to the message.
    key(event) {
        const surface = event.target.surface;
        if (!surface || event.ctrlKey || event.altKey || event.metaKey) return;
        const direction = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (direction) {
            const mark = surface.step(direction);
            if (mark) {
                const lines = mark.text();
                const box = surface.canvas.getBoundingClientRect();
                this.showTip(lines, box.left + mark.x + mark.w / 2, box.top + mark.y + mark.h);
                speak(lines.join(". "));
                surface.reached = mark;
            } else speak("no mark in this stretch");
        } else if (event.key === "Enter" && surface.reached) {
            if (surface.reached.n) this.onPick(surface.reached.n);
        } else return;
        event.preventDefault();
        event.stopPropagation();
    }

    plotLeft() {
        return this.scale.getBoundingClientRect().left + GUTTER;
    }

    inner() {
        return Math.max(10, this.width - GUTTER - MARGIN);
    }

    momentAt(clientX) {
        return this.axis.t(clamp(clientX - this.plotLeft(), 0, this.inner()), this.inner());
    }

    // The mark below a pointer.
    pickAt(clientX, clientY) {
        const target = document.elementFromPoint(clientX, clientY);
        const surface = target && target.surface;
        if (!surface) return null;
        const box = surface.canvas.getBoundingClientRect();
        return surface.pick(clientX - box.left, clientY - box.top);
    }

    hover(event) {
        const surface = event.target.surface;
        if (!surface) return this.leave();
        const box = surface.canvas.getBoundingClientRect();
        const lanes = this.lanes.getBoundingClientRect();
        this.crosshair.hidden = false;
        this.crosshair.style.left = `${event.clientX - lanes.left}px`;
        const mark = surface.pick(event.clientX - box.left, event.clientY - box.top);
        surface.canvas.style.cursor = mark && mark.n ? "pointer" : "crosshair";
        if (mark) this.showTip(mark.text(), event.clientX, event.clientY);
        else this.showTip([`${seconds(this.momentAt(event.clientX))} s`], event.clientX, event.clientY, true);
    }

    leave() {
        this.crosshair.hidden = true;
        this.tip.hidden = true;
    }

    click(event) {
        const mark = this.pickAt(event.clientX, event.clientY);
        if (mark && mark.n) this.onPick(mark.n);
    }

    showTip(lines, x, y, isSlight) {
        const tip = this.tip;
        tip.replaceChildren(...lines.map((line) => element("div", {}, line)));
        tip.classList.toggle("slight", Boolean(isSlight));
        tip.hidden = false;
        const [width, height] = [tip.offsetWidth, tip.offsetHeight];
        tip.style.left = `${clamp(x + 18, 4, Math.max(4, innerWidth - width - 4))}px`;
        tip.style.top = `${y + 20 + height > innerHeight ? Math.max(4, y - height - 12) : y + 20}px`;
    }

    showBand(from, to) {
        const lanes = this.lanes.getBoundingClientRect();
        const low = this.plotLeft();
        const [a, b] = [Math.min(from, to), Math.max(from, to)].map((x) => clamp(x, low, low + this.inner()));
        this.band.hidden = false;
        this.tip.hidden = true;
        this.band.style.left = `${a - lanes.left}px`;
        this.band.style.width = `${b - a}px`;
    }

    zoom(factor, share) {
        this.axis.zoom(factor, share);
        this.redrawSoon();
    }

    pan(share) {
        this.axis.pan(share);
        this.redrawSoon();
    }

    show(from, to) {
        this.axis.show(from, to);
        this.redrawSoon();
    }

    showAll() {
        this.axis.all();
        this.redrawSoon();
    }

    setMode(mode) {
        this.axis.setMode(mode);
        this.redrawSoon();
    }

    choose(n) {
        this.chosen = n;
        const place = placeOf(n);
        if (place >= 0) this.axis.reveal(messages.t[place]);
        this.redrawSoon();
    }

    redrawSoon() {
        if (!this.waiting) this.waiting = requestAnimationFrame(() => this.redraw(false));
    }

    redraw(all) {
        cancelAnimationFrame(this.waiting);
        this.waiting = 0;
        const width = this.scale.parentElement.clientWidth;
        if (width > 0) this.redrawAt(width, Math.min(3, window.devicePixelRatio || 1), all);
    }

    draw(surface) {
        surface.isStale = false;
        surface.draw(this.axis, this.width, this.ratio, this.chosen);
    }

    // Pictures out of sight wait until they come into sight, unless `all` are wanted.
    redrawAt(width, ratio, all) {
        const before = performance.now();
        [this.width, this.ratio] = [width, ratio];
        this.drawScale();
        for (const surface of this.surfaces) {
            surface.isStale = !all && surface.isAway;
            if (!surface.isStale) this.draw(surface);
        }
        this.placeLine();
        this.byEvent.setAttribute("aria-pressed", String(this.axis.mode === "event"));
        this.byTime.setAttribute("aria-pressed", String(this.axis.mode === "time"));
        const [from, to] = [this.axis.from(), this.axis.to()];
        this.status.textContent = this.axis.isWhole()
            ? `all of it, ${duration(to - from)}`
            : `${seconds(from)} to ${seconds(to)} s, ${duration(to - from)}`;
        this.spent = performance.now() - before;
    }

    placeLine() {
        const place = placeOf(this.chosen);
        const t = place >= 0 ? messages.t[place] : -1;
        this.line.hidden = t < this.axis.from() || t > this.axis.to();
        const offset = this.scale.getBoundingClientRect().left - this.lanes.getBoundingClientRect().left;
        if (!this.line.hidden) this.line.style.left = `${offset + GUTTER + this.axis.x(t, this.inner())}px`;
    }

    // Numbers of seconds above, hatched silences below.
    drawScale() {
        const height = 30;
        const { scale, width, ratio } = this;
        scale.width = Math.round(width * ratio);
        scale.height = height * ratio;
        scale.style.height = `${height}px`;
        const g = scale.getContext("2d");
        g.setTransform(ratio, 0, 0, ratio, 0, 0);
        g.font = "11px system-ui, sans-serif";
        g.textBaseline = "middle";
        const inner = this.inner();
        for (const tick of this.axis.ticks(inner)) {
            const half = g.measureText(tick.text).width / 2;
            g.fillStyle = colour.soft;
            g.fillText(tick.text, clamp(GUTTER + tick.x - half, 0, width - 2 * half - 1), 7);
            g.fillRect(Math.round(GUTTER + tick.x), 14, 1, 4);
        }
        for (const { from, to, gap } of this.axis.silences(inner)) {
            g.fillStyle = stripes(g, colour.faint, 2.5);
            g.fillRect(GUTTER + from + 1, 21, to - from - 2, 7);
            const text = duration(gap);
            const half = g.measureText(text).width / 2 + 4;
            if (to - from < 2 * half + 16) continue;
            g.fillStyle = colour.paper;
            g.fillRect(GUTTER + (from + to) / 2 - half, 18, 2 * half, 12);
            g.fillStyle = colour.soft;
            g.fillText(text, GUTTER + (from + to) / 2 - half + 4, 25);
        }
    }
}

// What the looks of the lanes mean.
function legend() {
    if (!data.lanes.length) return "";
    const sample = (kind) => {
        const box = svg("svg", { width: 26, height: 9, "aria-hidden": "true" });
        const bar = (attributes) => svg("rect", { x: 0, y: 1, width: 26, height: 7, ...attributes });
        if (kind === "solid") box.append(bar({ class: "sample" }));
        if (kind === "pale") box.append(bar({ class: "sample pale" }));
        if (kind === "line") box.append(svg("rect", { x: 0, y: 4, width: 26, height: 1, class: "sample-line" }));
        if (kind === "stripes") {
            for (let x = 0; x < 26; x += 5) box.append(svg("path", { d: `M${x} 8 l5 -7`, class: "sample-stroke" }));
            box.append(bar({ class: "sample-frame" }));
        }
        if (kind === "step") box.append(svg("path", { d: "M0 8 V1 H10 V4 H18 V8 H26", class: "sample-step" }));
        return box;
    };
    const entry = (kind, text) => element("span", { class: "entry" }, sample(kind), text);
    const most = Math.max(0, ...data.lanes.map((lane) => lane.most_under_way));
    return element(
        "div",
        { class: "legend" },
        element(
            "span",
            {},
            data.has_roles
                ? "Upper rail: what the initiator may ask. Lower rail: what the responder may ask."
                : "Upper rail: what this host may ask of the peer. Lower rail: what the peer may ask of this host.",
        ),
        entry("solid", "wants, and may"),
        entry("stripes", "wants, is choked"),
        entry("pale", "may, wants nothing"),
        entry("line", "neither"),
        entry("step", `requests under way, at most ${grouped(most)}`),
        element("span", { class: "entry" }, `│ block: upper half ${RECEIVED}, lower half ${SENT}`),
        (data.blocks.flag || []).includes(2) ? element("span", { class: "entry" }, "¦ block again, not needed") : null,
        element("span", { class: "entry wrong" }, "✕ block of a piece with a wrong hash"),
    );
}
