"use strict";
(function () {
  // Sorting: a click, Enter or Space on the head of a column; the second time the other way round.
  function value(row, column, kind) {
    const cell = row.cells[column];
    if (kind !== "number") return cell.textContent.trim();
    return Number(cell.dataset.value);
  }
  function sort(button) {
    const head = button.closest("th");
    const table = button.closest("table");
    const column = head.cellIndex;
    const kind = button.dataset.kind;
    const first = kind === "number" ? "descending" : "ascending";
    const other = first === "ascending" ? "descending" : "ascending";
    const order = head.getAttribute("aria-sort") === first ? other : first;
    table.querySelectorAll("th[aria-sort]").forEach((th) => th.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", order);
    const sign = order === "ascending" ? 1 : -1;
    const rows = Array.from(table.tBodies[0].rows);
    rows.sort(function (a, b) {
      const x = value(a, column, kind);
      const y = value(b, column, kind);
      const less = kind === "number" ? x - y : x.localeCompare(y, "en", { numeric: true });
      return sign * less;
    });
    table.tBodies[0].append(...rows);
  }
  document.querySelectorAll("table.sortable thead button").forEach(function (button) {
    button.addEventListener("click", () => sort(button));
  });

  // Filtering: rows and queries that hold all the words. What is folded opens where it holds one.
  const field = document.getElementById("filter");
  const found = document.getElementById("filter-found");
  const parts = Array.from(document.querySelectorAll("[data-filter]"));
  const texts = parts.map((part) => part.textContent.toLowerCase());
  const folds = Array.from(document.querySelectorAll("details"))
    .filter((fold) => fold.querySelector("[data-filter]"))
    .map((fold) => ({ fold: fold, open: fold.open }));
  function filter() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    parts.forEach(function (part, number) {
      const fits = words.every((word) => texts[number].includes(word));
      part.toggleAttribute("data-out", !fits);
      shown += fits ? 1 : 0;
    });
    folds.forEach(function (one) {
      const fits = one.fold.querySelector("[data-filter]:not([data-out])") !== null;
      one.fold.open = words.length ? fits : one.open;
    });
    found.textContent = words.length ? shown + " of " + parts.length + " rows and queries" : "";
  }
  field.addEventListener("input", filter);
  document.addEventListener("keydown", function (event) {
    if (event.key === "/" && document.activeElement !== field) {
      event.preventDefault();
      field.focus();
    } else if (event.key === "Escape" && document.activeElement === field) {
      field.value = "";
      filter();
    }
  });
  document.getElementById("tools").hidden = false;

  // On paper everything is open.
  let closed = [];
  window.addEventListener("beforeprint", function () {
    closed = Array.from(document.querySelectorAll("details:not([open])"));
    closed.forEach((one) => { one.open = true; });
  });
  window.addEventListener("afterprint", function () {
    closed.forEach((one) => { one.open = false; });
  });
})();
