// The card: where a value comes from on hover, and the keyboard's way through editing a value in place.

const say = (text) => {
  const status = document.getElementById("card-status");
  // A moment later, so that screen readers have the page before they hear of it.
  if (status) setTimeout(() => { status.textContent = text; }, 250);
};

// --- Where a value comes from: a click, Enter or a tap does it by itself; here hovering does, too ------------
const canHover = window.matchMedia("(hover: hover)");
let hovered = null;

const popOf = (node) => {
  const button = node.closest?.(".origin");
  return button ? document.getElementById(button.getAttribute("popovertarget")) : node.closest?.(".origin-pop");
};

document.addEventListener("pointerover", (event) => {
  const pop = canHover.matches && event.pointerType === "mouse" ? popOf(event.target) : null;
  if (hovered && hovered !== pop) { hovered.hidePopover(); hovered = null; }
  if (!pop || pop.matches(":popover-open")) return;
  pop.showPopover({ source: event.target.closest(".origin") });
  hovered = pop;
});

// --- Reason and proof are asked for where a yes is recorded of somebody who said no ----------------------------
const consent = document.querySelector("form[data-consent]");
const regrant = consent?.querySelector("[data-regrant]");

function askForReason() {
  const chosen = `${consent.elements.channel.value}/${consent.elements.purpose.value}`;
  const no = [...regrant.querySelectorAll("[data-no]")].filter((line) => {
    line.hidden = line.dataset.no !== chosen;
    return !line.hidden;
  });
  const isAsked = no.length > 0 && consent.elements.state.value === "granted";
  regrant.hidden = !isAsked;
  for (const name of ["reason", "proof"]) {
    if (consent.elements[name]) consent.elements[name].required = isAsked;
  }
}

if (regrant) {
  consent.addEventListener("change", askForReason);
  askForReason();
}

// --- A link that leads to a field puts the cursor there -------------------------------------------------------
document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-focus]");
  if (!link) return;
  setTimeout(() => document.querySelector(link.hash)?.focus());
});

// --- Editing in place: the focus goes into the field, and back to where it came from --------------------------
const KEY = "cdp-edited";
const before = new WeakMap();

document.addEventListener("htmx:beforeSwap", (event) => {
  const cell = event.detail.target;
  if (cell.matches("dd")) before.set(cell, cell.innerHTML);
});

document.addEventListener("htmx:afterSettle", (event) => {
  const form = event.target.matches?.(".field-edit") ? event.target : event.target.querySelector?.(".field-edit");
  form?.querySelector("input:not([type=hidden]), select, textarea")?.focus();
});

function close(form) {
  const cell = form.closest("dd");
  if (!before.has(cell)) return false;
  cell.innerHTML = before.get(cell);
  window.htmx.process(cell);
  cell.querySelector("a.icon-btn")?.focus();
  return true;
}

document.addEventListener("click", (event) => {
  const cancel = event.target.closest(".field-edit a[data-cancel]");
  if (cancel && close(cancel.closest(".field-edit"))) event.preventDefault();
});

document.addEventListener("keydown", (event) => {
  const form = event.key === "Escape" && event.target.closest(".field-edit");
  if (form && close(form)) event.preventDefault();
});

// Saving loads the card again, for a new value may change its title and its timeline.
document.addEventListener("htmx:beforeOnLoad", (event) => {
  const form = event.target.closest?.(".field-edit");
  if (form && event.detail.xhr.status === 204) sessionStorage.setItem(KEY, form.dataset.edits);
});

const edited = sessionStorage.getItem(KEY);
sessionStorage.removeItem(KEY);
if (edited) {
  document.getElementById(edited)?.focus({ preventScroll: true });
  say(document.querySelector(".messagelist")?.textContent.trim() ?? "");
}
