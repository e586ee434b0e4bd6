/*
 * Shows visitors the id of their browser on a page of yours, so that they can tell it to your support:
 *
 *   <p>The id of your browser: <code id="cdp-id">…</code></p>
 *   <script defer src="https://cdp.example.com/cdp-id.js"></script>
 *
 * Whoever works with people finds the visitor by it in the search. Reads what cdp.js (or analytics.js) has stored and
 * never makes an id: where a visitor said no, or nothing was stored, it says so. data-none on the element is that text.
 */
(() => {
  const place = document.getElementById("cdp-id");
  if (!place) return;
  const stored = (key) => {
    try {
      return localStorage.getItem(key);
    } catch (error) {
      return null;
    }
  };
  const parsed = (text) => {
    try {
      return JSON.parse(text);
    } catch (error) {
      return text;
    }
  };
  const cookie = (name) => {
    const found = new RegExp("(?:^|; )" + name + "=([^;]{2,})").exec(document.cookie);
    return found && decodeURIComponent(found[1]);
  };
  const find = () =>
    (parsed(stored("cdp")) || {}).i ||
    cookie("cdp_id") ||
    parsed(stored("ajs_anonymous_id")) ||
    parsed(cookie("ajs_anonymous_id"));
  const show = () => {
    const id = find();
    place.textContent = id || place.getAttribute("data-none") || "none is stored in this browser";
    // One click selects the whole id.
    place.style.userSelect = id ? "all" : "";
  };
  show();
  (window.cdp = window.cdp || []).push(["ready", show]);
  addEventListener("load", show);
})();
