// The builder of a rule: says that it counts, and hides the rule where people are chosen by hand.

const form = document.getElementById("builder");
const counting = document.getElementById("counting");

function isPreview(event) {
  return event.detail.target?.id === "preview";
}

document.addEventListener("htmx:beforeRequest", (event) => {
  if (counting && isPreview(event)) counting.hidden = false;
});
document.addEventListener("htmx:afterRequest", (event) => {
  if (counting && isPreview(event)) counting.hidden = true;
});

// Whoever types while the inputs are fetched anew keeps what they typed: that answer is left out, and asked for again.
let edits = 0;
const asked = new WeakMap();

form?.addEventListener("input", () => { edits += 1; });
document.addEventListener("htmx:beforeRequest", (event) => asked.set(event.detail.xhr, edits));
document.addEventListener("htmx:beforeSwap", (event) => {
  const { target, xhr, requestConfig } = event.detail;
  if (target.id !== "tree" || requestConfig.triggeringEvent?.type !== "change" || asked.get(xhr) === edits) return;
  event.detail.shouldSwap = false;
  requestConfig.elt.dispatchEvent(new Event("change", { bubbles: true }));
});

// What could not be counted or fetched says so; the figures that stand there are of before.
document.addEventListener("htmx:responseError", (event) => {
  if (isPreview(event)) document.getElementById("preview").textContent = "This could not be counted. Change something, or load the page again.";
});

function showKind() {
  const byHand = form?.querySelector("input[name=kind][value=static]")?.checked ?? false;
  for (const part of document.querySelectorAll(".rule-panel")) part.hidden = byHand;
}
form?.addEventListener("change", showKind);
showKind();
