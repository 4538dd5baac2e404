// One message in full: sentence, packets, notes, fields and bytes.

class Detail {
    constructor(root) {
        this.root = root;
        this.root.setAttribute("tabindex", "-1");
        this.root.setAttribute("role", "region");
        this.root.setAttribute("aria-label", "the chosen message");
        this.show(0);
    }

    show(n) {
        const place = placeOf(n);
        if (!n) {
            this.root.replaceChildren(
                element("p", { class: "hint" }, "Choose a message: its fields and bytes stand here."),
            );
        } else if (place < 0) {
            this.root.replaceChildren(
                element("h3", {}, `#${grouped(n)}`),
                element("p", {}, "This message is in the capture, not in this file."),
                element("pre", { class: "command" }, commandFor(`n == ${n}`)),
            );
        } else this.root.replaceChildren(...this.parts(place));
        this.root.scrollTop = 0;
    }

    parts(place) {
        const fields = messages.fields[place] || [];
        this.buttons = [];
        this.hex = messages.bytes[place]
            ? new HexView(
                  messages.bytes[place],
                  fields.map(([, , from, to]) => (to > from ? [from, to] : null)),
                  (field, speaks) => this.point(field, speaks),
              )
            : null;
        const table = element(
            "table",
            { class: "fields" },
            element(
                "tbody",
                {},
                fields.map((field, index) => this.fieldRow(field, index)),
            ),
        );
        table.addEventListener("pointerleave", () => this.point(-1));
        const more = messages.length[place] - (messages.bytes[place] || "").length / 2;
        return [
            element("h3", {}, `#${grouped(messages.n[place])} ${partsAt(place).join("")}`),
            element("p", { class: "meta" }, this.meta(place)),
            this.answers(place),
            this.notes(place),
            fields.length ? table : null,
            this.hex ? this.hex.root : null,
            more > 0
                ? element("p", { class: "hint" }, `${plural(more, "more byte")} in the capture, not in this file`)
                : null,
        ].filter(Boolean);
    }

    meta(place) {
        const ways = isOutgoing(place) ? ["to", destinationOf(place)] : ["from", sourceOf(place)];
        const host = data.hosts[isOutgoing(place) ? messages.to[place] : messages.from[place]];
        const frames = messages.frames[place];
        const packets = !frames.length
            ? ""
            : frames.length === 1
              ? `packet ${frames[0]}`
              : `packets ${frames[0]} to ${frames[frames.length - 1]}`;
        return [
            `${seconds(messages.t[place])} s`,
            `${ways[0]} ${host && host.client ? `${host.client} at ` : ""}${ways[1] || "a host that is not listed"}`,
            `stream ${messages.stream[place]}`,
            packets,
            `byte ${grouped(messages.offset[place])} of its direction, ${grouped(messages.length[place])} long`,
        ]
            .filter(Boolean)
            .join(" · ");
    }

    answers(place) {
        const to = messages.answers[place];
        const by = messages.answered_by[place];
        if (!to && !by) return null;
        return element(
            "p",
            { class: "meta" },
            to
                ? [
                      "answers ",
                      numberLink(to),
                      messages.latency_us[place] >= 0 ? ` after ${duration(messages.latency_us[place])}` : "",
                  ]
                : null,
            to && by ? " · " : null,
            by ? ["answered by ", numberLink(by)] : null,
        );
    }

    notes(place) {
        const notes = messages.notes[place] || [];
        if (!notes.length) return null;
        return element(
            "ul",
            { class: "message-notes" },
            notes.map(([severity, rule, text]) =>
                element(
                    "li",
                    { class: SEVERITY[severity] || "chat" },
                    severity ? `${GLYPH[SEVERITY[severity]]} ${SEVERITY[severity]}: ` : "",
                    text,
                    " ",
                    element("span", { class: "hint" }, rule),
                ),
            ),
        );
    }

    fieldRow([name, value, from, to, meaning], index) {
        const isLong = value.length > 400;
        const key =
            to > from
                ? button(name, {
                      class: "field",
                      title: `bytes ${from} to ${to}`,
                      focus: () => this.point(index),
                      blur: () => this.point(-1),
                  })
                : element("span", { class: "field" }, name);
        this.buttons[index] = key;
        return element(
            "tr",
            { pointerenter: () => this.point(index), "data-row": index },
            element("th", { scope: "row" }, key),
            element(
                "td",
                {},
                isLong ? `${value.slice(0, 400)}…` : value,
                meaning ? element("span", { class: "hint" }, ` ${meaning}`) : null,
            ),
        );
    }

    // Marks a field and its bytes.
    point(index, speaks) {
        for (const row of this.root.querySelectorAll("tr.hot")) row.classList.remove("hot");
        const row = index < 0 ? null : this.root.querySelector(`tr[data-row="${index}"]`);
        if (row) row.classList.add("hot");
        if (this.hex) this.hex.show(index);
        if (row && speaks) speak(row.textContent);
    }
}

function numberLink(n) {
    return element("a", { href: `#n=${n}`, "data-n": n }, `#${grouped(n)}`);
}
