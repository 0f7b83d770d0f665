"use strict";
// Only in a page that `--watch` serves: reloads it when there is a newer one.
(() => {
  const version = document.currentScript.dataset.version;
  const notes = document.querySelectorAll(".watch-note");
  const show = (name) => {
    for (const note of notes) note.hidden = note.dataset.note !== name;
  };
  const ask = async () => {
    try {
      const news = await (await fetch("/version")).json();
      show(news.building ? "rebuilding" : "");
      if (!news.building && news.version !== version) location.reload();
    } catch {
      show("gone");
    }
  };
  setInterval(ask, 400);
})();
