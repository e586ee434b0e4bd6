// The people list: ticking, one menu for all rows, and a search that says how many it found.

const rows = () => [...document.querySelectorAll('#people-form input[name="ids"]')];

function show() {
  const form = document.getElementById("people-form");
  if (!form) return;
  const ticks = rows();
  const count = ticks.filter((tick) => tick.checked).length;
  const everyone = form.querySelector("[data-everyone]");
  const all = form.querySelector("[data-tick-all]");
  const label = form.querySelector("[data-ticked]");
  const isEveryone = everyone?.checked ?? false;
  if (all) {
    all.checked = count > 0 && count === ticks.length;
    all.indeterminate = count > 0 && count < ticks.length;
  }
  if (label) label.textContent = isEveryone ? "Everybody in the list" : count ? `${count} ticked` : "Tick people to act on them";
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

// --- The menu of a row ----------------------------------------------------------------------------------------
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-person]");
  if (!button) return;
  for (const item of document.querySelectorAll("#row-menu [data-of-person]")) {
    const address = item.dataset.ofPerson.replace(/(\/|=)0(?=\/|$)/, `$1${button.dataset.person}`);
    if (item.matches("form")) item.action = address;
    else item.href = address;
  }
}, { capture: true });

// --- Searching ------------------------------------------------------------------------------------------------
const heading = () => document.getElementById("count");

document.addEventListener("htmx:afterSwap", () => {
  show();
  const status = document.getElementById("list-status");
  if (status) status.textContent = heading()?.textContent.trim() ?? "";
});

// Enter leads to what was found.
if (location.hash === "#count") heading()?.focus();

window.addEventListener("pageshow", show);
show();
