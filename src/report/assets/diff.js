// Puts the page of a comparison together: keys, links to messages, theme, paper.

const KEYS = [
    ["n p", "next and previous difference"],
    ["j k", "next and previous message"],
    ["f", "the messages that are not judged, too"],
    ["d", "only differences"],
    ["t", "theme"],
    ["Esc", "close"],
    ["?", "these keys"],
];

class DiffPage {
    start() {
        document.body.append(spoken);
        const tools = document.getElementById("tools");
        tools.replaceChildren(
            button("◐ Theme", { click: () => this.nextTheme(), title: "light, dark, as the system (t)" }),
            button("Print", { click: () => print() }),
            button("? Keys", { click: () => this.showKeys(), title: "all keys (?)" }),
        );
        const place = document.getElementById("side-by-side");
        if (place && pairs) this.side = new SideBySide(place);
        document.addEventListener("keydown", (event) => this.key(event));
        document.addEventListener("click", (event) => this.link(event));
        addEventListener("hashchange", () => this.readAddress());
        addEventListener("beforeprint", () => this.toPaper());
        addEventListener("afterprint", () => this.fromPaper());
        this.readAddress();
    }

    key(event) {
        if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("dialog, input, select, textarea"))
            return;
        const { side } = this;
        const acts = {
            t: () => this.nextTheme(),
            "?": () => this.showKeys(),
            ...(side
                ? {
                      n: () => side.nextDifference(1),
                      p: () => side.nextDifference(-1),
                      j: () => side.move(1),
                      k: () => side.move(-1),
                      f: () => side.toggleAll(),
                      d: () => side.toggleOnly(),
                  }
                : {}),
        };
        if (!Object.hasOwn(acts, event.key)) return;
        acts[event.key]();
        event.preventDefault();
    }

    nextTheme() {
        speak(`theme: ${nextTheme()}`);
    }

    showKeys() {
        const keys = this.side ? KEYS : KEYS.filter(([key]) => "t Esc ?".includes(key));
        showSheet("keys", "Keys", keyList(keys));
    }

    // A link to a message of the candidate.
    link(event) {
        const link = event.target.closest("a[data-candidate]");
        if (!link || !this.side) return;
        event.preventDefault();
        if (this.side.selectMessage("candidate", Number(link.dataset.candidate)))
            document.getElementById("side-by-side").scrollIntoView({ block: "start" });
    }

    readAddress() {
        const found = /^#(reference|candidate)=(\d+)$/.exec(location.hash);
        if (found && this.side) this.side.selectMessage(found[1], Number(found[2]));
    }

    toPaper() {
        this.themeBefore = document.documentElement.dataset.theme;
        setTheme("light");
        this.opened = [...document.querySelectorAll("main details:not([open])")];
        for (const folded of this.opened) folded.open = true;
        if (this.side) this.side.writeOut();
    }

    fromPaper() {
        setTheme(this.themeBefore);
        for (const folded of this.opened || []) folded.open = false;
        if (this.side) this.side.takeBack();
    }
}

const page = new DiffPage();
page.start();

// For tests, and for a look from the console.
window.bittrace = {
    select: (side, n) => page.side.selectMessage(side, n),
    chosen: () => (page.side.model.stops[page.side.chosen] || {}).pair ?? -1,
    rows: () => page.side.model.rows,
    pairs,
};
