"use strict";
document.documentElement.classList.add("js");

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if ("fixed" in head.dataset) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => sort(table, heads, column));
  });
}

function sort(table, heads, column) {
  const down = heads[column].getAttribute("aria-sort") === "ascending";
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows].map((row) => [row, row.cells[column].dataset.value]);
  const known = rows.filter(([, value]) => value !== undefined);
  const numeric = known.every(([, value]) => value !== "" && isFinite(value));
  known.sort(([, a], [, b]) => (numeric ? a - b : a.localeCompare(b)));
  if (down) known.reverse();
  const unknown = rows.filter(([, value]) => value === undefined);
  table.tBodies[0].append(...[...known, ...unknown].map(([row]) => row));
}

const marked = (job) => document.querySelectorAll(`[data-job="${job}"]`);
for (const element of document.querySelectorAll("[data-job]")) {
  const mark = (on) => () => marked(element.dataset.job).forEach((one) => one.classList.toggle("on", on));
  for (const event of ["pointerenter", "focusin"]) element.addEventListener(event, mark(true));
  for (const event of ["pointerleave", "focusout"]) element.addEventListener(event, mark(false));
}

for (const plot of document.querySelectorAll("svg.parallel")) {
  const told = plot.closest("figure").querySelector(".told");
  const lines = [...plot.querySelectorAll(".line")];
  const axes = [...plot.querySelectorAll(".axis")];
  const ranges = axes.map(() => null);

  const apply = () => {
    let kept = 0;
    for (const line of lines) {
      const inside = ranges.every((range, at) => {
        const y = line.points[at].y;
        return range === null || (y >= range[0] - 0.5 && y <= range[1] + 0.5);
      });
      kept += inside;
      marked(line.dataset.job).forEach((one) => one.classList.toggle("off", !inside));
    }
    told.textContent = ranges.some((range) => range !== null) ? `${kept} of ${lines.length} jobs are in the range.` : "";
  };

  axes.forEach((axis, at) => {
    const [top, bottom] = [Number(axis.dataset.top), Number(axis.dataset.bottom)];
    const within = (y) => Math.min(bottom, Math.max(top, y));
    const show = (range) => {
      ranges[at] = range;
      const brush = axis.querySelector(".brush");
      brush.setAttribute("y", range === null ? 0 : range[0]);
      brush.setAttribute("height", range === null ? 0 : range[1] - range[0]);
      const share = range === null ? 0 : Math.round((100 * (bottom - (range[0] + range[1]) / 2)) / (bottom - top));
      axis.setAttribute("aria-valuenow", share);
      axis.setAttribute("aria-valuetext", range === null ? "all" : `about ${share} % of the axis`);
      apply();
    };
    for (const [name, value] of [["tabindex", 0], ["role", "slider"], ["aria-label", axis.dataset.name],
      ["aria-orientation", "vertical"], ["aria-valuemin", 0], ["aria-valuemax", 100], ["aria-valuenow", 0],
      ["aria-valuetext", "all"]]) axis.setAttribute(name, value);

    const reach = axis.querySelector(".reach");
    const place = (event) => within(new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse()).y);
    let from = null;
    reach.addEventListener("pointerdown", (event) => {
      reach.setPointerCapture(event.pointerId);
      from = place(event);
    });
    reach.addEventListener("pointermove", (event) => {
      if (from !== null) show([Math.min(from, place(event)), Math.max(from, place(event))]);
    });
    reach.addEventListener("pointerup", (event) => {
      if (Math.abs(place(event) - from) < 4) show(null);
      from = null;
    });
    axis.addEventListener("keydown", (event) => {
      const size = (bottom - top) / 4;
      const step = { ArrowUp: -size / 2, ArrowDown: size / 2 }[event.key];
      if (event.key === "Escape") show(null);
      else if (step !== undefined) {
        const start = ranges[at] === null ? (step < 0 ? bottom - size : top) : Math.min(bottom - size, Math.max(top, ranges[at][0] + step));
        show([start, start + size]);
        event.preventDefault();
      }
    });
  });
}
