/*
 * The debug overlay of cdp.js: what this page sent, what the server said, and what looks wrong.
 *
 * Loaded by cdp.debug() or #cdp-debug, never by itself. Lives in a shadow root of its own with a constructed style
 * sheet, so that neither the page's styles nor its Content-Security-Policy get in the way. Stores nothing.
 */
(() => {
  "use strict";
  const cdp = window.cdp;
  if (!cdp || !cdp.version || document.querySelector("cdp-debug")) return;

  const STYLE = `
    :host { position: fixed; inset: auto 12px 12px auto; z-index: 2147483647; width: min(420px, calc(100vw - 24px));
      color-scheme: light dark; font: 13px/1.45 system-ui, sans-serif; }
    section { background: Canvas; color: CanvasText; border: 1px solid GrayText; border-radius: 8px;
      box-shadow: 0 8px 30px rgb(0 0 0 / .25); overflow: hidden; }
    header, .id { display: flex; gap: 8px; align-items: center; padding: 8px 12px; }
    header { border-bottom: 1px solid color-mix(in srgb, GrayText 40%, Canvas); }
    h2 { font-size: 13px; margin: 0; flex: 1; }
    button { font: inherit; color: inherit; background: none; border: 1px solid GrayText; border-radius: 5px; padding: 2px 8px;
      cursor: pointer; }
    code { font: 12px ui-monospace, monospace; overflow-wrap: anywhere; flex: 1; }
    ol { list-style: none; margin: 0; padding: 0; max-height: 45vh; overflow: auto; }
    li { padding: 6px 12px; border-top: 1px solid color-mix(in srgb, GrayText 25%, Canvas); }
    li > div { display: flex; gap: 8px; align-items: baseline; }
    b { overflow-wrap: anywhere; flex: 1; }
    .state { font-size: 12px; white-space: nowrap; }
    .ok { color: light-dark(#166e41, #5fd39a); } .bad { color: light-dark(#b42318, #ff948a); }
    .warn { color: light-dark(#8a5100, #f0b35a); }
    p { margin: 2px 0 0; } .empty { padding: 12px; }
    pre { font: 11px/1.4 ui-monospace, monospace; margin: 4px 0 0; white-space: pre-wrap; overflow-wrap: anywhere; }
    summary { cursor: pointer; font-size: 12px; }`;
  const CART_EVENTS = /^(added to cart|product added|product removed|checkout started|order completed|cart viewed)$/i;
  const EMAIL = /[^\s@]+@[^\s@]+\.[^\s@]+/;

  const host = document.createElement("cdp-debug");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];

  const make = (tag, text, className) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (className) element.className = className;
    return element;
  };
  const button = (text, act) => {
    const element = make("button", text);
    element.type = "button";
    element.addEventListener("click", act);
    return element;
  };

  const panel = make("section");
  panel.setAttribute("aria-label", "What this page sends");
  const title = make("h2");
  const header = make("header");
  const id = make("code");
  const who = make("div", "", "id");
  const list = make("ol");
  list.tabIndex = 0;
  header.append(title, button("Send now", () => cdp.flush()), button("Close", () => host.remove()));
  who.append(id, button("Copy id", () => navigator.clipboard && navigator.clipboard.writeText(id.textContent)));
  const empty = make("p", "Nothing was sent yet. Use the page, and its calls are listed here.", "empty");
  panel.append(header, who, empty, list);
  root.append(panel);

  /** What a person who builds this page would want to be told about a call. */
  const doubts = (item) => {
    const found = [];
    const traits = item.traits || {};
    const properties = item.properties || {};
    const names = Object.keys({ ...traits, ...properties });
    const texts = (values) => Object.values(values).filter((value) => typeof value === "string");
    if (item.type === "update" && texts(traits).some((text) => EMAIL.test(text)))
      found.push("An e-mail in update() identifies nobody. Use identify() where the visitor gave it.");
    if (item.type === "identify" && !item.userId && !Object.keys(traits).some((name) => /^e[-_ ]?mail$/i.test(name)))
      found.push("This identify() has neither a user id nor an e-mail: it identifies nobody.");
    if (item.type === "track" && CART_EVENTS.test(item.event) && properties.cart_id === undefined)
      found.push("A cart event without cart_id: a repeated one cannot be recognized.");
    if (names.includes("product_sku")) found.push("“product_sku” is called “sku” in the shipped events.");
    if (item.type === "track" && item.event !== "form.submit" && texts(properties).some((text) => EMAIL.test(text)))
      found.push("An e-mail among an event's properties identifies nobody.");
    return found;
  };

  const rows = new Map(); // messageId → the element that says its state
  const state = (element, text, className) => {
    element.textContent = text;
    element.className = `state ${className}`;
  };
  const line = (name, text, className, details) => {
    const row = make("li");
    const top = make("div");
    const label = make("span", text, `state ${className}`);
    top.append(make("b", name), label);
    row.append(top, ...details);
    list.prepend(row);
    empty.hidden = true;
    return label;
  };
  const isWaiting = (messageId) => {
    try {
      return Object.keys(localStorage).some((key) => key.startsWith("cdp:") && key.endsWith(messageId));
    } catch (error) {
      return false;
    }
  };

  const told = {
    queued(item) {
      const more = make("details");
      more.append(make("summary", "As sent"), make("pre", JSON.stringify(item, null, 2)));
      const warnings = doubts(item).map((text) => make("p", text, "warn"));
      rows.set(item.messageId, line(item.event || item.name || item.type, "waiting", "", [...warnings, more]));
    },
    answered(answer) {
      const errors = new Map(((answer && answer.errors) || []).map((error) => [error.messageId, error]));
      for (const [messageId, label] of rows) {
        if (isWaiting(messageId)) continue;
        rows.delete(messageId);
        const error = errors.get(messageId);
        if (error) {
          state(label, error.code, "bad");
          label.closest("li").append(make("p", error.message, "bad"));
        } else if (answer && answer.success === false) state(label, "refused", "bad");
        else state(label, "accepted", "ok");
      }
      if (answer && !answer.success && answer.message) line("Refused", answer.code || "", "bad", [make("p", answer.message)]);
    },
    failed: (why) => line("Not sent yet; it is sent again later", typeof why === "number" ? `HTTP ${why}` : "no connection", "warn", []),
    dropped: (item) => line("Dropped: too many calls were waiting", "lost", "bad", [make("pre", item)]),
    rotated: () => line("Another person: a new anonymous id", "", "warn", [make("p", "Call cdp.reset() when somebody logs out.")]),
    skipped: (label) => line(`Field “${label}” left out`, "secret", "warn", []),
    consent: (what) => line("Consent", String(what), "", []),
    error: (error) => line("A call failed", "", "bad", [make("p", String(error))]),
  };

  cdp.debug((what, about) => {
    if (told[what]) told[what](about);
    id.textContent = cdp.anonymousId();
    title.textContent = `cdp.js ${cdp.version} · ${rows.size} waiting`;
  });
  id.textContent = cdp.anonymousId();
  title.textContent = `cdp.js ${cdp.version} · ${rows.size} waiting`;
  document.documentElement.append(host);
})();
