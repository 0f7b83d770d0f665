"use strict";
// One character and one unit of the line are chosen; picture, stages and strips follow them.
(() => {
  lesson.part('[data-part="stages"]', (part) => {
    const followed = JSON.parse(document.getElementById("followed-data").textContent);
    const lit = JSON.parse(document.getElementById("lit-data").textContent);
    const radios = [...part.querySelectorAll("input")];
    const strips = [...document.querySelectorAll("main .strip:not(.growth .strip) table")];
    const picture = document.querySelector("#figure-step svg");
    const drawn = [...picture.querySelectorAll("g.node, g.edge")];
    const texts = [...picture.querySelectorAll("text[data-value]")];
    const sections = [...document.querySelectorAll(".stage[data-stage]")];
    const captions = strips.map((table) => [...table.closest("figure").querySelectorAll("figcaption .say")]);
    let chosen = followed.letter;
    let unit = followed.unit;
    let about = lesson.telling.about(followed, unit);

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
      const numbers = about.numbers(chosen);
      for (const text of texts) {
        const shown = numbers[text.dataset.value];
        text.textContent = shown.includes("·") ? "≈ 0" : shown;
      }
    };
    const say = () => {
      for (const place of document.querySelectorAll("p.there[data-stage]")) {
        const stage = followed.stages.find(([key]) => key === place.dataset.stage);
        const [ahead, back, facts] = about.told(stage, chosen);
        place.textContent = lesson.text("stages", place.dataset.pass === "forward" ? ahead : back, facts);
        place.hidden = false;
      }
    };
    // The bars of a strip: values on a scale of at least 1, gradients relative to their row's largest.
    const tight = (value) => {
      const text = value.toFixed(2);
      return Number(text) === 0 ? "0" : text.replace("0.", ".").replace("-", "−");
    };
    const fill = (table) => {
      for (const row of table.tBodies[0].rows) {
        const slopes = row.classList.contains("gradient");
        const found = lesson.line.row(row.dataset.name, slopes ? "gradient" : "value", unit);
        const values = found.map((each) => (each ? lesson.decimals.valueOf(each) : 0));
        const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
        const scale = slopes ? largest : Math.max(1, largest);
        values.forEach((value, k) => {
          const cell = row.cells[k + 1];
          const text = tight(slopes ? value / largest : value);
          cell.style.setProperty("--v", `${Math.round((100 * Math.abs(value)) / scale)}%`);
          cell.classList.toggle("below", value < 0);
          cell.title = text;
          cell.firstElementChild.textContent = text;
        });
      }
    };
    const follow = (wanted) => {
      const found = lesson.telling.about(followed, wanted);
      if (!found) return;
      [unit, about] = [wanted, found];
      strips.forEach((table, k) => {
        fill(table);
        const kind = table.tBodies[0].rows[0].className;
        const { shape } = lesson.line;
        const facts = { unit: unit + 1, units: shape(table.tBodies[0].rows[0].dataset.name) };
        for (const words of captions[k]) words.textContent = lesson.text("stages", `caption.${kind}`, facts, words.lang);
      });
    };
    const choose = (k) => {
      chosen = k;
      radios[k].checked = true;
      const row = radios[k].parentElement;
      row.scrollLeft = radios[k].nextElementSibling.offsetLeft - row.clientWidth / 2;
      mark();
      if (followed.lstm) write();
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
      if (!sections[0].offsetParent) return; // the picture stands alone
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
    lesson.choice.on(({ letter, unit: wanted }, changed, from) => {
      if (from === "stages") return;
      if (changed.includes("unit") && wanted !== unit) follow(wanted);
      choose(radios[letter] ? letter : chosen);
    });
    lesson.onLanguage(say);
    part.hidden = false;
    choose(chosen);
    reading();
  });
})();
