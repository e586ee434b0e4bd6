// What Swagger UI leaves out for keyboards and screen readers; settings.py names `accessible` as its plugin.

// --- Parts that it builds otherwise ----------------------------------------------------------------------------
window.accessible = ({ React }) => {
  const make = React.createElement;

  // The button that opens a call holds a link to it: a control within a control. The address still opens the call.
  const DeepLink = (Original) => (props) =>
    props.path.includes("/") ? make("span", { className: "nostyle" }, props.text) : make(Original, props);

  // Its main landmark begins with the calls.
  const InfoContainer = (Original) => (props) =>
    make("section", { "aria-label": "About this API" }, make(Original, props));

  // A level between the page's title and the topics.
  const operations = (Original) => (props) =>
    make(React.Fragment, null, make("h2", { className: "visually-hidden" }, "Calls by topic"), make(Original, props));

  // The focus goes into the dialog, stays there, and returns to where it came from.
  const authorizationPopup = (Original) => (props) => {
    const dialog = React.useRef(null);
    const before = React.useRef(document.activeElement);
    React.useEffect(() => {
      dialog.current.querySelector("input, button:not(.close-modal)")?.focus();
      return () => before.current.focus();
    }, []);
    return make("div", { ref: dialog, role: "dialog", "aria-modal": true, "aria-label": "Available authorizations", onKeyDown: (event) => keepFocus(event, dialog.current) }, make(Original, props));
  };

  return { wrapComponents: { DeepLink, InfoContainer, operations, authorizationPopup } };
};

function keepFocus(event, dialog) {
  if (event.key !== "Tab") return;
  const stops = [...dialog.querySelectorAll("a[href], button, input, select, textarea")].filter((stop) => !stop.disabled);
  const end = event.shiftKey ? stops[0] : stops[stops.length - 1];
  if (document.activeElement !== end) return;
  event.preventDefault();
  (event.shiftKey ? stops[stops.length - 1] : stops[0]).focus();
}

// --- Attributes that it leaves out -----------------------------------------------------------------------------
const NAMED = "[data-param-name], [data-property-name]";
const nameOf = (field) => Object.values(field.closest(NAMED).dataset)[0];
const topic = (button) => `Calls of ${button.closest(".opblock-tag").dataset.tag}`;
const MISSING = [
  [`:is(${NAMED}) :is(input, select, textarea)`, "aria-label", nameOf],
  ["select.examples-select-element", "aria-label", () => "Example"],
  ["textarea.body-param__text", "aria-label", () => "Request body"],
  ["button.close-modal", "aria-label", () => "Close"],
  [".opblock-tag .expand-operation", "aria-label", topic],
  [".modal-ux-header h3", "aria-level", () => "2"],
  [".modal-ux-content h4", "aria-level", () => "3"],
  // They scroll sideways.
  ["pre.microlight", "tabindex", () => "0"],
];

function mend() {
  for (const [selector, name, value] of MISSING) {
    for (const element of document.querySelectorAll(`${selector}:not([${name}])`)) element.setAttribute(name, value(element));
  }
  // A table that is said to be a region is no table to a screen reader.
  for (const table of document.querySelectorAll("table[role=region]")) table.removeAttribute("role");
}

let isDue = false;
new MutationObserver(() => {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => { isDue = false; mend(); });
}).observe(document.getElementById("swagger-ui"), { childList: true, subtree: true });

// --- The documentation's own dark colors, as the system asks for them ------------------------------------------
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const follow = () => document.documentElement.classList.toggle("dark-mode", dark.matches);
dark.addEventListener("change", follow);
follow();
