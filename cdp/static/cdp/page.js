// What every page gains with JavaScript: a key for the search box, copy buttons, the open tab in sight.

document.documentElement.dataset.js = "";

const isTyping = (element) => element.closest("input, textarea, select, [contenteditable]") !== null;

// Single-key commands, which every page may switch off ([data-toggle-hotkeys]) for this browser (WCAG 2.1.4).
const hotkeys = { areOn: () => localStorage.getItem("hotkeys") !== "off" };

function showHotkeys() {
  document.documentElement.dataset.hotkeys = hotkeys.areOn() ? "on" : "off";
  for (const target of document.querySelectorAll("[data-hotkey]")) {
    if (hotkeys.areOn()) target.setAttribute("aria-keyshortcuts", target.dataset.hotkey);
    else target.removeAttribute("aria-keyshortcuts");
  }
  for (const button of document.querySelectorAll("[data-toggle-hotkeys]")) {
    button.setAttribute("aria-pressed", String(hotkeys.areOn()));
  }
}

document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-toggle-hotkeys]")) return;
  localStorage.setItem("hotkeys", hotkeys.areOn() ? "off" : "on");
  showHotkeys();
});
showHotkeys();

document.addEventListener("keydown", (event) => {
  if (!hotkeys.areOn()) return;
  if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
  const target = document.querySelector(`[data-hotkey="${CSS.escape(event.key)}"]`);
  if (!target) return;
  event.preventDefault();
  target.matches("input, textarea") ? target.focus() : target.click();
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.dataset.copy);
  const label = button.textContent;
  button.textContent = "copied";
  setTimeout(() => { button.textContent = label; }, 1500);
});

// Where the tabs do not fit, the one that is open is in sight.
function showTab() {
  for (const tab of document.querySelectorAll(".tabs > [aria-current]")) {
    const row = tab.parentElement;
    const last = row.querySelector(":scope > .last:not([aria-current])");
    const edge = row.getBoundingClientRect().right - (last && getComputedStyle(last).position === "sticky" ? last.offsetWidth : 0);
    row.scrollLeft += Math.max(0, tab.getBoundingClientRect().right - edge);
  }
}
document.addEventListener("htmx:afterSwap", showTab);
showTab();

// A form that says data-once is sent once, however often it is clicked.
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if (form.dataset.sent) event.preventDefault();
  form.dataset.sent = "1";
});
window.addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});
