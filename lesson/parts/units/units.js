"use strict";
// What units remember: one is followed through the page; they read the first screen's line, too.
(() => {
  for (const part of document.querySelectorAll('[data-part="units"]')) {
    const own = JSON.parse(document.getElementById("reading-data").textContent);
    const network = lesson.networks.all[own.cell];
    const cards = [...part.querySelectorAll(".unit")];
    if (!network || !cards.length) continue;
    const area = document.getElementById("reading-text");
    const toggle = part.querySelector(".controls button");
    const before = cards.map((card) => [...card.querySelector(".tape").children]);
    const held = new Map(own.networks[own.cell].held.map((each) => [each.unit, each]));
    const state = own.networks[own.cell].state;
    const shown = (letter) => ({ "\n": "↵", " ": "␣", "\t": "⇥" })[letter] ?? letter;

    const colour = (card) => {
      const unit = Number(card.dataset.unit);
      const whole = network.read(area.value);
      const without = network.read(area.value, [unit]);
      const letters = [...area.value].map((letter, k) => {
        const place = document.createElement("span");
        place.textContent = shown(letter);
        if (!whole[k]) {
          place.className = "unknown";
          return place;
        }
        const value = whole[k].values[state][unit];
        place.style.setProperty("--v", `${Math.min(100, (100 * Math.abs(value)) / held.get(unit).scale)}%`);
        place.classList.toggle("below", value < 0);
        const more = whole[k].bits === null ? 0 : without[k].bits - whole[k].bits;
        place.classList.toggle("dearer", more > 0.05);
        place.classList.toggle("cheaper", more < -0.05);
        place.style.setProperty("--more", Math.min(26, 5 * Math.abs(more)).toFixed(0));
        return place;
      });
      card.querySelector(".tape").replaceChildren(...letters);
    };
    const follow = cards.map((card) => {
      const button = document.createElement("button");
      button.type = "button";
      button.addEventListener("click", () => {
        lesson.choice.set({ unit: Number(card.dataset.unit) }, "units");
        lesson.announce(lesson.text("units", "page.followed", { unit: Number(card.dataset.unit) + 1 }));
      });
      card.querySelector("figcaption").append(" ", button);
      return button;
    });
    const mark = () => {
      const { unit } = lesson.choice.get();
      cards.forEach((card, k) => {
        const here = Number(card.dataset.unit) === unit;
        card.classList.toggle("followed", here);
        follow[k].setAttribute("aria-pressed", here);
      });
    };
    const speak = () => {
      for (const button of follow) button.textContent = lesson.text("units", "page.follow");
      toggle.textContent = lesson.text("units", "page.own");
    };
    toggle.addEventListener("click", () => {
      const live = toggle.getAttribute("aria-pressed") !== "true";
      toggle.setAttribute("aria-pressed", live);
      part.style.minHeight = live ? `${part.offsetHeight}px` : ""; // what is below stays there
      cards.forEach((card, k) => {
        if (live) colour(card);
        else card.querySelector(".tape").replaceChildren(...before[k]);
      });
    });
    lesson.choice.on(mark);
    lesson.onLanguage(speak);
    part.querySelector(".controls").hidden = false;
    speak();
    mark();
  }
})();
