// Calls as they come in: asks every two seconds while the page is looked at and not paused.

const EVERY = 2000;
const KEPT = 200;
const state = document.getElementById("live-state");
const pause = document.getElementById("live-pause");
const rows = document.getElementById("live-rows");
const browser = document.querySelector("#browser[data-url]");

const say = (name, text) => {
  if (!state || state.dataset.state === name) return;
  state.dataset.state = name;
  state.textContent = text;
};
const isPaused = () => pause?.getAttribute("aria-pressed") === "true";

pause?.addEventListener("click", () => {
  pause.setAttribute("aria-pressed", String(!isPaused()));
  pause.textContent = isPaused() ? "Resume" : "Pause";
  isPaused() ? say("paused", "paused") : say("on", "live");
});

async function addRows() {
  const answer = await fetch(`${rows.dataset.url}?after=${rows.dataset.newest}`);
  if (!answer.ok) throw new Error(String(answer.status));
  if (answer.status === 204) return;
  rows.dataset.newest = answer.headers.get("X-Newest");
  rows.insertAdjacentHTML("afterbegin", await answer.text());
  document.getElementById("live-empty").hidden = true;
  while (rows.rows.length > KEPT) rows.rows[rows.rows.length - 1].remove();
}

let shown = "";
async function redraw() {
  // Somebody reads what a call sent: leave it open under their eyes.
  if (browser.querySelector("details[open]") || browser.contains(document.activeElement)) return;
  const answer = await fetch(browser.dataset.url);
  if (!answer.ok) throw new Error(String(answer.status));
  const text = await answer.text();
  if (text === shown) return;
  shown = text;
  browser.innerHTML = text;
}

async function tick() {
  if (!document.hidden && !isPaused()) {
    try {
      await (rows ? addRows() : redraw());
      if (!isPaused()) say("on", "live");
    } catch {
      say("away", "not reached, trying again");
    }
  }
  setTimeout(tick, EVERY);
}
if (rows || browser) setTimeout(tick, EVERY);
