
/* Draws the items of this page. Written for browsers of 2018: no optional chaining, no ??, no replaceAll. All text goes in as text nodes. */
(function () {
  "use strict";
  const PAGE = 100;
  const NONE = "\u0000none";
  const byId = function (id) { return document.getElementById(id); };
  const data = function (name) { return JSON.parse(byId(name + "-data").textContent); };
  const themes = data("theme"), rows = data("row"), plans = data("plan"), paths = data("path");
  const body = byId("items").tBodies[0];
  const wanted = new Set();
  const count = function (n) { return n.toLocaleString("en-US"); };
  let shown = rows, page = 0;

  function make(parent, tag, name, text) {
    const node = document.createElement(tag);
    if (name) node.className = name;
    if (text) node.textContent = text;
    parent.appendChild(node);
    return node;
  }

  function tint(colour) {
    const n = parseInt(colour.slice(1), 16);
    return "rgba(" + (n >> 16) + "," + ((n >> 8) & 255) + "," + (n & 255) + ",0.13)";
  }

  /* Filters */

  function flagsOf(row) {
    const flags = row.x && row.x.flags;
    return Array.isArray(flags) ? flags.filter(function (f) { return typeof f === "string" && f; }) : [];
  }

  function isFlagged(row) { return Boolean(row.x && row.x.flags); }

  function terms() { return byId("words").value.toLowerCase().split(/\s+/).filter(Boolean); }

  function haystack(row) {
    if (row.k === undefined) row.k = [row.n, row.t, row.u || ""].concat(paths[row.h], plans[row.p]).join("\n").toLowerCase();
    return row.k;
  }

  function hasTheme(row, key) { return Boolean(row.l) && (key === NONE ? row.l.length === 0 : row.l.indexOf(key) >= 0); }

  function filter() {
    const plan = byId("plan").value, words = terms(), flagged = byId("flagged").checked;
    const base = rows.filter(function (row) {
      return (plan === "" || row.p === Number(plan)) && (!flagged || isFlagged(row)) &&
        words.every(function (word) { return haystack(row).indexOf(word) >= 0; });
    });
    const keys = Array.from(wanted);
    shown = keys.length ? base.filter(function (row) { return keys.some(function (key) { return hasTheme(row, key); }); }) : base;
    page = 0;
    byId("reset").hidden = !(plan || words.length || flagged || keys.length);
    byId("shown").textContent = count(shown.length) + " / " + count(rows.length) + " 条 items";
    drawCounts(base);
    drawPage();
  }

  /* Counts by theme, which are also the filter */

  function drawThemes() {
    const all = themes.concat([{ key: NONE, zh: "无主题", en: "None", colour: "#9e9e9e", definition: "" }]);
    if (!themes.length) { byId("themes").hidden = true; byId("items").classList.add("plain"); return; }
    all.forEach(function (theme) {
      const button = make(byId("themes"), "button");
      button.type = "button";
      button.title = theme.definition;
      button.setAttribute("aria-pressed", "false");
      const name = make(button, "span", "name");
      make(name, "b", "", theme.zh);
      theme.count = make(name, "span", "count");
      make(button, "i", "", theme.en).lang = "en";
      theme.bar = make(make(button, "span", "track"), "span");
      theme.bar.style.backgroundColor = theme.colour;
      theme.button = button;
      button.addEventListener("click", function () {
        if (!wanted.delete(theme.key)) wanted.add(theme.key);
        button.setAttribute("aria-pressed", String(wanted.has(theme.key)));
        filter();
      });
    });
    drawThemes.all = all;
  }

  function drawCounts(base) {
    (drawThemes.all || []).forEach(function (theme) {
      const n = base.filter(function (row) { return hasTheme(row, theme.key); }).length;
      const share = base.length ? n / base.length * 100 : 0;
      theme.count.textContent = count(n) + " · " + share.toFixed(share < 9.95 ? 1 : 0) + "%";
      theme.bar.style.width = share + "%";
    });
  }

  /* Items */

  function write(parent, text, words, flags) {
    const escaped = function (list) { return list.map(function (s) { return s.replace(/[.*+?^${}()|[\]\\\/-]/g, "\\$&"); }).join("|"); };
    if (!words.length && !flags.length) { parent.appendChild(document.createTextNode(text)); return; }
    const groups = "(" + (escaped(flags) || "[]") + ")|(" + (escaped(words) || "[]") + ")";
    const pattern = new RegExp(groups, "gi");
    let from = 0, match;
    while ((match = pattern.exec(text))) {
      parent.appendChild(document.createTextNode(text.slice(from, match.index)));
      const node = make(parent, match[1] === undefined ? "mark" : "span", match[1] === undefined ? "" : "lost", match[0]);
      if (match[1] !== undefined) node.title = "无法复原的文字 Text that could not be recovered";
      from = pattern.lastIndex;
    }
    parent.appendChild(document.createTextNode(text.slice(from)));
  }

  function spanning(name) {
    const row = make(body, "tr", name), cell = make(row, "th");
    cell.colSpan = themes.length ? 3 : 2;
    cell.scope = "rowgroup";
    return cell;
  }

  function drawPlan(plan, words) {
    const cell = spanning("plan");
    write(cell, plan[1] || plan[0], words, []);
    write(make(cell, "small"), plan.filter(function (part, at) { return part && at !== 1; }).reverse().join(" · "), words, []);
  }

  function drawPath(path, words) {
    const cell = spanning("path");
    path.forEach(function (heading, at) {
      if (at) make(cell, "span", "", "›");
      write(cell, heading, words, []);
    });
  }

  function drawLabels(cell, row) {
    const scores = row.s || [];
    if (!row.l) { make(cell, "span", "without", "未标注 Not labelled"); return; }
    cell.title = themes.map(function (theme, at) {
      return typeof scores[at] === "number" ? theme.zh + " " + theme.en + "  " + scores[at].toFixed(3) : "";
    }).filter(Boolean).join("\n");
    row.l.forEach(function (key) {
      const at = themes.findIndex(function (theme) { return theme.key === key; });
      const theme = at < 0 ? { zh: key, colour: "#9e9e9e" } : themes[at];
      const chip = make(cell, "span", "chip", theme.zh);
      chip.style.borderLeftColor = theme.colour;
      chip.style.backgroundColor = tint(theme.colour);
      if (typeof scores[at] === "number") make(chip, "small", "", scores[at].toFixed(2));
    });
    if (!row.l.length) make(cell, "span", "without", "无主题 None");
  }

  function drawExtra(cell, row) {
    Object.keys(row.x || {}).forEach(function (key) {
      if (key === "flags" && flagsOf(row).length) return;
      const value = row.x[key];
      make(cell, "div", "extra", key + ": " + (typeof value === "string" ? value : JSON.stringify(value)));
    });
  }

  function drawItem(row, words) {
    const line = make(body, "tr"), number = make(line, "td", "number", row.n), cell = make(line, "td");
    if (isFlagged(row)) make(number, "span", "sign", "⚠").title = "有文字无法复原 Some text could not be recovered";
    write(make(cell, "div", "text"), row.t, words, flagsOf(row));
    if (row.u) write(make(cell, "div", "units"), row.u, words, []);
    drawExtra(cell, row);
    if (themes.length) drawLabels(make(line, "td", "labels"), row);
  }

  function draw(list) {
    const words = terms();
    let plan = -1, path = -1;
    body.textContent = "";
    list.forEach(function (row) {
      if (row.p !== plan) drawPlan(plans[row.p], words);
      if (paths[row.h].length && (row.h !== path || row.p !== plan)) drawPath(paths[row.h], words);
      plan = row.p;
      path = row.h;
      drawItem(row, words);
    });
  }

  function drawPage() {
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    draw(shown.slice(page * PAGE, (page + 1) * PAGE));
    byId("empty").hidden = shown.length > 0;
    byId("items").hidden = shown.length === 0;
    byId("pager").hidden = pages === 1;
    byId("place").textContent = count(page + 1) + " / " + count(pages);
    byId("back").disabled = page === 0;
    byId("next").disabled = page === pages - 1;
  }

  function turn(by) {
    page += by;
    drawPage();
    window.scrollTo(0, byId("items").getBoundingClientRect().top + window.pageYOffset - byId("bar").offsetHeight - 8);
  }

  /* Setting up */

  function drawTotals() {
    const failed = byId("failures"), totals = byId("totals");
    make(totals, "span", "", count(plans.length) + " 份计划 plans · " + count(rows.length) + " 条 items");
    if (!failed.hidden) {
      make(totals, "span", "", " · ");
      make(totals, "a", "", failed.querySelector("small").textContent + " 份未读取 not read").href = "#failures";
    }
  }

  function drawPlans() {
    const sizes = plans.map(function () { return 0; });
    rows.forEach(function (row) { sizes[row.p] += 1; });
    make(byId("plan"), "option", "", "全部 All (" + count(plans.length) + ")").value = "";
    plans.forEach(function (plan, at) {
      make(byId("plan"), "option", "", (plan[1] ? plan[1] + " · " : "") + plan[0] + " (" + sizes[at] + ")").value = String(at);
    });
  }

  function reset() {
    byId("plan").value = "";
    byId("words").value = "";
    byId("flagged").checked = false;
    wanted.clear();
    (drawThemes.all || []).forEach(function (theme) { theme.button.setAttribute("aria-pressed", "false"); });
    filter();
  }

  let typing = 0;
  function typed(event) {
    if (event.isComposing && event.type === "input") return;  /* pinyin on its way to characters */
    clearTimeout(typing);
    typing = setTimeout(filter, 150);
  }

  drawTotals();
  drawThemes();
  drawPlans();
  byId("about-scores").hidden = !rows.some(function (row) { return row.s; });
  byId("flagged-box").hidden = !rows.some(isFlagged);
  byId("plan").addEventListener("change", filter);
  byId("flagged").addEventListener("change", filter);
  byId("words").addEventListener("input", typed);
  byId("words").addEventListener("compositionend", typed);
  byId("reset").addEventListener("click", reset);
  byId("back").addEventListener("click", function () { turn(-1); });
  byId("next").addEventListener("click", function () { turn(1); });
  window.addEventListener("beforeprint", function () { draw(shown); });  /* on paper: all that the filters show */
  window.addEventListener("afterprint", drawPage);
  filter();
})();
