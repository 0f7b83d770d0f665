"use strict";
// Point at a letter: the letters before it are coloured by how much the guess after it hangs on them.
(() => {
  const shown = (letter) => ({ "\n": "↵", " ": "␣", "\t": "⇥" })[letter] ?? letter;
  for (const part of document.querySelectorAll('[data-part="reach"]')) {
    const { text, at: first } = JSON.parse(document.getElementById("reach-data").textContent);
    const rows = [...part.querySelectorAll("figure")].map((figure) => ({
      network: lesson.networks.all[figure.dataset.cell],
      title: figure.querySelector("b").textContent,
      tape: figure.querySelector(".tape"),
      guess: figure.querySelector(".guess"),
    }));
    if (!rows.every((row) => row.network)) continue;
    const letters = [...text];
    const said = part.querySelector(".said");
    const known = new Map();
    let at = first;

    const found = (at) => {
      if (!known.has(at)) known.set(at, rows.map((row) => row.network.reach(text, at)));
      return known.get(at);
    };
    // The share of the whole that lies more than ten letters back.
    const far = (sizes) => {
      const sum = (from, to) => sizes.slice(Math.max(0, from), to).reduce((a, b) => a + b, 0);
      return Math.round((100 * sum(0, at - 9)) / (sum(0, at + 1) || 1));
    };
    const show = () => {
      const reaches = found(at);
      rows.forEach(({ tape, guess }, k) => {
        const { sizes, guess: letter } = reaches[k];
        const most = sizes.reduce((a, b) => Math.max(a, b), 0) || 1;
        [...tape.children].forEach((place, t) => {
          place.style.setProperty("--v", t > at ? "0%" : `${Math.round((100 * sizes[t]) / most)}%`);
          place.classList.toggle("here", t === at);
          place.classList.toggle("after", t > at);
          place.tabIndex = t === at ? 0 : -1;
        });
        guess.textContent = lesson.text("reach", "page.guess", { guess: shown(letter) });
      });
      said.textContent = lesson.text("reach", "page.said", {
        at: at + 1, letter: shown(letters[at]),
        shares: rows.map(({ title }, k) => `${title} ${far(reaches[k].sizes)}\u202f%`).join(", "),
      });
    };
    const choose = (k) => {
      if (k < 0 || k >= letters.length || k === at) return;
      at = k;
      show();
    };
    const before = lesson.line.offset(text);
    const press = (event) => {
      const letter = [...event.currentTarget.children].indexOf(event.target.closest("button")) - before;
      if (before >= 0 && letter >= 0 && letter < lesson.line.letters.length) lesson.choice.set({ letter }, "reach");
    };
    lesson.choice.on(({ letter }, changed, from) => {
      if (from !== "reach" && changed.includes("letter") && before >= 0 && (from || letter !== lesson.line.first.letter)) choose(before + letter);
    });
    for (const { tape } of rows) {
      tape.addEventListener("click", press);
      tape.replaceChildren(
        ...letters.map((letter) => {
          const place = document.createElement("button");
          place.type = "button";
          place.textContent = shown(letter);
          return place;
        })
      );
      const under = (event) => choose([...tape.children].indexOf(event.target.closest("button")));
      for (const kind of ["pointerover", "focusin", "click"]) tape.addEventListener(kind, under);
      tape.addEventListener("keydown", (event) => {
        const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!step) return;
        event.preventDefault();
        tape.children[at + step]?.focus();
      });
    }
    lesson.onLanguage(show);
    // The first look waits until the part comes near, so that the page opens at once.
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      show();
    }, { rootMargin: "200px" }).observe(part);
  }
})();
