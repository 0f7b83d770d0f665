"use strict";
// Predict: the reader says a shape, a sign, a number or a rule before the stepper shows it.
// Answers are checked here, on the page, and neither counted nor kept.
(() => {
  const { h, say, worded, nameOf, shapeText } = stepperView;

  // Numbers that are the same each time a page is opened.
  const dice = (seed) => {
    let state = (seed * 2654435761 + 12345) >>> 0;
    return (sides) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * sides);
    };
  };
  const shuffled = (list, roll) => {
    const made = [...list];
    for (let k = made.length - 1; k > 0; k--) {
      const other = roll(k + 1);
      [made[k], made[other]] = [made[other], made[k]];
    }
    return made;
  };

  // A formula in a line of text with its subscripts and superscripts set: C_{t+1}, δ^f_t.
  const typeset = (text) => text.split(/([_^](?:\{[^}]*\}|(?:(?![ᵀ²])[\p{L}\p{N}\p{M}])+))/u).map((piece, k) => (
    k % 2 ? h(piece[0] === "_" ? "sub" : "sup", {}, piece.slice(1).replace(/^\{|\}$/g, "")) : piece));

  const setUp = (root) => {
    const { stepper } = root;
    const { trace, state, view } = stepper;
    let always = false;
    let asked = 0;
    let at = {};

    // --- questions: each {kind, title, choices or tolerance, check(answer) -> explanation} -------
    const named = (event, k) => [nameOf(event.subject, !event.forward), k === undefined ? "" : trace.place(event.subject.d, k)];
    const arithmetic = (event, k) => {
      const [place, text] = trace.arithmetic(event)[k];
      return [h("p", {}, say("why.numbers")), h("p", { class: "arithmetic" }, ...named(event), `${place} ${trace.sign(event)} ${text}`),
        ...(event.term > 1 ? [h("p", { class: "arithmetic" }, ...named(event), trace.sums(event)[k].join(" = "))] : [])];
    };
    const entry = (event, roll) => roll(Math.min(event.pattern.n.length, event.subject.v.length));

    const shape = (event, roll) => {
      const right = event.subject.d;
      const others = [...trace.names(event).filter((n) => n && !n.c).map((n) => n.d), [...right].reverse(), right.length ? [right[0] + 1] : [1], [], [2, ...right]];
      const choices = new Map(others.map((d) => [d.join(), d]));
      choices.delete(right.join());
      const wrong = shuffled([...choices.values()], roll).slice(0, 3);
      const reason = !event.forward ? "backward" : ["matvec", "concat"].includes(event.node.o) ? event.node.o : "other";
      const why = () => h("p", {}, say(`why.shape_${reason}`, { shape: shapeText(right) }));
      return {
        veil: "value", title: worded("predict.shape", { name: named(event) }), right,
        choices: shuffled([right, ...wrong], roll).map((d) => ({ value: d, words: [shapeText(d)], right: d === right, why })),
      };
    };
    const sign = (event, roll) => {
      const k = entry(event, roll);
      const value = trace.result(event)[k];
      const right = value > 0 ? "positive" : value < 0 ? "negative" : "zero";
      return {
        veil: "value", title: worded("predict.sign", { name: named(event, k) }),
        choices: ["positive", "negative", "zero"].map((word) => ({ value: word, words: [say(`predict.${word}`)], right: word === right, why: () => arithmetic(event, k) })),
      };
    };
    const value = (event, roll) => {
      const k = entry(event, roll);
      const right = trace.result(event)[k];
      const tolerance = Number(Math.max(Math.abs(right) * 0.05, 1e-3).toPrecision(1));
      return {
        veil: "value", title: worded("predict.value", { name: named(event, k), tolerance: trace.short(tolerance) }),
        check: (text) => {
          const given = Number(text.trim().replace("−", "-").replace(",", "."));
          if (!text.trim() || Number.isNaN(given)) return { problem: say("predict.not_a_number") };
          const within = Math.abs(given - right) <= tolerance * (1 + 1e-9);
          const off = h("p", {}, say("predict.off", { difference: trace.short(Math.abs(given - right)), value: trace.number(right) }));
          return { right: within, why: [off, ...arithmetic(event, k)] };
        },
      };
    };
    const formula = (event, roll) => {
      const forms = shuffled(event.pattern.w, roll).map(([text, kind]) => ({ text, kind, sign: trace.sign(event) }));
      if (event.term > 1) forms.unshift({ text: event.pattern.r, kind: "before", sign: "=" });
      const right = { text: event.pattern.r, sign: trace.sign(event) };
      return {
        veil: "formula", title: worded("predict.formula", { name: named(event) }),
        choices: shuffled([right, ...forms.slice(0, 3)], roll).map((form) => ({
          value: form, words: view.rule(event, form.text, form.sign), right: form === right,
          why: () => [form.kind ? h("p", {}, say(`why.${form.kind}`)) : [], h("p", {}, say("why.rule"), " ", ...view.rule(event))].flat(),
        })),
      };
    };
    // A whole adjoint: each wrong formula came with what is wrong with it when the page was built.
    const adjointOf = (event) => (event.subject.t > 0 && event.subject.o ? trace.adjoints[event.subject.n] : undefined);
    const adjoint = (event, roll) => {
      const { bar, right, wrong } = adjointOf(event);
      const forms = [[right], ...shuffled(wrong, roll).slice(0, 3)];
      const whole = (text) => h("span", { class: "whole" }, typeset(`${bar} = ${text}`));
      return {
        veil: "formula", title: worded("predict.adjoint", { bar: typeset(bar) }),
        choices: shuffled(forms, roll).map(([text, why]) => ({
          value: text, words: [whole(text)], right: why === undefined,
          why: () => [why ? h("p", {}, typeset(why[lesson.language()] ?? Object.values(why)[0])) : [], h("p", {}, say("why.adjoint"), " ", whole(right))].flat(),
        })),
      };
    };
    const KINDS = { formula, adjoint, shape, sign, value };
    const kindsOf = (event) => {
      if (event.seed) return ["shape"];
      const result = trace.result(event);
      const finite = result.every(Number.isFinite);
      const short = !(event.term > 1) && event.pattern.n.every((text) => text.length < 90);
      const whole = !event.forward && adjointOf(event) ? ["adjoint"] : [];
      return [...(event.pattern.w.length ? ["formula"] : []), ...whole, "shape", ...(finite ? ["sign"] : []), ...(finite && short ? ["value"] : [])];
    };

    // --- one question on the page ----------------------------------------------------------------
    const ask = (event) => {
      const kinds = kindsOf(event);
      const kind = kinds[(event.index + asked) % kinds.length];
      const question = KINDS[kind](event, dice(event.index * 31 + asked));
      asked += 1;
      state.veil = question.veil;
      const answers = h("div", { class: "answers" });
      const verdict = h("div", { class: "verdict" });
      const name = `${root.id}-answer`;
      const finish = (right, why) => {
        state.veil = null;
        stepper.render();
        const words = say(right ? "predict.right" : "predict.wrong");
        const more = h("button", { type: "button", onclick: () => again(event) }, say("predict.again"));
        verdict.replaceChildren(h("p", { class: right ? "right" : "wrong" }, right ? "✓ " : "✗ ", h("strong", {}, words)), ...[why].flat(), more);
        buttons.hidden = true;
        lesson.announce(verdict.textContent);
        more.focus({ preventScroll: true });
      };
      const problem = (text) => {
        verdict.replaceChildren(h("p", { class: "wrong" }, text));
        lesson.announce(text);
      };
      const check = (e) => {
        e.preventDefault();
        if (question.check) {
          const found = question.check(answers.querySelector("input").value);
          if (found.problem) problem(found.problem);
          else finish(found.right, found.why);
          return;
        }
        const picked = answers.querySelector("input:checked");
        if (!picked) return problem(say("predict.choose"));
        const choice = question.choices[Number(picked.value)];
        for (const input of answers.querySelectorAll("input")) {
          const { right } = question.choices[Number(input.value)];
          input.parentElement.classList.toggle("is-right", right);
          input.parentElement.classList.toggle("is-wrong", input === picked && !right);
        }
        finish(choice.right, choice.why());
      };
      const give = () => {
        clear();
        stepper.render();
        lesson.announce(say("predict.shown"));
        at.now.focus({ preventScroll: true });
      };
      if (question.choices) {
        answers.append(...question.choices.map((choice, k) => h("label", {}, h("input", { type: "radio", name, value: k }), h("span", {}, ...choice.words))));
      } else {
        answers.append(h("label", {}, h("span", {}, say("predict.value_label")), h("input", { type: "text", inputmode: "text", autocomplete: "off" })));
      }
      const buttons = h("div", { class: "buttons" }, h("button", { type: "submit" }, say("predict.check")), h("button", { type: "button", onclick: give }, say("predict.show")));
      at.question.replaceChildren(h("form", { onsubmit: check, "data-kind": kind },
        h("fieldset", {}, h("legend", {}, ...question.title), answers), buttons, verdict));
    };
    const clear = () => {
      state.veil = null;
      at.question.replaceChildren();
    };
    const again = (event) => {
      ask(event);
      stepper.render();
      lesson.announce(at.question.querySelector("legend").textContent);
      at.question.querySelector("input").focus({ preventScroll: true });
    };
    const build = () => {
      at = {
        question: h("div", { class: "question" }),
        now: h("button", { type: "button", class: "now", "aria-keyshortcuts": "a", onclick: () => again(stepper.event()) }, say("predict.now")),
      };
      const toggle = h("label", {}, h("input", { type: "checkbox", checked: always, onchange: (e) => { always = e.target.checked; if (always) again(stepper.event()); else { clear(); stepper.render(); } } }), " ", say("predict.toggle"));
      stepper.questions().replaceChildren(h(root.dataset.heading, {}, say("predict.title")), h("p", { class: "caption" }, say("predict.intro")), h("div", { class: "buttons" }, at.now, toggle), at.question);
    };

    // A move to an event asks about it, or takes the last question away; null: the page is rebuilt.
    stepper.onMove((event) => {
      if (event === null) { state.veil = null; build(); }
      else if (always) ask(event);
      else clear();
      state.question = event && always ? at.question.querySelector("legend").textContent : null;
    });
    root.addEventListener("keydown", (e) => {
      if (e.key !== "a" || e.ctrlKey || e.metaKey || e.altKey || e.target.matches('input[type="text"]')) return;
      e.preventDefault();
      again(stepper.event());
    });
    build();
  };

  lesson.part('.stepper[data-part="stepper"]', setUp);
})();
