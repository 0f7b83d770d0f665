"use strict";
// One character of the line is chosen; the picture, every stage and every strip follow.
(() => {
  lesson.part('[data-part="stages"]', (part) => {
    const { told, numbers, first } = JSON.parse(document.getElementById("stages-data").textContent);
    const lit = JSON.parse(document.getElementById("lit-data").textContent);
    const radios = [...part.querySelectorAll("input")];
    const strips = [...document.querySelectorAll("main .strip:not(.growth .strip) table")];
    const picture = document.querySelector("#figure-step svg");
    const drawn = [...picture.querySelectorAll("g.node, g.edge")];
    const texts = [...picture.querySelectorAll("text[data-value]")];
    const sections = [...document.querySelectorAll(".stage[data-stage]")];
    let chosen = first;

    // Whole columns: no number is cut by the row's name.
    const scroll = (table) => {
      const box = table.parentElement;
      const cells = [...table.rows[0].cells];
      const name = cells[0].offsetWidth;
      const wanted = cells[chosen + 1].offsetLeft - box.clientWidth / 2;
      const column = cells.slice(1).find((cell) => cell.offsetLeft - name >= wanted) || cells[1];
      box.scrollLeft = wanted > 0 ? column.offsetLeft - name - 2 : 0;
    };
    const mark = () => {
      for (const table of strips) {
        for (const cell of table.querySelectorAll(".there")) cell.classList.remove("there");
        for (const row of table.rows) row.cells[chosen + 1].classList.add("there");
        scroll(table);
      }
    };
    const write = () => {
      for (const text of texts) {
        const shown = numbers[chosen][text.dataset.value];
        text.textContent = shown.includes("·") ? "≈ 0" : shown;
      }
    };
    const say = () => {
      for (const place of document.querySelectorAll("p.there[data-stage]")) {
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
      if (numbers) write();
      say();
    };
    // The stage that is being read is bright in the picture.
    const light = (key) => {
      const bright = new Set(lit[key].map((id) => `step-${id}`));
      for (const element of drawn) element.classList.toggle("dim", !bright.has(element.id));
      for (const text of texts) {
        const owner = { before: "prev.C", kept: "C", written: "C", tanh: "o" }[text.dataset.value] || text.dataset.value;
        const near = { f: ["f", "C"], i: ["i", "C"], C_tilde: ["i", "C"], o: ["o"], h: ["o"], C: ["C", "o"], "prev.C": ["f", "C"] }[owner];
        text.classList.toggle("dim", !near.includes(key));
      }
      for (const section of sections) section.classList.toggle("current", section.dataset.stage === key);
    };
    const reading = () => {
      const line = innerHeight * (innerWidth > 1000 ? 0.4 : 0.7);
      const past = sections.filter((section) => section.getBoundingClientRect().top < line);
      light((past.at(-1) || sections[0]).dataset.stage);
    };

    for (const radio of radios) {
      radio.addEventListener("change", () => {
        choose(Number(radio.value));
        lesson.choice.set({ letter: chosen }, "stages");
        const nearest = document.querySelector("p.there[data-stage]");
        lesson.announce(nearest.textContent);
      });
    }
    for (const table of strips) {
      table.addEventListener("click", (event) => {
        const cell = event.target.closest("td, th");
        if (!cell || cell.cellIndex === 0) return;
        choose(cell.cellIndex - 1);
        lesson.choice.set({ letter: chosen }, "stages");
      });
    }
    for (const section of sections) section.addEventListener("focusin", () => light(section.dataset.stage));
    new IntersectionObserver(reading, { threshold: [0, 0.25, 0.5, 0.75, 1] }).observe(sections[0]);
    addEventListener("scroll", reading, { passive: true });
    lesson.choice.on(({ letter }, changed, from) => {
      if (from !== "stages" && changed.includes("letter") && radios[letter]) choose(letter);
    });
    lesson.onLanguage(say);
    part.hidden = false;
    choose(first);
    reading();
  });
})();
