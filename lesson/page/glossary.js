"use strict";
// The glossary shows the terms that have what is typed in their name, in any language, or meaning.
lesson.part('[data-part="terms"]', (part) => {
  const rows = [...part.querySelectorAll("tbody tr")];
  const label = part.querySelector(".filter");
  const plain = (text) => text.normalize("NFKC").toLowerCase().trim();
  const words = rows.map((row) => plain(row.textContent));
  label.querySelector("input").addEventListener("input", (event) => {
    const wanted = plain(event.target.value);
    rows.forEach((row, k) => {
      row.hidden = !words[k].includes(wanted);
    });
    part.querySelector(".nothing").hidden = rows.some((row) => !row.hidden);
  });
  label.hidden = false;
});
