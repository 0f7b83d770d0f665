"use strict";
// Each page is one sheet of paper: the letters are as large as the longest one allows.
// Without this script they are small enough for most cells.
const LARGEST = "11.5pt", SMALLEST = 7.5;  // the second in pixels
(() => {
  const pages = [...document.querySelectorAll(".page")];
  const size = () => parseFloat(getComputedStyle(document.body).fontSize);
  const narrow = matchMedia("(max-width: 210mm)");
  const fit = () => {
    document.body.style.setProperty("--size", LARGEST);
    document.body.classList.toggle("fitted", !narrow.matches);
    if (narrow.matches) return;
    while (size() > SMALLEST) {
      if (pages.every((page) => page.scrollHeight <= page.clientHeight && page.scrollWidth <= page.clientWidth)) return;
      document.body.style.setProperty("--size", `${size() * 0.97}px`);
    }
    document.body.style.removeProperty("--size");
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
