"use strict";
// How many copies of the network are shown: a window on one figure, moved by a slider.
(() => {
  for (const part of document.querySelectorAll('[data-part="unrolling"]')) {
    const ends = part.dataset.ends.split(" ").map(Number);
    const svg = part.querySelector("svg");
    const slider = part.querySelector("input");
    const output = part.querySelector("output");

    const show = () => {
      const steps = Number(slider.value);
      const [left, top, , height] = svg.getAttribute("viewBox").split(" ").map(Number);
      const width = ends[steps - 1];
      svg.setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
      svg.style.width = `min(100%, ${(11 * width) / height}rem)`; // as high for every number
      output.textContent = lesson.text("unrolling", "depth", { steps });
    };

    slider.addEventListener("input", show);
    lesson.onLanguage(show);
    part.querySelector(".controls").hidden = false;
    show();
  }
})();
