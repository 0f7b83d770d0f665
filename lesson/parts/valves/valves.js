"use strict";
// Ten steps of C = f C + i c: the belt is as wide as what of the first step is left on it.
(() => {
  for (const part of document.querySelectorAll('[data-part="valves"]')) {
    const { candidates } = JSON.parse(document.getElementById("valves-data").textContent);
    const [forget, write] = part.querySelectorAll("input");
    const outputs = part.querySelectorAll("output");
    const steps = [...part.querySelectorAll(".step")];
    const left = part.querySelector(".left");
    const signed = (x, n = 2) => x.toFixed(n).replace(/^-(?=0\.?0*$)/, "").replace("-", "−");

    const show = () => {
      const [f, i] = [Number(forget.value), Number(write.value)];
      outputs[0].textContent = f.toFixed(2);
      outputs[1].textContent = i.toFixed(2);
      let state = 0;
      steps.forEach((step, k) => {
        state = f * state + (k ? i : 1) * candidates[k];
        step.style.setProperty("--kept", f ** k);
        step.style.setProperty("--written", k ? i : 1);
        const bar = step.querySelector(".bar");
        bar.style.setProperty("--size", `${Math.min(50, 25 * Math.abs(state))}%`);
        bar.classList.toggle("below", state < 0);
        step.querySelector("b").textContent = signed(state);
      });
      const share = 100 * f ** (steps.length - 1);
      left.textContent = lesson.text("valves", "left", { share: share >= 0.1 || share === 0 ? `${signed(share, share < 10 ? 1 : 0)} %` : "< 0.1 %" });
    };
    for (const input of [forget, write]) input.addEventListener("input", show);
    part.querySelector(".controls").hidden = false;
    lesson.onLanguage(show);
    show();
  }
})();
