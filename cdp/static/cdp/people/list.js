// Ticking people: all on the page at once, how many are ticked, and "all matching" in place of the ticks.

const rows = () => [...document.querySelectorAll('#people-form input[name="ids"]')];

function show() {
  const form = document.getElementById("people-form");
  if (!form) return;
  const ticks = rows();
  const count = ticks.filter((tick) => tick.checked).length;
  const everyone = form.querySelector("[data-everyone]");
  const all = form.querySelector("[data-tick-all]");
  const said = form.querySelector("[data-ticked]");
  const isEveryone = everyone?.checked ?? false;
  if (all) {
    all.checked = count > 0 && count === ticks.length;
    all.indeterminate = count > 0 && count < ticks.length;
  }
  if (said) said.textContent = isEveryone ? "With everybody in the list:" : count ? `With ${count} ticked:` : "Tick people to act on them";
  for (const tick of ticks) tick.disabled = isEveryone;
  for (const button of form.querySelectorAll(".bulk-bar button")) {
    const merges = button.formMethod === "get";
    button.disabled = merges ? isEveryone || count < 2 : !isEveryone && count === 0;
  }
  form.classList.toggle("ticking", isEveryone || count > 0);
}

let last = null;
document.addEventListener("click", (event) => {
  const tick = event.target.closest('#people-form input[name="ids"]');
  if (!tick) return;
  if (event.shiftKey && last) {
    const ticks = rows();
    const [from, to] = [ticks.indexOf(last), ticks.indexOf(tick)].sort((a, b) => a - b);
    for (const other of ticks.slice(Math.max(0, from), to + 1)) other.checked = tick.checked;
  }
  last = tick;
});

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-tick-all]")) for (const tick of rows()) tick.checked = event.target.checked;
  show();
});
document.addEventListener("htmx:afterSwap", show);
window.addEventListener("pageshow", show);
show();
