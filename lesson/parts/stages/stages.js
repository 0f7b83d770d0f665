"use strict";
// One character of the line is chosen; every stage says what happened there.
(() => {
  for (const part of document.querySelectorAll('[data-part="stages"]')) {
    const { told, first } = JSON.parse(document.getElementById("stages-data").textContent);
    const radios = [...part.querySelectorAll("input")];
    const strips = [...document.querySelectorAll(".stage .strip table")];
    let chosen = first;

    const mark = () => {
      for (const table of strips) {
        for (const cell of table.querySelectorAll(".there")) cell.classList.remove("there");
        for (const row of table.rows) row.cells[chosen + 1].classList.add("there");
        const scroll = table.parentElement;
        const cell = table.rows[0].cells[chosen + 1];
        scroll.scrollLeft = cell.offsetLeft - scroll.clientWidth / 2;
      }
    };
    const say = () => {
      for (const place of document.querySelectorAll(".stage .there[data-stage]")) {
        const sentences = told[place.dataset.stage][chosen];
        const [key, facts] = sentences[place.dataset.pass === "forward" ? 0 : 1];
        place.textContent = lesson.text("stages", key, facts);
        place.hidden = false;
      }
    };
    const choose = (k) => {
      chosen = k;
      radios[k].checked = true;
      const row = radios[k].parentElement;
      row.scrollLeft = radios[k].nextElementSibling.offsetLeft - row.clientWidth / 2;
      mark();
      say();
    };

    for (const radio of radios) {
      radio.addEventListener("change", () => {
        choose(Number(radio.value));
        const nearest = document.querySelector(".stage .there[data-stage]");
        lesson.announce(nearest.textContent);
      });
    }
    for (const table of strips) {
      table.addEventListener("click", (event) => {
        const cell = event.target.closest("td, th");
        if (cell && cell.cellIndex > 0) choose(cell.cellIndex - 1);
      });
    }
    lesson.onLanguage(say);
    part.hidden = false;
    choose(first);
  }
})();
