"use strict";
// A question is answered by choosing; then the right answer is marked and why it is right is told.
(() => {
  for (const part of document.querySelectorAll('[data-part="question"]')) {
    const details = part.querySelector("details");
    const [yes, no] = part.querySelectorAll(".verdict");
    const radios = [...part.querySelectorAll("input")];
    const show = () => {
      const chosen = radios.find((radio) => radio.checked);
      if (!chosen) return;
      const right = chosen.value === "0";
      for (const radio of radios) {
        radio.parentElement.classList.toggle("right", radio.value === "0");
        radio.parentElement.classList.toggle("wrong", radio === chosen && !right);
      }
      [yes.hidden, no.hidden] = [!right, right];
      details.open = true;
      lesson.announce(details.querySelector("p").innerText);
    };
    for (const radio of radios) radio.addEventListener("change", show);
  }
})();
