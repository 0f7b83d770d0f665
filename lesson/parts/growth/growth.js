"use strict";
// How far back through the line a weight's gradient has been summed.
(() => {
  lesson.part('[data-part="growth"]', (part) => {
    const data = JSON.parse(document.getElementById("growth-data").textContent);
    const slider = part.querySelector("input");
    const output = part.querySelector("output");
    const rows = [...part.querySelector("table").rows];
    const count = data.shares.length;

    const show = () => {
      const at = count - Number(slider.value);
      for (const row of rows) {
        [...row.cells].slice(1).forEach((cell, k) => {
          cell.classList.toggle("later", k < at);
          cell.classList.toggle("there", k === at);
        });
      }
      output.textContent = lesson.text("growth", "step", {
        char: data.characters[at], at: at + 1, share: data.shares[at], sum: data.sums[at],
        entry: data.entry,
      });
    };
    const follow = () => {
      const at = count - Number(slider.value);
      const cell = rows[0].cells[at + 1];
      const scroll = part.querySelector(".scroll");
      scroll.scrollLeft = cell.offsetLeft - scroll.clientWidth / 2;
    };

    slider.addEventListener("input", () => {
      show();
      follow();
    });
    lesson.onLanguage(show);
    part.querySelector(".controls").hidden = false;
    show();
  });
})();
