// The fields of a pair beside each other, and the bytes of both messages.
class PairDetail {
    constructor(root) {
        this.root = root;
        setAttributes(root, { tabindex: "0", role: "region", "aria-label": "the chosen pair of messages" });
        this.show();
    }

    show(pair, hole) {
        this.views = [];
        if (hole) {
            this.root.replaceChildren(
                element("h3", {}, "Not in this file"),
                element("p", {}, hole.text),
                element("pre", { class: "command" }, hole.command),
            );
        } else if (pair === undefined) {
            this.root.replaceChildren(
                element(
                    "p",
                    { class: "hint" },
                    "Choose a message: its fields and bytes stand here, beside those of its counterpart. n leads to the next difference.",
                ),
            );
        } else this.root.replaceChildren(...this.parts(pair).filter(Boolean));
        this.root.scrollTop = 0;
    }

    parts(pair) {
        const detail = pairs.detail[pair];
        const title = element(
            "h3",
            { class: verdictClass(pair) },
            `${GLYPHS[pairs.verdict[pair]]} ${verdictText(pair)}: ${data.names[pairs.name[pair]]}`,
        );
        const about = ["reference", "candidate"]
            .filter((side) => pairs[side].n[pair])
            .map((side) => element("p", { class: "meta" }, this.about(side, pair)));
        const remarks = [
            has(pair, JUDGED) ? null : "Messages of this side are not judged.",
            has(pair, IDENTITY)
                ? "It differs in identity alone: who the client is, or how it writes the same values."
                : null,
            has(pair, MOVED) && pairs.verdict[pair] !== 3 ? "The message is also at another place in the order." : null,
        ]
            .filter(Boolean)
            .map((text) => element("p", { class: "hint" }, text));
        if (!detail)
            return [
                title,
                ...about,
                ...remarks,
                element("p", { class: "hint" }, "Its fields and bytes are not in this file."),
            ];
        return [
            title,
            ...about,
            ...remarks,
            this.table(detail),
            detail.more
                ? element("p", { class: "hint" }, `${plural(detail.more, "more field")} not in this file`)
                : null,
            ...this.bytes(pair, detail),
        ];
    }

    about(side, pair) {
        const { n, t, packets, length } = pairs[side];
        const [first, last] = packets[pair];
        const packet = !first ? "" : first === last ? `packet ${first}` : `packets ${first} to ${last}`;
        return [`${side} #${grouped(n[pair])}`, `${seconds(t[pair])} s`, packet, plural(length[pair], "byte")]
            .filter(Boolean)
            .join(" · ");
    }

    table(detail) {
        const body = element("tbody", {});
        detail.fields.forEach((field, index) => body.append(...this.field(field, index)));
        const table = element(
            "table",
            { class: "fields compared", pointerleave: () => this.point(-1) },
            element(
                "thead",
                {},
                element(
                    "tr",
                    {},
                    ["field", "reference", "candidate"].map((head) => element("th", { scope: "col" }, head)),
                ),
            ),
            body,
        );
        return table;
    }

    // The row of a field, and a row for the remark.
    field([name, values, judgement, remark, spans], index) {
        const isSame = judgement === 0;
        const text = (side) => {
            if (!spans[side] && values[side] === null) return element("span", { class: "hint" }, "(absent)");
            return values[side] === null && isSame ? values[0] : (values[side] ?? "");
        };
        const mark = ["", "≠ ", "≈ "][judgement];
        const key = button([element("span", { "aria-hidden": "true" }, mark), name], {
            class: "field",
            focus: () => this.point(index),
            blur: () => this.point(-1),
        });
        const row = element(
            "tr",
            {
                class: ["same", "differs", "allowed"][judgement],
                "data-row": index,
                pointerenter: () => this.point(index),
            },
            element("th", { scope: "row" }, key),
            element("td", {}, text(0)),
            element("td", {}, text(1)),
        );
        return remark ? [row, element("tr", { class: "why" }, element("td", { colspan: "3" }, remark))] : [row];
    }

    bytes(pair, detail) {
        const isSame = pairs.reference.n[pair] && pairs.candidate.n[pair] && !detail.bytes[1].length;
        const sides = ["reference", "candidate"].map((side, at) => {
            if (!detail.bytes[at].length) return [];
            const marks = detail.fields.flatMap((field) =>
                field[5][at].map(([from, to]) => [from, to, field[2] === 1 ? "differs" : "allowed"]),
            );
            const spans = detail.fields.map((field) => field[4][at]);
            const views = detail.bytes[at].map(
                ([start, hex]) =>
                    new HexView(hex, spans, (index, speaks) => this.point(index, speaks), { start, marks }),
            );
            this.views.push(...views);
            const there = detail.bytes[at].reduce((sum, [, hex]) => sum + hex.length / 2, 0);
            const more = pairs[side].length[pair] - there;
            return [
                element("h4", {}, isSame ? "bytes, the same in both" : `bytes of the ${side}`),
                ...views.map((view) => view.root),
                more > 0
                    ? element("p", { class: "hint" }, `${plural(more, "more byte")} in the capture, not in this file`)
                    : null,
            ];
        });
        return sides.flat();
    }

    // Marks a field and its bytes in both messages.
    point(index, speaks) {
        for (const row of this.root.querySelectorAll("tr.hot")) row.classList.remove("hot");
        const row = index < 0 ? null : this.root.querySelector(`tr[data-row="${index}"]`);
        if (row) row.classList.add("hot");
        for (const view of this.views) view.show(index);
        if (row && speaks) speak(row.textContent);
    }
}
