// Bytes in hexadecimal digits and as text, eight or sixteen a line, joined with fields: to point at one shows the other.

const PER_LINE = 8;

// `spans`: [first byte, end byte] of each field or null. Emits the field under the pointer by `onField(index or -1)`.
// `start`: the place of the first byte in the message. `marks`: [first byte, end byte, class] of bytes that look different.
class HexView {
    constructor(hex, spans, onField, { start = 0, marks = [] } = {}) {
        this.start = start;
        this.bytes = [];
        for (let i = 0; i + 1 < hex.length; i += 2) this.bytes.push(parseInt(hex.slice(i, i + 2), 16));
        this.owner = new Int32Array(this.bytes.length).fill(-1);
        spans.forEach((span, field) => {
            if (!span) return;
            this.each(span, (at) => {
                this.owner[at] = field;
            });
        });
        this.marks = new Array(this.bytes.length).fill("");
        for (const [from, to, mark] of marks)
            this.each([from, to], (at) => {
                this.marks[at] = mark;
            });
        this.root = element("div", {
            class: "hex",
            tabindex: "0",
            role: "group",
            "aria-label": "bytes of the message; arrows move from field to field",
        });
        this.onField = onField;
        this.build();
    }

    // Calls `act` with the index of each byte here that lies in a range of the message.
    each([from, to], act) {
        for (let at = Math.max(0, from - this.start); at < Math.min(to - this.start, this.bytes.length); at++) act(at);
    }

    build() {
        for (let from = 0; from < this.bytes.length; from += PER_LINE) {
            const line = element(
                "div",
                { class: "hex-line" },
                element("span", { class: "hex-at" }, (this.start + from).toString(16).padStart(4, "0")),
            );
            const digits = element("span", { class: "hex-digits" });
            const text = element("span", { class: "hex-text" });
            const end = Math.min(from + PER_LINE, this.bytes.length);
            for (let at = from; at < end;) {
                let to = at;
                while (to < end && this.owner[to] === this.owner[at] && this.marks[to] === this.marks[at]) to++;
                const part = this.bytes.slice(at, to);
                digits.append(
                    this.part(at, part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ")),
                    to < end ? " " : "",
                );
                text.append(
                    this.part(
                        at,
                        part.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join(""),
                    ),
                );
                at = to;
            }
            line.append(digits, text);
            this.root.append(line);
        }
        this.root.addEventListener("pointerover", (event) => this.emit(event.target.dataset.field));
        this.root.addEventListener("pointerleave", () => this.emit(undefined));
        this.root.addEventListener("keydown", (event) => this.key(event));
    }

    part(at, text) {
        const field = this.owner[at];
        const mark = this.marks[at];
        if (field < 0) return element("span", { class: mark || null }, text);
        return element("span", { "data-field": field, class: `${field % 2 ? "odd" : "even"} ${mark}`.trim() }, text);
    }

    emit(field) {
        this.onField(field === undefined ? -1 : Number(field));
    }

    key(event) {
        const direction = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!direction || event.ctrlKey || event.altKey || event.metaKey) return;
        const order = [...new Set(this.owner)].filter((field) => field >= 0);
        if (order.length)
            this.onField(order[clamp(order.indexOf(this.shownField ?? -1) + direction, 0, order.length - 1)], true);
        event.preventDefault();
        event.stopPropagation();
    }

    // Marks the bytes of a field.
    show(field) {
        this.shownField = field < 0 ? undefined : field;
        for (const part of this.root.querySelectorAll(".hot")) part.classList.remove("hot");
        if (field < 0) return;
        const parts = this.root.querySelectorAll(`[data-field="${field}"]`);
        parts.forEach((part) => part.classList.add("hot"));
        this.scrollTo(parts[0]);
    }

    // Within the pane only: the page stays where it is.
    scrollTo(part) {
        if (!part) return;
        const box = this.root.getBoundingClientRect();
        const at = part.getBoundingClientRect();
        if (at.top < box.top) this.root.scrollTop -= box.top - at.top + 20;
        else if (at.bottom > box.bottom) this.root.scrollTop += at.bottom - box.bottom + 20;
    }
}
