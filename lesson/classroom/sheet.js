"use strict";
// Each page is one sheet of paper: the letters are made smaller until the longest one fits.
const SMALLEST = 7.5;  // pixels
(() => {
  const pages = [...document.querySelectorAll(".page")];
  const size = () => parseFloat(getComputedStyle(document.body).fontSize);
  const narrow = matchMedia("(max-width: 210mm)");
  const fit = () => {
    document.body.style.removeProperty("--size");
    document.body.classList.toggle("fitted", !narrow.matches);
    if (narrow.matches) return;
    while (size() > SMALLEST) {
      if (pages.every((page) => page.scrollHeight <= page.clientHeight && page.scrollWidth <= page.clientWidth)) return;
      document.body.style.setProperty("--size", `${size() * 0.97}px`);
    }
    document.body.classList.remove("fitted");  // rather a third page than something cut off
  };
  const choose = () => {
    const chosen = document.querySelector(".languages input:checked");
    if (chosen) document.documentElement.lang = chosen.value;
    fit();
  };
  for (const input of document.querySelectorAll(".languages input")) input.addEventListener("change", choose);
  narrow.addEventListener("change", fit);
  document.fonts.ready.then(choose);
})();
