"use strict";
// The game: the reader says the next letter, then sees what the network had said and what came.
(() => {
  for (const part of document.querySelectorAll('[data-part="guessing"]')) {
    const rounds = JSON.parse(document.getElementById("guessing-data").textContent);
    const say = (key, facts) => lesson.text("guessing", key, facts);
    const [form, told] = [part.querySelector("form"), part.querySelector(".told")];
    const [before, input] = [form.querySelector("code"), form.querySelector("input")];
    const button = form.querySelector("button");
    if (!rounds.length) continue;
    let at = 0, yours = 0, theirs = 0, answered = null;

    const show = () => {
      before.textContent = rounds[at].before;
      input.setAttribute("aria-label", say("field"));
      button.textContent = say(!answered ? "check" : at + 1 < rounds.length ? "again" : "restart");
      input.readOnly = Boolean(answered);
      told.hidden = !answered;
      if (!answered) return;
      const { next, bits, guesses } = rounds[at];
      const best = guesses.map(([letter, share]) => `${letter === " " ? "␣" : letter} ${share}`).join(", ");
      told.textContent = [say(answered === next ? "right" : "wrong", { next, guess: answered }), say("network", { best, bits }),
        say("score", { yours, theirs, count: at + 1 })].join(lesson.text("language", "space") || "");
    };
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (answered) {
        at = (at + 1) % rounds.length;
        if (at === 0) yours = theirs = 0;
        answered = null;
        input.value = "";
        show();
        input.focus();
        return;
      }
      if (!input.value) return input.focus();
      const { next, guesses } = rounds[at];
      answered = input.value.toLowerCase() === next.toLowerCase() ? next : input.value === " " ? "␣" : input.value;
      yours += answered === next;
      theirs += guesses[0][0] === next;
      show();
    });
    part.querySelector(".still").hidden = true;
    form.hidden = false;
    lesson.onLanguage(show);
    show();
  }
})();
