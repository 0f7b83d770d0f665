"use strict";
// Only in a page that `--watch` serves: reloads it when there is a newer one.
(() => {
  const version = document.currentScript.dataset.version;
  const notes = document.querySelectorAll(".watch-note");
  const show = (name) => {
    for (const note of notes) note.hidden = note.dataset.note !== name;
  };
  const changes = new EventSource("/changes");
  changes.addEventListener("building", () => show("rebuilding"));
  changes.addEventListener("page", (event) => {
    show("");
    if (event.data !== version) location.reload();
  });
  changes.addEventListener("error", () => show("gone"));
})();
