// The form of an event schema: rows come and go without asking the server.

const rows = document.querySelector("[data-rows]");
const blank = document.querySelector("template[data-blank]");
let next = rows.children.length;

function add() {
  const row = blank.content.firstElementChild.cloneNode(true);
  for (const part of row.querySelectorAll("[id], [name], [for]")) {
    for (const name of ["id", "name", "for"]) {
      const value = part.getAttribute(name);
      if (value) part.setAttribute(name, value.replace(/^pN-/, `p${next}-`));
    }
  }
  next += 1;
  rows.append(row);
  row.querySelector("input").focus();
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-add]")) {
    event.preventDefault();
    add();
  }
  const remove = event.target.closest("[data-remove]");
  if (remove) {
    const row = remove.closest("li");
    const after = row.nextElementSibling || row.previousElementSibling;
    row.remove();
    (after?.querySelector("input") || document.querySelector("[data-add]")).focus();
  }
});
