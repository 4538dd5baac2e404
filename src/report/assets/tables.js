// A picture as a table, in a dialog.

const MOST_ROWS = 500;

// `table`: heads, and rows of cells. A cell below a "#" is the number of a message and leads there.
function showTable(title, table) {
    const numbers = table.heads.indexOf("#");
    const rows = table.rows.slice(0, MOST_ROWS).map((cells) =>
        element(
            "tr",
            {},
            cells.map((cell, i) => element("td", {}, i === numbers && cell ? linkTo(cell) : cell)),
        ),
    );
    const more = table.rows.length - rows.length;
    showSheet(
        `${title} as a table`,
        title,
        element(
            "div",
            { class: "scroll", tabindex: "0" },
            element(
                "table",
                { class: "data" },
                element(
                    "thead",
                    {},
                    element(
                        "tr",
                        {},
                        table.heads.map((head) => element("th", { scope: "col" }, head)),
                    ),
                ),
                element("tbody", {}, rows),
            ),
        ),
        more > 0
            ? element(
                  "p",
                  { class: "hint" },
                  `${plural(more, "more row")}; all: ${data.command.replace(/ --html \S+/, "")} --format csv`,
              )
            : null,
        table.rows.length ? null : element("p", { class: "hint" }, "No rows."),
    );
}

function linkTo(n) {
    return element(
        "a",
        { href: `#n=${n}`, "data-n": n, click: (event) => event.target.closest("dialog").close() },
        `#${grouped(n)}`,
    );
}
