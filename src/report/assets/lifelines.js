// Lifelines: a column a host, with an arrow for each message.

const MOST_LIFELINES = 9;
const LIFELINE_GAP = 22;

class Lifelines {
    constructor() {
        this.hosts = Math.min(data.hosts.length, MOST_LIFELINES);
    }

    width() {
        return this.hosts * LIFELINE_GAP + 4;
    }

    x(host) {
        return 10 + (host < 0 ? this.hosts - 1 : Math.min(host, this.hosts - 1)) * LIFELINE_GAP;
    }

    // The far end of a host, -1 where it is a tracker or the like.
    endOfHost(host) {
        const { address } = data.hosts[host];
        const plain = addressOfHost(data.hosts[host]);
        return data.ends.findIndex(
            (end) => end.address === address || (plain === address && addressOfHost(end) === plain),
        );
    }

    classOfHost(host) {
        if (host === 0 && data.local) return "local";
        const end = this.endOfHost(host);
        return end >= 0 ? classOf(end) : "plain";
    }

    head() {
        const picture = svg("svg", {
            class: "lifelines",
            width: this.width(),
            height: ROW,
            role: "img",
            "aria-label": `lifelines: ${this.list()}`,
        });
        for (let host = 0; host < this.hosts; host++) {
            const x = this.x(host);
            const kind = this.classOfHost(host);
            const shape =
                kind === "local"
                    ? svg("rect", { x: x - 4, y: 7, width: 8, height: 8, class: "fill local" })
                    : kind === "plain"
                      ? svg("path", { d: `M${x} 6 l5 5 l-5 5 l-5 -5 z`, class: "stroke plain" })
                      : svg("circle", { cx: x, cy: 11, r: 4.5, class: `fill ${kind}` });
            shape.append(svg("title", {}, this.textOf(host)));
            picture.append(shape);
        }
        return picture;
    }

    textOf(host) {
        const { address, client } = data.hosts[host];
        return client ? `${address} ${client}` : address;
    }

    list() {
        const list = data.hosts.slice(0, this.hosts).map((_, host) => this.textOf(host));
        const more = data.hosts.length - this.hosts + (data.other_hosts ? data.other_hosts.hosts : 0);
        return list.join(", ") + (more > 0 ? `; the last lifeline has ${plural(more, "more host")}` : "");
    }

    text() {
        const local = data.local && data.hosts.length ? `■ ${this.textOf(0)} ` : "";
        return `${local}◇ trackers and the like ● peers, coloured as above`;
    }

    // The lifelines of a row, with the arrow of a message.
    row(place, isRun) {
        const picture = svg("svg", {
            class: "lifelines",
            width: this.width(),
            height: ROW,
            "aria-hidden": "true",
        });
        for (let host = 0; host < this.hosts; host++) {
            const x = this.x(host);
            picture.append(
                svg("line", { x1: x, y1: 0, x2: x, y2: ROW, class: host === 0 && data.local ? "life local" : "life" }),
            );
        }
        if (place === null) return picture;
        const from = this.x(messages.from[place]);
        const to = this.x(messages.to[place]);
        const kind = classAt(place);
        if (from === to) {
            picture.append(svg("circle", { cx: from, cy: 11, r: 4, class: `stroke ${kind}` }));
            return picture;
        }
        const way = Math.sign(to - from);
        picture.append(
            svg("line", {
                x1: from,
                y1: 11,
                x2: to - way * 4,
                y2: 11,
                class: `stroke ${kind}${isRun ? " thick" : ""}`,
            }),
            svg("circle", { cx: from, cy: 11, r: 2, class: `fill ${kind}` }),
            svg("path", { d: `M${to} 11 l${-way * 6} -4 v8 z`, class: `fill ${kind}` }),
        );
        return picture;
    }
}
