"use strict";
// The sliders: every number of a one-unit cell can be moved. What follows from it is computed by the
// functions that were printed from the cell's equations: forward(values) and backward(values, seeds).
(() => {
  const PART = "sliders";
  const FAR = 800; // where a sigmoid is 0 or 1 to the last digit
  const SAME = 5e-5; // what counts as unchanged: as many digits as are shown
  const say = (key, facts) => lesson.text(PART, `page.${key}`, facts);

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const entryOf = (value, k) => (Array.isArray(value) ? value[k] : value);
  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
  const same = (a, b) => Math.abs(a - b) <= SAME * Math.max(1, Math.abs(a));

  const build = (part) => {
    const { forward, backward } = window.cellSteps[part.dataset.step];
    const first = JSON.parse(part.querySelector("script.sliders-data").textContent);
    const { ranges, output } = first;
    let now = structuredClone(first);
    now.values.held = { __proto__: null };
    const rows = [...part.querySelectorAll("tr[data-space]")].map((element) => {
      const { space, name, entry, symbol } = element.dataset;
      return {
        element, space, name, symbol, entry: Number(entry),
        value: element.querySelector("td.value > .number"),
        slope: element.querySelector("td.slope .number"),
        curve: element.querySelector(".curve"),
      };
    });

    // --- where the numbers are ------------------------------------------------------------------
    const read = (row, after, back) => {
      const { space, name, entry } = row;
      const holders = {
        prev: [now.values.prev, back.earlier], p: [now.values.p, back.inputs], x: [now.values, back.inputs],
        seeds: [now.seeds, {}], pre: [after.pre, back.delta], now: [after.now, back.bar],
      };
      return holders[space].map((holder) => entryOf(holder[name], entry));
    };
    const write = ({ space, name, entry }, number) => {
      const holders = {
        prev: now.values.prev, p: now.values.p, x: now.values, seeds: now.seeds,
        pre: now.values.held,
      };
      const holder = holders[space];
      if (Array.isArray(holder[name])) holder[name][entry] = number;
      else holder[name] = number;
    };

    // --- controls -------------------------------------------------------------------------------
    const button = (words, action) => {
      const made = make("button", { type: "button" }, words);
      made.addEventListener("click", action);
      return made;
    };
    const result = () => {
      const row = rows.find((r) => r.space === "now" && r.name === output);
      lesson.announce(say("result", { symbol: row.symbol, value: row.value.textContent }));
    };
    const gateOf = (row) => rows.find((r) => r.space === "now" && r.name === row.element.dataset.equation).symbol;
    const equip = (row) => {
      const far = ranges[row.space];
      if (far === undefined) return;
      const label = { "aria-label": row.symbol };
      row.range = make("input", { type: "range", min: -far, max: far, step: 0.01, ...label });
      row.number = make("input", { type: "number", step: "any", ...label });
      for (const input of [row.range, row.number]) {
        input.addEventListener("input", () => {
          if (input.value === "" || !Number.isFinite(input.valueAsNumber)) return;
          write(row, input.valueAsNumber);
          show(input);
        });
        input.addEventListener("change", () => {
          show();
          result();
        });
      }
      const controls = make("span", { class: "controls" }, row.range, row.number);
      if (row.space === "pre") {
        const set = (number) => () => {
          write(row, number);
          show();
          result();
        };
        row.ends = "switch" in row.element.dataset ? [button("0", set(-FAR)), button("1", set(FAR))] : [];
        row.release = button("", () => {
          delete now.values.held[row.name];
          show();
          row.number.focus();
          result();
        });
        row.note = make("small", { class: "note" });
        controls.append(...row.ends, row.release, row.note);
      }
      row.value.replaceWith(controls);
    };
    const words = () => {
      reset.textContent = say("reset");
      for (const row of rows) {
        if (row.space !== "pre") continue;
        row.release.textContent = say("release");
        row.release.setAttribute("aria-label", say("release_label", { symbol: row.symbol }));
        row.ends.forEach((end, k) => {
          const key = k ? "to_one" : "to_zero";
          end.setAttribute("aria-label", say(key, { symbol: gateOf(row) }));
          end.title = end.getAttribute("aria-label");
        });
      }
      show();
    };

    // --- what follows from them -------------------------------------------------------------------
    const draw = (row, after) => {
      const { low, high, equation } = row.element.dataset;
      const svg = row.curve.querySelector("svg");
      const { width, height } = svg.viewBox.baseVal;
      const [across, down, far] = [width - 8, height - 8, ranges.pre];
      const x = ((clamp(after.pre[row.name], -far, far) + far) / (2 * far)) * across;
      const at = (value) => ((high - clamp(value, low, high)) / (high - low)) * down;
      const y = at(entryOf(after.now[equation], 0));
      if (!Number.isFinite(x + y)) return;
      const point = svg.querySelector("circle");
      point.setAttribute("cx", x);
      point.setAttribute("cy", y);
      svg.querySelector(".drop").setAttribute("d", `M${x} ${at(0)}V${y}`);
    };
    const show = (typing) => {
      const after = forward(now.values);
      const back = backward(after, now.seeds);
      for (const row of rows) {
        const [value, slope] = read(row, after, back);
        if (row.slope) row.slope.textContent = lesson.format(slope);
        if (!row.range) row.value.textContent = lesson.format(value);
        else if (Number.isFinite(value)) {
          if (typing !== row.range) row.range.value = value;
          if (typing !== row.number) row.number.value = Number(value.toPrecision(4));
        }
        if (row.space === "pre") {
          const held = row.name in now.values.held;
          row.element.classList.toggle("held", held);
          row.release.hidden = !held;
          row.note.textContent = held ? say("held") : "";
        }
        if (row.curve) draw(row, after);
        const { prev } = now.values;
        if (row.space === "now" && row.name in prev) {
          mark(row.value, same(value, entryOf(prev[row.name], row.entry)));
        } else if (row.space === "prev") {
          mark(row.slope, slope !== 0 && same(slope, entryOf(back.bar[row.name], row.entry)));
        }
      }
    };
    const mark = (beside, unchanged) => {
      let note = beside.parentElement.querySelector(".same");
      if (!note) beside.after(note = make("small", { class: "same" }));
      note.textContent = unchanged ? say("unchanged") : "";
    };

    const reset = button("", () => {
      now = structuredClone(first);
      now.values.held = { __proto__: null };
      show();
      lesson.announce(say("reset_done"));
    });
    reset.classList.add("reset");
    rows.forEach(equip);
    part.querySelector(".board > div").append(reset);
    lesson.onLanguage(words);
    words();
  };

  lesson.part(`[data-part="${PART}"][data-step]`, build);
})();
