// Colours for canvases, taken from the style sheet, and the choice between light and dark.

const COLOURS = [
    "end0",
    "end1",
    "end2",
    "end3",
    "end4",
    "end5",
    "others",
    "wrong",
    "warn",
    "note",
    "ink",
    "soft",
    "faint",
    "line",
    "grid",
    "paper",
    "chosen",
    "band",
    "grey0",
    "grey1",
    "grey2",
    "grey3",
    "grey4",
];

const colour = {};

// Reads the colours as the page shows them now.
function readColours() {
    const probe = element("span", { class: "unseen" });
    document.body.append(probe);
    for (const name of COLOURS) {
        probe.style.color = `var(--${name})`;
        colour[name] = getComputedStyle(probe).color;
    }
    probe.remove();
    for (const key of Object.keys(patterns)) delete patterns[key];
}

// The colour of a far end.
function colourOf(end) {
    const far = data.ends && data.ends[end];
    return far && far.colour >= 0 ? colour["end" + far.colour] : colour.others;
}

// The class that colours an element like its far end.
function classOf(end) {
    const far = data.ends && data.ends[end];
    return far && far.colour >= 0 ? `end${far.colour}` : "others";
}

// "rgb(1, 2, 3)" with a share of opacity.
function faded(rgb, alpha) {
    const parts = rgb.match(/[\d.]+/g) || [0, 0, 0];
    return `rgba(${parts[0]}, ${parts[1]}, ${parts[2]}, ${alpha})`;
}

const patterns = {};

// Slanted stripes of a colour, for a canvas: a third of the ground.
function stripes(context, rgb, gap) {
    const key = `${rgb} ${gap}`;
    if (!patterns[key]) {
        const tile = document.createElement("canvas");
        const side = gap * 4;
        tile.width = tile.height = side;
        const drawing = tile.getContext("2d");
        drawing.strokeStyle = rgb;
        drawing.lineWidth = gap * 1.1;
        for (let x = -side; x <= side; x += side) {
            drawing.beginPath();
            drawing.moveTo(x, side);
            drawing.lineTo(x + side, 0);
            drawing.stroke();
        }
        patterns[key] = context.createPattern(tile, "repeat");
        patterns[key].setTransform(new DOMMatrix().scale(0.5));
    }
    return patterns[key];
}

// light -> dark -> what the system wants. Nothing is stored.
function nextTheme() {
    const root = document.documentElement;
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const order = isDark ? [undefined, "light", "dark"] : [undefined, "dark", "light"];
    setTheme(order[(order.indexOf(root.dataset.theme) + 1) % 3]);
    return root.dataset.theme || "as the system";
}

function setTheme(name) {
    if (name) document.documentElement.dataset.theme = name;
    else delete document.documentElement.dataset.theme;
    readColours();
}
