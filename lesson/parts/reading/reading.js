"use strict";
// The first screen: the page's models read what is typed, letter by letter.
(() => {
  const make = (tag, attributes = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  };
  const say = (key, facts) => lesson.text("reading", key, facts);
  const shown = (letter) => ({ "\n": "↵", " ": "␣", "\t": "⇥" })[letter] ?? letter;
  const percent = (p) => `${p < 0.1 ? (100 * p).toFixed(1) : Math.round(100 * p)}\u202f%`;

  const build = (part) => {
    const data = JSON.parse(document.getElementById("reading-data").textContent);
    const networks = lesson.networks.all;
    if (!networks[data.cell]) return; // its plan cannot be printed: the still picture stays
    const area = part.querySelector("textarea");
    const tape = part.querySelector(".tape");
    const now = part.querySelector(".now");
    const bars = part.querySelector(".next ol");
    const said = part.querySelector(".said");
    const hands = part.querySelector(".hands");
    const state = { cell: data.cell, unit: data.unit, off: false, at: data.at, writing: 0 };

    const network = () => networks[state.cell];
    const about = () => data.networks[state.cell];
    const held = () => about().held.find((each) => each.unit === state.unit);

    const button = (key, act) => {
      const made = make("button", { type: "button", "data-text": key });
      made.addEventListener("click", act);
      return made;
    };
    const label = (key, ...controls) => make("label", {}, make("span", { "data-text": key }), ...controls);
    const write = button("write", () => (state.writing ? stop() : start()));
    const temperature = make("input", { type: "range", min: 0, max: 2, step: 0.1, value: 0.7 });
    const degree = make("output", {}, "0.7");
    const off = button("off", () => {
      state.off = !state.off;
      refresh();
    });
    const unit = make("select");
    const another = button("another", () => {
      const known = about().held.map((each) => each.unit);
      const next = known[(known.indexOf(state.unit) + 1) % known.length];
      choose(known.length > 1 ? next : (state.unit + 1) % network().units);
    });
    const cell = make("select");
    for (const name of Object.keys(networks)) {
      if (data.networks[name]) cell.append(make("option", { value: name }, data.networks[name].title));
    }
    hands.append(
      write, label("temperature", temperature, degree), label("unit", unit), another, off,
      label("network", cell)
    );

    const listUnits = () => {
      const known = about().held;
      const first = make("optgroup", { label: say("known") });
      for (const each of known) {
        first.append(make("option", { value: each.unit }, `${each.unit + 1}: ${say(`short.${each.kind}`)}`));
      }
      const rest = make("optgroup", { label: say("every") });
      for (let k = 0; k < network().units; k += 1) {
        if (!known.some((each) => each.unit === k)) rest.append(make("option", { value: k }, String(k + 1)));
      }
      unit.replaceChildren(...(known.length ? [first] : []), rest);
      unit.value = state.unit;
    };

    let read = [];
    const value = (k) => read[k] && read[k].values[about().state][state.unit];

    const tell = () => {
      const step = read[state.at];
      const letter = [...area.value][state.at];
      const here = tape.children[state.at];
      for (const place of tape.querySelectorAll('.here, [tabindex="0"]')) {
        place.classList.remove("here");
        place.tabIndex = -1;
      }
      here?.classList.add("here");
      if (here) here.tabIndex = 0;
      if (!step) {
        now.textContent = letter ? say("unknown_one", { letter: `‘${shown(letter)}’` }) : say("empty");
        return;
      }
      const facts = {
        letter: `‘${shown(letter)}’`, at: state.at + 1, unit: state.unit + 1, value: lesson.format(Number(value(state.at).toPrecision(2))),
        bits: step.bits === null ? "" : step.bits.toFixed(1),
      };
      now.textContent = say(step.bits === null ? "now_first" : "now", facts) + (state.off ? say("held_off") : "");
      const best = network().likeliest(step.guess, data.count);
      bars.replaceChildren(
        ...best.map(([next, p]) => {
          const bar = make("i");
          bar.style.setProperty("--w", `${(100 * p).toFixed(1)}%`);
          return make("li", {}, make("b", {}, shown(next)), bar, make("span", {}, percent(p)));
        })
      );
    };

    // What each letter costs more, or less, without the unit; null where it is not guessed.
    const dearer = () => {
      const whole = network().read(area.value);
      return read.map((step, k) => (step?.bits == null ? null : step.bits - whole[k].bits));
    };
    const compare = (costs) => {
      const counted = costs.filter((cost) => cost !== null);
      if (!counted.length) return "";
      const mean = (steps) => steps.reduce((sum, step) => sum + (step?.bits ?? 0), 0) / counted.length;
      const most = costs.indexOf(counted.reduce((a, b) => Math.max(a, b), -Infinity));
      return say("without", {
        unit: state.unit + 1, with: mean(network().read(area.value)).toFixed(2), without: mean(read).toFixed(2),
        letter: `‘${shown([...area.value][most])}’`, at: most + 1, more: costs[most].toFixed(1),
      });
    };

    // How a letter looks; under it a bar for its cost where that is compared.
    const face = (k, letter, scale, cost) => {
      if (!read[k]) return { text: shown(letter), kind: "unknown", label: say("unknown_one", { letter }), v: 0, more: 0 };
      const own = value(k);
      const bar = cost > 0.05 ? "dearer" : cost < -0.05 ? "cheaper" : "";
      return {
        text: shown(letter),
        kind: `${own < 0 ? "below " : ""}${bar}`,
        label: `${shown(letter)}, ${lesson.format(Number(own.toPrecision(2)))}`,
        v: Math.min(100, Math.round((100 * Math.abs(own)) / scale)),
        more: Math.min(26, 5 * Math.abs(cost ?? 0)).toFixed(1),
      };
    };

    // Letters are made once: of those that stay as they were nothing is touched.
    const faces = new WeakMap();
    const dress = (k, ...about) => {
      const place = tape.children[k] ?? tape.appendChild(make("button", { type: "button", tabindex: -1 }));
      const known = [lesson.language(), read[k] ? value(k) : "", ...about].join();
      if (faces.get(place) === known) return;
      faces.set(place, known);
      const wanted = face(k, ...about);
      place.textContent = wanted.text;
      place.className = wanted.kind;
      place.setAttribute("aria-label", wanted.label);
      place.style.cssText = `--v:${wanted.v}%;--more:${wanted.more}`;
    };

    const refresh = () => {
      const letters = [...area.value];
      read = network().read(area.value, state.off ? [state.unit] : []);
      const scale =
        held()?.scale ??
        (read.reduce((most, step, k) => (step ? Math.max(most, Math.abs(value(k))) : most), 0) || 1);
      const costs = state.off ? dearer() : [];
      for (const letter of [...tape.children]) if (!faces.has(letter)) letter.remove(); // as the page was built
      for (const [k, letter] of letters.entries()) dress(k, letter, scale, costs[k]);
      while (tape.children.length > letters.length) tape.lastElementChild.remove();
      if (state.at >= letters.length || state.at < 0) state.at = letters.length - 1;
      off.setAttribute("aria-pressed", state.off);
      const strange = [...new Set(letters.filter((letter) => !network().knows(letter)))];
      const words = [];
      if (area.value.length >= data.longest) words.push(say("full", { count: data.longest }));
      if (strange.length) words.push(say("unknown", { letters: strange.slice(0, 12).map(shown).join(" ") }));
      if (state.off) words.push(compare(costs));
      else if (state.cell !== data.cell) {
        words.push(say(about().held.length ? "other" : "other_none", { cell: about().title }));
      } else if (held()) words.push(say(`long.${held().kind}`, { unit: state.unit + 1 }));
      else words.push(say("long.none", { unit: state.unit + 1 }));
      said.textContent = words.join(" ");
      tell();
    };

    const choose = (wanted) => {
      state.unit = wanted;
      unit.value = wanted;
      refresh();
      if (state.cell === data.cell) lesson.choice.set({ unit: wanted }, "reading");
    };

    // --- writing on
    const append = () => {
      const steps = network().read(area.value, state.off ? [state.unit] : []);
      const last = steps.filter(Boolean).at(-1);
      const guess = last ? last.guess.map(Math.log) : network().letters.map(() => 0);
      area.value += network().letters[lesson.networks.draw(guess, Number(temperature.value))];
    };
    const full = () => [...area.value].length >= data.longest;
    const stop = () => {
      clearTimeout(state.writing);
      state.writing = 0;
      write.dataset.text = "write";
      write.textContent = say("write");
      lesson.announce(area.value);
    };
    const go = () => {
      if (full()) return stop();
      append();
      state.at = -1;
      refresh();
      tape.scrollTop = tape.scrollHeight;
      state.writing = setTimeout(go, 90);
    };
    const start = () => {
      if (full()) area.value = [...area.value].slice(-60).join("");
      write.dataset.text = "stop";
      write.textContent = say("stop");
      if (!matchMedia("(prefers-reduced-motion: reduce)").matches) return go();
      for (let k = 0; k < 40 && !full(); k += 1) append();
      state.at = -1;
      refresh();
      tape.scrollTop = tape.scrollHeight;
      return stop();
    };

    // --- hands
    area.addEventListener("input", () => {
      if (state.writing) stop();
      state.at = -1;
      refresh();
      tape.scrollTop = tape.scrollHeight;
    });
    const at = (event) => [...tape.children].indexOf(event.target.closest("button"));
    const look = (event) => {
      const k = at(event);
      if (k < 0 || k === state.at || state.writing) return;
      state.at = k;
      tell();
    };
    tape.addEventListener("pointerover", look);
    tape.addEventListener("focusin", look);
    tape.addEventListener("click", look);
    // A letter that is pressed is the one that the page follows, if it is one of the line.
    tape.addEventListener("click", (event) => {
      const letter = at(event) - lesson.line.offset(area.value);
      if (lesson.line.offset(area.value) >= 0 && letter >= 0 && letter < lesson.line.letters.length) {
        lesson.choice.set({ letter }, "reading");
      }
    });
    tape.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      const ends = { Home: 0, End: tape.children.length - 1 }[event.key];
      if (step === undefined && ends === undefined) return;
      event.preventDefault();
      const k = ends ?? Math.min(tape.children.length - 1, Math.max(0, state.at + step));
      tape.children[k]?.focus();
    });
    temperature.addEventListener("input", () => {
      degree.textContent = Number(temperature.value).toFixed(1);
    });
    unit.addEventListener("change", () => choose(Number(unit.value)));
    cell.addEventListener("change", () => {
      state.cell = cell.value;
      const first = about().held[0];
      const own = lesson.choice.get().unit ?? data.unit;
      state.unit = state.cell === data.cell ? own : first ? first.unit : 0;
      listUnits();
      refresh();
    });
    lesson.choice.on(({ unit: wanted, letter }, changed, from) => {
      if (from === "reading") return;
      const before = lesson.line.offset(area.value);
      if (changed.includes("letter") && before >= 0 && (from || letter !== lesson.line.first.letter)) {
        state.at = before + letter;
        tell();
      }
      if (!changed.includes("unit") || (wanted === state.unit && state.cell === data.cell)) return;
      Object.assign(state, { cell: data.cell, unit: wanted });
      cell.value = data.cell;
      listUnits();
      refresh();
    });
    const speak = () => {
      for (const element of hands.querySelectorAll("[data-text]")) {
        element.textContent = say(element.dataset.text);
      }
      listUnits();
      refresh();
    };
    lesson.onLanguage(speak);
    hands.hidden = false;
    cell.value = state.cell;
    speak();
  };

  for (const part of document.querySelectorAll('[data-part="reading"]')) build(part);
})();
