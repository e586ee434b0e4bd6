// The columns page: fields of a new attribute appear where one is wanted, a suggestion is one click, rows can be paged,
// and a link into a folded part opens it.

function showNewAttribute(select) {
  const fields = document.querySelector(`[data-new="${select.dataset.target}"]`);
  fields?.classList.toggle("open", select.value === "new");
}

for (const select of document.querySelectorAll("[data-target]")) showNewAttribute(select);

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-target]")) showNewAttribute(event.target);
});

const targetOf = (button) => document.querySelector(`[data-target="${button.dataset.for}"]`);

for (const button of document.querySelectorAll("[data-suggest]")) {
  const option = targetOf(button).querySelector(`option[value="${CSS.escape(button.dataset.suggest)}"]`);
  button.textContent = button.dataset.suggest === "ignore" ? "Leave it out" : `Use as: ${option?.textContent}`;
  button.hidden = !option;
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-suggest]");
  if (!button) return;
  const select = targetOf(button);
  select.value = button.dataset.suggest;
  showNewAttribute(select);
  button.closest(".ask").remove();
  select.focus();
});

const rows = [...document.querySelectorAll("[data-row]")];
const pager = document.querySelector(".row-pager");
if (pager) pager.hidden = rows.length < 2;
pager?.addEventListener("click", (event) => {
  const button = event.target.closest("[data-step]");
  if (!button) return;
  const from = rows.findIndex((row) => !row.hidden);
  const to = (from + Number(button.dataset.step) + rows.length) % rows.length;
  rows[from].hidden = true;
  rows[to].hidden = false;
  pager.querySelector("[data-row-number]").textContent = rows[to].dataset.row;
});

function openTarget() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (!target) return;
  for (let part = target; part; part = part.parentElement) if (part.matches("details")) part.open = true;
  target.scrollIntoView({ block: "nearest" });
  if (target.matches("select, input")) target.focus();
}
openTarget();
window.addEventListener("hashchange", openTarget);
