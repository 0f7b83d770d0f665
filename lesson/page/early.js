// Before anything is shown: the colours that the reader chose, and whether one part stands alone.
document.documentElement.dataset.script = "yes";
// No style has to ask the switch which language it is.
document.documentElement.dataset.language = document.documentElement.lang;
try {
  const theme = localStorage.getItem("tinygrad-lstm theme");
  if (["light", "dark"].includes(theme)) document.documentElement.dataset.theme = theme;
} catch {
  // nothing is kept
}
if (/[#?&]embed=/.test(location.hash)) document.documentElement.classList.add("alone");
