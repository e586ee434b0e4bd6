// Ticking items: all on the page at once, how many are ticked, and "all matching" in place of the ticks.

const form = document.getElementById("items");
const ticks = () => [...form.querySelectorAll('input[name="ids"]')];

function show() {
  const count = ticks().filter((tick) => tick.checked).length;
  const all = form.querySelector("[data-tick-all]");
  const isEveryone = form.querySelector("[data-everyone]")?.checked ?? false;
  const said = form.querySelector("[data-ticked]");
  if (all) {
    all.checked = count > 0 && count === ticks().length;
    all.indeterminate = count > 0 && count < ticks().length;
  }
  if (said) said.textContent = isEveryone ? "With all of them:" : count ? `With ${count} ticked:` : "Tick items to act on them";
  for (const tick of ticks()) tick.disabled = isEveryone;
  form.classList.toggle("ticking", isEveryone || count > 0);
}

form?.addEventListener("change", (event) => {
  if (event.target.matches("[data-tick-all]")) for (const tick of ticks()) tick.checked = event.target.checked;
  show();
});
if (form) {
  window.addEventListener("pageshow", show);
  show();
}
