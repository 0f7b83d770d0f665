"use strict";
// The stepper: buttons and keys to move through a trace, a scrubber, breakpoints and watches.
// Its element gets a property `stepper`, through which predict.js asks its questions.
(() => {
  const { h, say, worded, nameOf } = stepperView;
  const MOVES = { operation: ["b", "n"], equation: ["E", "e"], time: ["T", "t"], pass: ["<", ">"] };
  const MARKS = { unknown: "·", known: "▸", growing: "◃", done: "◂" };
  const WAYS = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  const FORMS = {
    f: "name", "C@1": "at", "t=2": "time", "|C|>2": "size", "|grad|<1e-3": "gradients",
    "|grad C@1|>10": "gradient", "nan, inf": "bad", "forward, backward": "pass",
  };

  // The scrubber: equations by time steps, each cell a button that goes there.
  const scrubber = (trace, known, go) => {
    const owners = trace.nodes.filter((n) => n.w === n.id);
    const ends = new Map(owners.map((n) => [n.id, [trace.lastOf(n, true), trace.lastOf(n, false)]]));
    const nameFor = (node) => node.n ?? node.l;
    const rows = [...new Set(owners.map(nameFor))];
    const columns = [...trace.times, ...(owners.some((n) => !n.e) ? [null] : [])];
    const cells = [];
    const statusOf = (node) => {
      if (!trace.knownAt(node, known())) return "unknown";
      const found = trace.gradientAt(node, known());
      return !found ? "known" : found.count < found.of ? "growing" : "done";
    };
    // To the end of an equation's forward pass; a second time, to the start of its backward pass.
    const jump = (node, event) => {
      const [forward, backward] = ends.get(node.id);
      go(backward >= 0 && event().index === forward ? trace.across(forward) : forward);
    };
    const walk = (e) => {
      const here = cells.find((cell) => cell.button === e.target);
      const way = WAYS[e.key];
      if (!here || !way) return;
      e.preventDefault();
      e.stopPropagation();
      const ahead = cells.filter(({ r, c }) => (way[0] ? (r - here.r) * way[0] > 0 && c === here.c : (c - here.c) * way[1] > 0 && r === here.r));
      const far = (cell) => Math.abs(cell.r - here.r) + Math.abs(cell.c - here.c);
      ahead.sort((a, b) => far(a) - far(b))[0]?.button.focus();
    };

    const build = (event) => {
      cells.length = 0;
      const head = columns.map((t) => h("th", { scope: "col" }, t ?? h("abbr", { title: say("head.outside") }, "L"),
        trace.columns[t - 1] ? h("b", {}, trace.columns[t - 1]) : []));
      const body = rows.map((name, r) => {
        const own = owners.filter((n) => nameFor(n) === name);
        const tds = columns.map((t, c) => {
          const node = own.find((n) => (n.e ?? null) === t);
          if (!node) return h("td", { role: "gridcell" });
          const button = h("button", { type: "button", onclick: () => jump(node, event) });
          cells.push({ button, node, r, c });
          return h("td", { role: "gridcell" }, button);
        });
        const [letter, below = ""] = own[0].s;
        const others = below.split(",").slice(0, -1).join(","); // subscripts besides the time
        const base = own[0].e ? { s: others ? [letter, others] : [letter] } : own[0];
        return h("tr", {}, h("th", { scope: "row" }, nameOf(base)), tds);
      });
      return h("table", { class: "grid", role: "grid", "aria-label": say("move.grid"), onkeydown: walk },
        h("thead", {}, h("tr", {}, h("td"), head)), h("tbody", {}, body));
    };
    const mark = (event) => {
      for (const { button, node } of cells) {
        const status = statusOf(node);
        const here = node === event.equation;
        button.tabIndex = here ? 0 : -1;
        button.toggleAttribute("data-here", here);
        if (button.dataset.status === status) continue;
        button.dataset.status = status;
        button.textContent = MARKS[status];
        button.setAttribute("aria-label", say("move.cell", { equation: node.l, state: say(`move.${status}`) }));
      }
    };
    return { build, mark };
  };

  // What a tour shows of any trace, as [key of its text, index]: the first squashing, the first state
  // written, the end of the pass, its turning, two terms that meet, a weight's gradient complete.
  const tourOf = (trace) => {
    const { events } = trace;
    const whole = (e) => !e.forward && !e.seed && e.term === trace.termsOf(e.subject).length;
    const ends = new Set(events.filter((e) => e.forward && e.node === e.equation).map((e) => e.index));
    const found = {
      squash: events.find((e) => e.forward && ["sigmoid", "tanh"].includes(e.node.o)),
      state: events.find((e) => ends.has(e.index) && ["add", "multiply"].includes(e.node.o)),
      loss: events.findLast((e) => e.forward),
      turn: events.find((e) => !e.forward),
      meet: events.find((e) => whole(e) && e.term > 1 && e.subject.o && e.subject.n && (trace.times.at(-1) - e.subject.t) === 1),
      weight: events.find((e) => whole(e) && !e.subject.o && !e.subject.c && e.subject.t === undefined),
    };
    return Object.entries(found).filter(([, e]) => e).map(([key, e]) => [key, e.index]);
  };

  const setUp = (root) => {
    const trace = traces.read(JSON.parse(root.querySelector("script.stepper-data").textContent));
    const figure = root.querySelector(".stepper-figure");
    const { heading } = root.dataset;
    const app = h("div", { class: "stepper-app" });
    const state = { index: 0, watches: [], veil: null, question: null, note: "", forms: false };
    const view = stepperView.view(trace, state, figure, heading);
    const listeners = [];
    const at = {}; // the elements that a step changes
    const event = () => trace.events[state.index];

    const placed = () => {
      const { forward, time, equation } = event();
      const character = time && trace.columns[time - 1];
      const when = !time ? say("head.outside") : say(character ? "head.reads" : "head.time", { time, character });
      return [`${say("head.place", { at: state.index + 1, of: trace.last + 1 })} · ${say(forward ? "head.forward" : "head.backward")} · ${when} · `,
        ...worded("head.equation", { equation: nameOf(equation) })];
    };
    const plain = (content) => content.flat().map((piece) => piece.textContent ?? piece).join("");

    const render = () => {
      const here = event();
      at.place.replaceChildren(...placed());
      at.range.value = state.index;
      at.range.setAttribute("aria-valuetext", plain(placed()));
      const lost = [at.card, at.state].find((box) => box.contains(document.activeElement));
      at.card.replaceChildren(...view.card(here));
      at.card.scrollTop = 0;
      at.state.replaceChildren(...view.stateTables(here, unwatch));
      if (lost) lost.focus({ preventScroll: true });
      const scrolls = (box) => box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
      for (const box of [at.card, at.state]) box.tabIndex = scrolls(box) ? 0 : -1;
      at.note.textContent = state.note;
      tour();
      // a button that is really disabled would lose the focus, and with it the keys
      for (const button of at.backs) button.setAttribute("aria-disabled", state.index === 0);
      for (const button of at.nexts) button.setAttribute("aria-disabled", state.index === trace.last);
      grid.mark(here);
      view.light(here);
    };
    // Goes to an event, tells whoever asks questions, and says where we are.
    const go = (index, note = "") => {
      state.note = note;
      state.index = index;
      state.veil = null;
      for (const listener of listeners) listener(event());
      render();
      lesson.address.changed();
      lesson.announce(`${note} ${plain(placed())}. ${state.question ?? plain(view.sentence(event()))}`.trim());
    };
    const tell = (note) => {
      state.note = note;
      render();
      lesson.announce(note);
    };
    const grid = scrubber(trace, view.known, (index) => go(index));

    const move = (by, forward) => {
      const to = forward ? trace.next(state.index, by) : trace.back(state.index, by);
      if (to === state.index) tell(say(forward ? "move.at_end" : "move.at_start"));
      else go(to);
    };
    const across = () => go(trace.across(state.index));
    const unfold = (element) => {
      element.closest("details").open = true;
      element.focus();
    };
    const runTo = (text) => {
      if (!text.trim()) return;
      const stop = trace.breakpoint(text);
      if (stop.error) {
        const names = trace.called.join(", ");
        tell(say(`find.${stop.error}`, { condition: text.trim(), name: stop.error === "unread" ? trace.called[0] : stop.name, names }));
        return;
      }
      const found = trace.find(stop, state.index);
      if (found < 0) tell(say("find.none", { condition: text.trim() }));
      else go(found, say("find.reached", { condition: text.trim() }));
    };
    const watch = (name) => {
      if (!name) return;
      if (!trace.lookup(name).length) {
        tell(say("find.unknown", { name, names: trace.called.join(", ") }));
        return;
      }
      if (!state.watches.includes(name)) state.watches.push(name);
      tell("");
    };
    const unwatch = (name) => {
      state.watches = state.watches.filter((other) => other !== name);
      tell("");
      at.watched.focus();
    };

    const pair = (by) => {
      const words = say(`move.${by}`);
      const button = (forward) => h("button", {
        type: "button", "aria-label": say(forward ? "move.next" : "move.back", { by: words }), "aria-keyshortcuts": MOVES[by][Number(forward)],
        class: forward ? "next" : "back", onclick: () => move(by, forward),
      }, forward ? "▶" : "◀");
      return h("div", { class: "pair" }, button(false), h("span", {}, words), button(true));
    };
    const asked = (key, list, action) => {
      const input = h("input", { type: "text", list, spellcheck: "false", autocapitalize: "off", autocomplete: "off" });
      const form = h("form", { onsubmit: (e) => { e.preventDefault(); action(input.value.trim()); input.select(); } },
        h("label", {}, h("span", {}, say(`find.${key}`)), input),
        h("button", { type: "submit" }, say(key === "label" ? "find.button" : "find.watch_button")));
      return [form, input];
    };
    const keyRows = () => [
      ...Object.entries(MOVES).map(([by, [back, next]]) => [[back, next], say(`move.${by}`)]),
      [["p"], say("move.across")], [["g"], say("keys.go")], [["w"], say("keys.watch")], [["a"], say("keys.ask")],
    ].map(([keys, words]) => h("li", {}, keys.map((key) => [h("kbd", {}, key), " "]).flat(), words));

    // The tour: places at which something happens for the first time, with a sentence for each.
    const stops = tourOf(trace);
    const stopHere = () => stops.findLastIndex(([, index]) => index === state.index);
    const tour = () => {
      const here = stopHere();
      at.told.textContent = here < 0 ? "" : say(`tour.${stops[here][0]}`);
      at.stops.forEach((button, k) => {
        if (k === here) button.setAttribute("aria-current", "step");
        else button.removeAttribute("aria-current");
      });
    };
    const tourRow = () => {
      at.stops = stops.map(([key, index], k) => h("button", { type: "button", "aria-label": say("tour.stop", { at: k + 1, of: stops.length }), title: say(`tour.${key}`), onclick: () => go(index) }, k + 1));
      at.told = h("p", { class: "told" });
      return h("div", { class: "tour" }, h("div", { class: "stops", role: "group", "aria-label": say("tour.title") }, h("span", {}, say("tour.title")), at.stops), at.told);
    };

    const box = (name, label) => h("div", { class: name, tabindex: "-1", role: "group", "aria-label": say(label) });
    const build = () => {
      const list = `${root.id}-names`;
      const [find, condition] = asked("label", list, runTo);
      const [watching, watched] = asked("watch", list, watch);
      Object.assign(at, {
        condition, watched, place: h("p", { class: "place" }), note: h("p", { class: "note" }),
        range: h("input", { type: "range", min: 0, max: trace.last, step: 1, "aria-label": say("move.scrub"), oninput: (e) => go(Number(e.target.value)) }),
        card: box("card", "head.step"), state: box("state", "head.state"), questions: h("div", { class: "questions" }),
      });
      const moves = h("div", { class: "moves", role: "group", "aria-label": say("move.label") }, Object.keys(MOVES).map(pair),
        h("button", { type: "button", class: "across", "aria-keyshortcuts": "p", onclick: across }, "⇄ ", say("move.across")));
      const forms = h("details", { open: state.forms, ontoggle: (e) => { state.forms = e.target.open; } }, h("summary", {}, say("find.forms")),
        h("dl", { class: "forms" }, Object.entries(FORMS).map(([form, key]) => [h("dt", {}, h("code", {}, form)), h("dd", {}, say(`find.form_${key}`))]).flat()));
      const keys = h("details", {}, h("summary", {}, say("keys.title")), h("p", {}, say("keys.label")), h("ul", { class: "keys" }, keyRows()));
      const debug = h("details", { class: "debugger", open: state.debugger, ontoggle: (e) => { state.debugger = e.target.open; } }, h("summary", {}, say("head.debugger")),
        h("div", { class: "columns top" },
          h("div", {}, h("div", { class: "scroll" }, grid.build(event)), h("p", { class: "caption" }, say("move.legend"))),
          h("div", { class: "tools" }, find, watching, forms, keys)),
        at.state);
      app.replaceChildren(
        h("div", { class: "bar-row" }, moves, at.range, at.place), tourRow(), at.note,
        h("div", { class: "columns main" },
          h("div", { class: "see" }, figure ?? []),
          h("div", { class: "do" }, h(heading, {}, say("head.step")), at.card)),
        at.questions, debug,
        h("datalist", { id: list }, trace.called.map((name) => h("option", { value: name }))),
      );
      at.backs = [...moves.querySelectorAll(".back")];
      at.nexts = [...moves.querySelectorAll(".next")];
      for (const listener of listeners) listener(null);
      render();
      lesson.resized(app);
    };

    root.addEventListener("keydown", (e) => {
      const typing = e.target.matches('input[type="text"], select, textarea');
      if (typing || e.ctrlKey || e.metaKey || e.altKey) return;
      const arrows = e.target.matches('input[type="range"], input[type="radio"]') ? {} : { ArrowLeft: "b", ArrowRight: "n" };
      const key = arrows[e.key] ?? e.key;
      const by = Object.keys(MOVES).find((name) => MOVES[name].includes(key));
      const actions = { p: across, g: () => unfold(at.condition), w: () => unfold(at.watched) };
      if (by) move(by, MOVES[by][1] === key);
      else if (actions[key]) actions[key]();
      else return;
      e.preventDefault();
    });

    root.stepper = { trace, state, event, view, render, go, questions: () => at.questions, onMove: (listener) => listeners.push(listener) };
    root.querySelector(".stepper-still").open = false;
    root.querySelector(".stepper-still").before(app);
    if (root.dataset.start === "tour" && stops.length) state.index = stops[0][1];
    const first = state.index;
    build();
    lesson.onLanguage(build);
    if (root.id !== "stepper") return; // the page's own
    lesson.address.keep("event", {
      read: (text) => {
        const wanted = text === null ? first : lesson.address.counted(text, trace.last + 1);
        if (wanted !== null && wanted !== state.index) go(wanted);
      },
      write: () => (state.index === first ? "" : String(state.index + 1)),
    });
  };

  lesson.part('.stepper[data-part="stepper"]', setUp);
})();
