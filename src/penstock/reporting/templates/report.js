"use strict";
(function () {
  function number(text) {
    const found = text.split("→").pop().replace("−", "-").match(/-?\d[\d,]*\.?\d*(e[-+]?\d+)?/);
    return found ? parseFloat(found[0].replace(/,/g, "")) : NaN;
  }

  function compare(a, b) {
    const x = number(a), y = number(b);
    if (!isNaN(x) && !isNaN(y) && !/[a-z]{2}/i.test(a + b)) return x - y;
    if (isNaN(x) !== isNaN(y) && !/[a-z]{2}/i.test(a + b)) return isNaN(x) ? 1 : -1;
    return a < b ? -1 : a > b ? 1 : 0;
  }

  function filter(bar, table) {
    const rows = Array.from(table.tBodies[0].rows);
    const texts = rows.map(function (row) { return row.textContent.toLowerCase(); });
    const search = bar.querySelector("input");
    const state = bar.querySelector(".by-state");
    const tag = bar.querySelector(".by-tag");
    const found = bar.querySelector(".found");
    function has(words, word) { return !word || (words || "").split(" ").includes(word); }
    function apply() {
      const wanted = search.value.trim().toLowerCase();
      let shown = 0;
      rows.forEach(function (row, n) {
        const fits = (!wanted || texts[n].includes(wanted)) && has(row.dataset.v, state.value) &&
          has(row.dataset.t, tag ? tag.value : "");
        row.hidden = !fits;
        if (fits) shown += 1;
      });
      found.textContent = shown + " of " + rows.length + (rows.length === 1 ? " case" : " cases");
    }
    bar.hidden = false;
    [search, state, tag].forEach(function (control) { if (control) control.addEventListener("input", apply); });
    apply();
  }

  function sortable(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, column) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", function () {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const keyed = Array.from(table.tBodies[0].rows, function (row) {
          return [row.cells[column].textContent.trim(), row];
        });
        keyed.sort(function (a, b) { return down ? compare(b[0], a[0]) : compare(a[0], b[0]); });
        table.tBodies[0].append.apply(table.tBodies[0], keyed.map(function (pair) { return pair[1]; }));
      });
    });
  }

  function copyable(code) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", "copy " + code.textContent.slice(0, 30));
    button.addEventListener("click", function () {
      const range = document.createRange();
      range.selectNodeContents(code);
      const selection = getSelection();
      selection.removeAllRanges();
      selection.addRange(range);
      button.textContent = document.execCommand("copy") ? "copied" : "press Ctrl+C";
      setTimeout(function () { button.textContent = "copy"; }, 2000);
    });
    code.after(button);
  }

  function reveal() {
    const id = location.hash.slice(1);
    const target = id && document.getElementById(id);
    const inside = target && target.querySelector("details");
    if (inside) inside.open = true;
  }

  document.querySelectorAll(".filter").forEach(function (bar) {
    const table = bar.nextElementSibling.querySelector("table");
    filter(bar, table);
    sortable(table);
  });
  document.querySelectorAll("[data-copy]").forEach(copyable);
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (one) { one.open = true; });
  });
  reveal();
})();
