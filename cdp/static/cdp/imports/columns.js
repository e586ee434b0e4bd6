// The columns page: the fields of a new attribute show where one is wanted, a suggestion is one click.

function show(select) {
  const fields = document.querySelector(`[data-new="${select.dataset.target}"]`);
  fields?.classList.toggle("open", select.value === "new");
}

for (const select of document.querySelectorAll("[data-target]")) show(select);

document.addEventListener("change", (event) => {
  if (event.target.matches("[data-target]")) show(event.target);
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-suggest]");
  if (!button) return;
  const select = document.querySelector(`[data-target="${button.dataset.for}"]`);
  select.value = button.dataset.suggest;
  show(select);
  button.closest("tr").classList.remove("diff");
  button.parentElement.remove();
});
