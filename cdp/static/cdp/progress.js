// Progress of a job for screen readers: a quarter at a time, and its end. After the page was loaded anew for the end,
// the focus is on the heading of the result.

const KEY = "cdp-job-ended";
const status = document.createElement("p");
status.className = "visually-hidden";
status.setAttribute("role", "status");
const reached = () => Math.floor((document.querySelector(".job-progress progress[value]")?.value ?? 0) / 25);
let quarter = reached();

document.addEventListener("htmx:beforeOnLoad", (event) => {
  const xhr = event.detail.xhr;
  if (xhr?.getResponseHeader("HX-Refresh") === "true") sessionStorage.setItem(KEY, location.pathname);
});

document.addEventListener("htmx:afterSwap", () => {
  const now = reached();
  if (now > quarter && now < 4) status.textContent = `${now * 25} % done`;
  quarter = Math.max(quarter, now);
});

document.body.append(status);
if (sessionStorage.getItem(KEY) === location.pathname && !document.querySelector("[hx-get].job-progress")) {
  sessionStorage.removeItem(KEY);
  const heading = document.querySelector("#result") ?? document.querySelector("main h1");
  if (heading) {
    heading.tabIndex = -1;
    heading.focus();
  }
  setTimeout(() => { status.textContent = "Done"; }, 300);
}
