"use strict";
// The heat map: one equation of a trained model, every unit along a line of text, drawn from the
// page's data. One cell of the grid is in the document at a time: the one that is chosen.
(() => {
  const PART = "heatmap";

  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };

  const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

  // Numbers of three digits, as Python packed them: unit after unit; null is not finite.
  const unpacked = (text, columns) => {
    const packed = lesson.decimals.unpacked(text);
    const value = (k) => {
      const found = packed.at(k);
      return found && lesson.decimals.valueOf(found);
    };
    return Array.from({ length: packed.length / columns }, (_, row) =>
      Array.from({ length: columns }, (_, k) => value(row * columns + k)));
  };
  const written = (value) => (value === null ? "–" : lesson.format(Number(value.toPrecision(3))));

  const build = (part) => {
    const { characters, equations, ...first } = JSON.parse(
      part.querySelector('script[id$="data"]').textContent
    );
    const columns = characters.length;
    for (const e of equations) {
      for (const layer of ["value", "gradient"]) {
        e[layer] = { rows: unpacked(e[layer], columns) };
        const sizes = e[layer].rows.flat().map((value) => Math.abs(value ?? 0));
        e[layer].largest = sizes.reduce((a, b) => Math.max(a, b), 0) || 1;
      }
    }
    const now = { equation: first.equation, layer: "value", order: "by_mean", column: 0, row: 0 };
    now.row = equations[now.equation].units.indexOf(first.unit);
    let order = []; // rows of the packed data, from top to bottom
    let pitch = { x: 1, y: 1 };

    const field = (name, control) => {
      const words = make("span", { "data-text": name });
      controls.append(make("label", {}, words, control));
      return control;
    };
    const options = (...keys) => keys.map((k) => make("option", { value: k, "data-text": k }));
    const controls = make("div", { class: "controls" });
    const equation = field("equation", make("select", {}));
    equations.forEach((e, k) => equation.append(make("option", { value: k }, e.symbol)));
    const layer = field("show", make("select", {}, ...options("value", "gradient")));
    const orders = options("by_mean", "by_change", "by_value", "by_number");
    const sorting = field("order", make("select", {}, ...orders));
    const number = field("unit", make("input", { type: "number", min: 1 }));

    const readout = make("p", { class: "readout", role: "status" });
    readout.id = `${PART}-readout-${document.querySelectorAll(".heatmap .readout").length}`;
    const canvas = make("canvas", { "aria-hidden": "true" });
    const cell = make("div", { role: "gridcell", tabindex: 0, "aria-labelledby": readout.id });
    const row = make("div", { role: "row" }, cell);
    const map = make("div", { class: "map", role: "grid", "aria-colcount": columns }, canvas, row);
    const letters = make("p", { class: "letters", "aria-hidden": "true" });
    for (const c of characters) letters.append(make("b", {}, c));
    const bars = make("canvas", { role: "img" });
    const sheet = make("div", { class: "sheet" }, map, letters, bars);
    const scroll = make("div", { class: "scroll" }, sheet);
    const scale = make("div", { class: "scale" });
    const kept = make("span");
    const legend = make("div", { class: "legend" }, scale, kept);
    const hint = make("p", { class: "hint", "data-text": "hint" });
    const view = part.querySelector(".view");
    view.replaceChildren(controls, scroll, legend, readout, hint);
    const summary = part.querySelector("summary");
    const table = part.querySelector("tbody");

    const shown = () => equations[now.equation];
    const rows = () => shown()[now.layer].rows;
    const range = () => {
      const { gate } = shown();
      const high = gate && now.layer === "value" ? 1 : shown()[now.layer].largest;
      return { low: gate && now.layer === "value" ? 0 : -high, high };
    };
    // -1 to 1: how far a value is from zero, as colour and as length
    const share = (value) => {
      const plain = clamp((value ?? 0) / range().high, -1, 1);
      return now.layer === "gradient" ? Math.sign(plain) * Math.sqrt(Math.abs(plain)) : plain;
    };
    const label = (e, unit) => {
      if (e.shape.length < 2) return String(unit + 1);
      const places = [];
      for (const size of [...e.shape].reverse()) {
        places.unshift((unit % size) + 1);
        unit = Math.floor(unit / size);
      }
      return `(${places.join(", ")})`;
    };
    const total = (e) => e.shape.reduce((a, b) => a * b, 1);

    const sort = () => {
      const mean = (values) => values.reduce((a, b) => a + b, 0) / columns;
      const by = {
        by_mean: (values) => -mean(values),
        by_change: (values) => -mean(values.map((v) => (v - mean(values)) ** 2)),
        by_number: () => 0,
        by_value: (values) => -values[now.column],
      }[now.order];
      const keys = rows().map((values) => by(values));
      order = keys.map((_, k) => k).sort((a, b) => keys[a] - keys[b] || a - b);
    };

    const fresh = (surface, width, height) => {
      const ratio = devicePixelRatio || 1;
      surface.width = Math.round(width * ratio);
      surface.height = Math.round(height * ratio);
      surface.style.width = `${width}px`;
      surface.style.height = `${height}px`;
      const pen = surface.getContext("2d");
      pen.scale(ratio, ratio);
      return pen;
    };
    const colours = () => {
      const style = getComputedStyle(part);
      return ["--below", "--above", "--ink"].map((name) => style.getPropertyValue(name).trim());
    };

    const draw = () => {
      const count = order.length;
      const x = clamp(Math.floor((view.clientWidth - 8) / columns), 15, 26);
      pitch = { x, y: clamp(Math.floor(400 / count), 3, 26) };
      sheet.style.width = `${x * columns + 8}px`;
      const [below, above] = colours();
      const pen = fresh(canvas, x * columns, pitch.y * count);
      order.forEach((index, y) => {
        rows()[index].forEach((value, k) => {
          const size = share(value);
          pen.fillStyle = size < 0 ? below : above;
          pen.globalAlpha = Math.abs(size);
          pen.fillRect(k * x, y * pitch.y, x, pitch.y);
        });
      });
    };

    const drawBars = (index) => {
      const height = 64;
      const { low } = range();
      const zero = low < 0 ? height / 2 : height - 1;
      const [below, above, ink] = colours();
      const pen = fresh(bars, pitch.x * columns, height);
      rows()[index].forEach((value, k) => {
        const length = share(value) * (low < 0 ? height / 2 - 2 : height - 3);
        pen.fillStyle = length < 0 ? below : above;
        pen.fillRect(k * pitch.x + 1, zero - Math.max(length, 0), pitch.x - 2, Math.abs(length));
      });
      pen.fillStyle = ink;
      pen.fillRect(0, zero, pitch.x * columns, 1);
    };

    const say = (index, column) => {
      const e = shown();
      readout.textContent = lesson.text(PART, "page.readout", {
        unit: label(e, e.units[index]),
        units: total(e),
        place: column + 1,
        count: columns,
        character: characters[column],
        symbol: e.symbol,
        adjoint: e.adjoint,
        value: written(e.value.rows[index][column]),
        gradient: written(e.gradient.rows[index][column]),
      });
      [...letters.children].forEach((b, k) => b.classList.toggle("here", k === column));
      drawBars(index);
    };

    const tell = () => {
      const unit = shown().units[now.row];
      const lines = ["value", "gradient"].flatMap((name) =>
        equations.map((e) => [e, name, e.units.indexOf(unit)]).filter(([, , k]) => k >= 0)
      );
      table.replaceChildren(
        ...lines.map(([e, name, k]) =>
          make(
            "tr",
            {},
            make("th", { scope: "row" }, name === "value" ? e.symbol : e.adjoint),
            ...e[name].rows[k].map((value) => make("td", {}, written(value)))
          )
        )
      );
      summary.textContent = lesson.text(PART, "page.numbers", { unit: label(shown(), unit) });
      number.value = unit + 1;
    };

    // Move the chosen cell's box, say its numbers.
    const place = () => {
      const at = order.indexOf(now.row);
      row.style.top = `${at * pitch.y}px`;
      row.style.height = `${pitch.y}px`;
      cell.style.left = `${now.column * pitch.x}px`;
      cell.style.width = `${pitch.x}px`;
      row.setAttribute("aria-rowindex", at + 1);
      cell.setAttribute("aria-colindex", now.column + 1);
      say(now.row, now.column);
      tell();
    };

    const drawScale = () => {
      const { low, high } = range();
      const root = now.layer === "gradient";
      const quarter = root ? high / 4 : high / 2;
      const ticks = low < 0 ? [low, -quarter, 0, quarter, high] : [0, quarter, high];
      scale.replaceChildren(make("i"));
      scale.style.setProperty("--zero", low < 0 ? "50%" : "0%");
      ticks.forEach((value, k) => {
        const tick = make("span", {}, written(Number(value.toPrecision(2))));
        tick.style.left = `${(100 * k) / (ticks.length - 1)}%`;
        scale.append(tick);
      });
    };

    const refresh = () => {
      const e = shown();
      for (const element of part.querySelectorAll("[data-text]")) {
        element.textContent = lesson.text(PART, `page.${element.dataset.text}`);
      }
      number.max = total(e);
      map.setAttribute("aria-label", lesson.text(PART, "page.map"));
      map.setAttribute("aria-rowcount", e.units.length);
      const { low, high } = range();
      const ends = { low: written(low), high: written(high) };
      bars.setAttribute("aria-label", lesson.text(PART, "page.bars", ends));
      const some = e.units.length < total(e);
      kept.textContent = some
        ? lesson.text(PART, "page.kept", { kept: e.units.length, units: total(e) })
        : "";
      sort();
      draw();
      drawScale();
      place();
    };

    equation.addEventListener("change", () => {
      const unit = shown().units[now.row];
      now.equation = Number(equation.value);
      now.row = Math.max(0, shown().units.indexOf(unit));
      refresh();
    });
    layer.addEventListener("change", () => {
      now.layer = layer.value;
      refresh();
    });
    sorting.addEventListener("change", () => {
      now.order = sorting.value;
      refresh();
    });
    number.addEventListener("change", () => {
      const found = shown().units.indexOf(Number(number.value) - 1);
      if (found >= 0) now.row = found;
      place();
    });

    const under = (event) => {
      const box = canvas.getBoundingClientRect();
      const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
      const at = Math.floor(((event.clientY - box.top) / box.height) * order.length);
      return { row: order[clamp(at, 0, order.length - 1)], column: clamp(column, 0, columns - 1) };
    };
    map.addEventListener("pointermove", (event) => {
      const { row: index, column } = under(event);
      say(index, column);
    });
    map.addEventListener("pointerleave", () => say(now.row, now.column));
    map.addEventListener("click", (event) => {
      Object.assign(now, under(event));
      cell.focus({ preventScroll: true });
      place();
    });
    map.addEventListener("keydown", (event) => {
      const last = columns - 1;
      const column = {
        ArrowLeft: now.column - 1, ArrowRight: now.column + 1, Home: 0, End: last,
      }[event.key];
      const down = { ArrowUp: -1, ArrowDown: 1, PageUp: -10, PageDown: 10 }[event.key];
      if ((column === undefined && down === undefined) || event.altKey || event.metaKey) return;
      event.preventDefault();
      if (column !== undefined) now.column = clamp(column, 0, last);
      if (down !== undefined) {
        now.row = order[clamp(order.indexOf(now.row) + down, 0, order.length - 1)];
      }
      place();
      cell.scrollIntoView({ block: "nearest", inline: "nearest" });
    });

    // The page's one letter and unit.
    const pass = () => lesson.choice.set({ unit: shown().units[now.row], letter: now.column }, PART);
    map.addEventListener("click", pass);
    map.addEventListener("keydown", pass);
    number.addEventListener("change", pass);
    lesson.choice.on(({ unit, letter }, changed, from) => {
      const found = shown().units.indexOf(unit);
      if (from === PART || part.querySelector(".map") !== map) return;
      if (changed.includes("unit") && found >= 0) now.row = found;
      if (changed.includes("letter") && letter < columns) now.column = letter;
      place();
    });
    equation.value = now.equation;
    lesson.onLanguage(refresh);
    lesson.sharing.onTheme(refresh);
    let width = 0;
    new ResizeObserver(() => {
      if (view.clientWidth !== width) {
        width = view.clientWidth;
        refresh();
      }
    }).observe(view);
    refresh();
  };

  lesson.part(`[data-part="${PART}"]`, build);
})();
